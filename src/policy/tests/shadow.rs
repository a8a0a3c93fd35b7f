//! Rules in shadow mode: asked, told, and without any effect.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

/// The answer, and what shadow mode kept back.
fn both(policy: &Policy, call: &Call) -> String {
    let kept = match decide(policy, call).ok().and_then(|decision| decision.shadow) {
        None => "nothing".to_owned(),
        Some(shadow) => {
            let matches = shadow.matches.iter().map(|m| format!("{} {}", m.effect.as_str(), m.rules.join(" ")));
            matches.chain(shadow.error.clone().map(|error| format!("error {error}"))).collect::<Vec<_>>().join(", ")
        }
    };
    format!("{}; shadow: {kept}", answer(policy, call))
}

const HOLD: &str = r#""reviewers": [{"group": "security"}]"#;

#[test]
fn a_rule_in_shadow_mode_is_told_and_does_nothing() {
    let cases = [
        r#"deny contains {"rule": "d", "enforce": "shadow"}"#.to_owned(),
        format!(r#"hold contains {{"rule": "h", {HOLD}, "enforce": "shadow"}}"#),
        r#"allow contains {"rule": "a", "enforce": "shadow"}"#.to_owned(),
    ];
    for (rule, kept) in cases.iter().zip(["deny d", "hold h", "allow a"]) {
        assert_eq!(both(&loaded(rule), &any_call()), format!("no match; shadow: {kept}"), "{rule}");
        let allowed = loaded(&format!("{rule}\nallow contains {{\"rule\": \"real\"}}"));
        assert_eq!(both(&allowed, &any_call()), format!("allow real; shadow: {kept}"), "{rule}");
        // Told as well when the decision is one that was remembered.
        assert_eq!(both(&allowed, &any_call()), format!("allow real; shadow: {kept}"), "{rule}");
        let denied = loaded(&format!("{rule}\ndeny contains {{\"rule\": \"real\"}}"));
        assert_eq!(both(&denied, &any_call()), format!("deny real; shadow: {kept}"), "{rule}");
    }
    assert_eq!(both(&loaded(&cases.join("\n")), &any_call()), "no match; shadow: deny d, hold h, allow a");
    let unmatched =
        loaded("deny contains {\"rule\": \"d\", \"enforce\": \"shadow\"} if input.request.path == \"/other\"");
    assert_eq!(both(&unmatched, &any_call()), "no match; shadow: nothing");
}

#[test]
fn shadow_mode_can_be_said_in_the_object_above_the_rule_or_above_the_package() {
    let file = |package: &str, rule: &str, object: &str| {
        let text = format!("{package}package holdpoint\n\n{rule}deny contains {{\"rule\": \"d\"{object}}}\n");
        both(&Policy::load(&[source("p.rego", &text)], &[], settings()).unwrap(), &any_call())
    };
    let says = |word: &str| format!("# METADATA\n# title: x\n# custom: {{ enforce: {word}, severity: high }}\n");
    let scoped = "# METADATA\n# scope: package\n# custom:\n#   enforce: shadow\n";
    let (full, shadow, none) = (says("full"), says("shadow"), String::new());
    let object = |word: &str| format!(", \"enforce\": \"{word}\"");
    for (package, rule, own, shadowed) in [
        (&none, &none, &none, false),
        (&none, &none, &object("shadow"), true),
        (&none, &shadow, &none, true),
        (&shadow, &none, &none, true),
        (&scoped.to_owned(), &none, &none, true),
        // Whoever is nearer to the rule has the last word.
        (&shadow, &full, &none, false),
        (&shadow, &none, &object("full"), false),
        (&full, &shadow, &object("full"), false),
        (&none, &full, &object("shadow"), true),
    ] {
        let expected = if shadowed { "no match; shadow: deny d" } else { "deny d; shadow: nothing" };
        assert_eq!(file(package, rule, own), expected, "{package}{rule}{own}");
    }
}

#[test]
fn only_the_file_that_says_so_is_in_shadow_mode() {
    let shadowed = "# METADATA\n# custom: { enforce: shadow }\npackage holdpoint\n\ndeny contains {\"rule\": name} if name := \"x\"\nallow contains {\"rule\": \"a\"} if helper\n";
    let real = "package holdpoint\n\nhelper if true\ndeny contains {\"rule\": \"x\"} if input.request.path == \"/other\"\nallow contains {\"rule\": \"real\"}\n";
    let policy = Policy::load(&[source("a.rego", shadowed), source("b.rego", real)], &[], settings()).unwrap();
    assert_eq!(both(&policy, &any_call()), "allow real; shadow: deny x, allow a");
    let other = call(|_, request| request.path = "/other".to_owned());
    assert_eq!(both(&policy, &other), "deny x; shadow: deny x, allow a");
    let named: Vec<_> = policy.rules().iter().map(|rule| (rule.name.clone(), rule.shadow)).collect();
    assert_eq!(named, [("a".to_owned(), true), ("x".to_owned(), false), ("real".to_owned(), false)]);
}

#[test]
fn other_rules_do_not_see_one_in_shadow_mode() {
    let policy = loaded(
        "deny contains {\"rule\": \"d\", \"enforce\": \"shadow\"}\nallow contains {\"rule\": \"quiet\"} if count(deny) == 0",
    );
    assert_eq!(both(&policy, &any_call()), "allow quiet; shadow: deny d");
}

#[test]
fn what_goes_wrong_in_shadow_mode_has_no_effect() {
    let policy = loaded(
        "deny contains {\"rule\": lower(5), \"enforce\": \"shadow\"}\nhold contains {\"rule\": \"h\", \"enforce\": \"shadow\", \"reviewers\": [{\"group\": input.request.path}]}\nallow contains {\"rule\": \"a\"}",
    );
    let decision = decide(&policy, &any_call()).unwrap();
    assert!(matches!(decision.effect, Effect::Allow(_)));
    let error = decision.shadow.unwrap().error.clone().unwrap();
    assert!(error.contains("there is no reviewer group `/customers`"), "{error}");
    let slow = "deny contains {\"rule\": \"d\", \"enforce\": \"shadow\"} if { some i in numbers.range(1, 9000); some j in numbers.range(1, 9000); i * j < 0 }\nallow contains {\"rule\": \"a\"}";
    let settings = Settings { evaluation_max: std::time::Duration::from_millis(20), ..settings() };
    let answered = both(&load_with(slow, settings).unwrap(), &any_call());
    assert!(answered.starts_with("allow a; shadow: error the policy took longer than 20ms"), "{answered}");
}

#[test]
fn a_body_is_not_needed_for_rules_in_shadow_mode() {
    let policy = loaded(
        "deny contains {\"rule\": \"d\", \"enforce\": \"shadow\"} if input.request.body.amount > 5\nallow contains {\"rule\": \"a\"}",
    );
    assert!(!policy.reads_body() && policy.shadow_reads_body() && !policy.shares_decisions());
    let unread = call(|_, request| request.body = Body::Unread);
    assert_snapshot!(both(&policy, &unread), @"allow a; shadow: error the policy looks at `input.request.body`, but the body of this call was not read");
    let json = [("content-type", "application/json")];
    assert_eq!(both(&policy, &posted(&json, b"{\"amount\": 6}")), "allow a; shadow: deny d");
    assert_eq!(both(&policy, &posted(&json, b"{\"amount\": 5}")), "allow a; shadow: nothing");
    let broken = both(&policy, &posted(&json, b"{\"amount\": 6"));
    assert!(broken.starts_with("allow a; shadow: error the policy looks at `input.request.body`, which"), "{broken}");
}

#[test]
fn a_shadow_that_would_not_be_seen_is_refused() {
    let wrong = |text: &str| {
        let loaded = Policy::load(&[source("p.rego", text)], &[], settings());
        loaded.map_or_else(|errors| errors.0[0].to_string().lines().next().unwrap().to_owned(), |_| "loaded".to_owned())
    };
    let all = [
        wrong("package holdpoint\ndeny contains {\"rule\": \"d\", \"enforce\": input.request.path}"),
        wrong("package holdpoint\ndeny contains {\"rule\": \"d\", \"enforce\": \"off\"}"),
        wrong("package holdpoint\n# METADATA\n# custom: { enforce: maybe }\ndeny contains {\"rule\": \"d\"}"),
        wrong("package holdpoint\n# METADATA\n# custom: { enforce: [\ndeny contains {\"rule\": \"d\"}"),
        wrong("package holdpoint\ndeny contains {\"rule\": \"d\"}\n# METADATA\n# custom: { enforce: shadow }\n"),
        wrong(
            "package holdpoint\n# METADATA\n# custom: { enforce: shadow }\nf if true\ndeny contains {\"rule\": \"d\"}",
        ),
        wrong(
            "# METADATA\n# custom: { enforce: shadow }\npackage holdpoint\ndeny contains d if { d = {\"rule\": \"d\", \"enforce\": \"full\"} }",
        ),
        wrong("package holdpoint\n__shadow_deny contains {\"rule\": \"d\"}\ndeny contains {\"rule\": \"d\"}"),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    p.rego:2:53: `enforce` must be written as a constant
    p.rego:2:41: `enforce` must be one of `full`, `shadow`, not `"off"`
    p.rego:2:1: `enforce` must be one of `full`, `shadow`, not `"maybe"`
    p.rego:2:1: this METADATA cannot be read: error: line 1 column 21: unclosed bracket '['
    p.rego:3:1: this METADATA says how to enforce, and is not right above a rule of `deny`, `hold` or `allow`, or above `package`
    p.rego:2:1: this METADATA says how to enforce, and is not right above a rule of `deny`, `hold` or `allow`, or above `package`
    p.rego:4:1: write the object of a rule in shadow mode out, so that it is plain whether it says `enforce`
    p.rego:2:1: names that begin with `__shadow_` are Holdpoint's
    "#);
    let late = loaded("object := {\"rule\": \"d\", \"enforce\": \"shadow\"}\ndeny contains object");
    assert_snapshot!(answer(&late, &any_call()), @"error: an object in `deny` cannot be used: rule `d`: `enforce` must be written in the rule's own object, or in its METADATA, and not be computed");
}

#[test]
fn the_places_of_other_rules_stay_true() {
    let rules = "é := \"ä\"\ndeny contains {\"rule\": é, \"enforce\": \"shadow\"}\nhold contains {\"rule\": \"h\", \"enforce\": \"shadow\", \"reviewers\": [{\"group\": \"security\"}]}\nallow contains {\"rule\": \"a\"}";
    let text = rules.replace('é', "name");
    assert_eq!(both(&loaded(&text), &any_call()), "allow a; shadow: deny ä, hold h");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A policy decides the same with rules in shadow mode as without these rules.
    #[test]
    fn rules_in_shadow_mode_change_no_answer(kinds in prop::collection::vec((0usize..3, any::<bool>(), any::<bool>()), 1..6)) {
        let rules: Vec<(String, bool)> = kinds.iter().enumerate().map(|(index, (kind, matches, shadow))| {
            let enforce = if *shadow { ", \"enforce\": \"shadow\"" } else { "" };
            let more = if *kind == 1 { format!(", {HOLD}") } else { String::new() };
            let (set, path) = (["deny", "hold", "allow"][*kind], if *matches { "/customers" } else { "/other" });
            (format!("{set} contains {{\"rule\": \"r{index}\"{more}{enforce}}} if input.request.path == \"{path}\"\n"), *shadow)
        }).collect();
        let all: String = rules.iter().map(|(rule, _)| rule.as_str()).collect();
        let real: String = rules.iter().filter(|(_, shadow)| !shadow).map(|(rule, _)| rule.as_str()).collect();
        let real = format!("{real}allow contains {{\"rule\": \"never\"}} if input.request.path == \"/never\"\n");
        let all = format!("{all}allow contains {{\"rule\": \"never\"}} if input.request.path == \"/never\"\n");
        let (with, without) = (loaded(&all), loaded(&real));
        for _ in 0..2 {
            prop_assert_eq!(answer(&with, &any_call()), answer(&without, &any_call()));
        }
    }
}
