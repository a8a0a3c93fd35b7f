//! How deny, hold, allow and the default come together.

use super::*;
use crate::policy::History;

const DENY: &str = "deny contains {\"rule\": \"d\", \"reason\": \"no\"} if input.request.path != \"/free\"\n";
const HOLD: &str = "hold contains {\"rule\": \"h\", \"reviewers\": [{\"group\": \"security\"}]}\n";
const ALLOW: &str = "allow contains {\"rule\": \"a\"}\n";
const NEVER: &str = "allow contains {\"rule\": \"never\"} if input.request.method == \"BREW\"\n";

#[test]
fn any_deny_wins_then_all_holds_then_any_allow_then_the_default() {
    for (rules, expected) in [
        (&[DENY, HOLD, ALLOW][..], "deny d"),
        (&[ALLOW, HOLD, DENY], "deny d"),
        (&[HOLD, ALLOW], "hold h"),
        (&[ALLOW], "allow a"),
        (&[NEVER], "no match"),
        (&[NEVER, DENY], "deny d"),
    ] {
        assert_eq!(answer(&loaded(&rules.concat()), &any_call()), expected, "{rules:?}");
    }
}

#[test]
fn files_of_different_teams_add_up() {
    let files = [
        source("a/x.rego", &format!("package holdpoint\n{ALLOW}")),
        source(
            "b/y.rego",
            &format!(
                "package holdpoint\nimport data.holdpoint.lib\n{HOLD}deny contains {{\"rule\": \"lib\"}} if lib.is_odd(input.request.path)"
            ),
        ),
        source("b/lib.rego", "package holdpoint.lib\nis_odd(path) if path == \"/odd\""),
    ];
    let policy = Policy::load(&files, &[], settings()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(answer(&policy, &any_call()), "hold h");
    assert_eq!(answer(&policy, &call(|_, request| request.path = "/odd".to_owned())), "deny lib");
}

#[test]
fn what_no_rule_matches_is_held_where_the_operator_says_so() {
    let settings =
        Settings { default: DefaultEffect::Hold, default_reviewers: vec![reviewer("security", 2)], ..settings() };
    let policy = load_with(NEVER, settings).unwrap();
    let Effect::Hold(hold) = decide(&policy, &any_call()).unwrap().effect else { panic!("not held") };
    assert_eq!((hold.rules, hold.reviewers), (vec!["default".to_owned()], vec![reviewer("security", 2)]));
}

#[test]
fn denials_are_told_in_the_order_of_their_names() {
    let policy = loaded(
        "deny contains {\"rule\": \"b\"}\ndeny contains {\"rule\": \"a\", \"reason\": \"first\"}\ndeny contains {\"rule\": \"c\"}",
    );
    assert_eq!(answer(&policy, &any_call()), "deny a b c");
}

#[test]
fn a_rule_that_fails_refuses_the_call_whatever_other_rules_say() {
    for (rules, expected) in [
        ("deny contains {\"rule\": \"x\"} if startswith(5, input.request.path)", "startswith"),
        ("deny contains {\"rule\": \"x\"} if not startswith(input.request.headers, \"a\")", "startswith"),
        ("deny contains {\"rule\": \"x\"} if to_number(input.request.path) > 1", "could not parse"),
        ("deny contains {\"rule\": \"x\"} if 1 / (count(input.actions) - 1) > 0", "divide by zero"),
        ("f(x) := 1 if x\nf(x) := 2 if x\ndeny contains {\"rule\": \"x\"} if f(true) == 1", "multiple outputs"),
        (
            "v := 1 if input.version\nv := 2 if input.version\ndeny contains {\"rule\": \"x\"} if v == 1",
            "rule conflicts",
        ),
    ] {
        let policy = loaded(&format!("{rules}\n{ALLOW}"));
        let answer = answer(&policy, &any_call());
        assert!(answer.starts_with("error: ") && answer.contains(expected), "{rules}: {answer}");
    }
}

#[test]
fn an_error_shows_the_place_in_the_source() {
    let policy = loaded("allow contains {\"rule\": \"x\"} if {\n\tstartswith(5, \"a\")\n}");
    insta::assert_snapshot!(decide(&policy, &any_call()).unwrap_err(), @r#"
    the policy failed: --> p.rego:3:16
      |
    3 | 	startswith(5, "a")
      |                ^
    error: `startswith` expects string argument. Got `5` instead
    "#);
}

#[test]
fn printing_goes_nowhere_and_changes_nothing() {
    assert_eq!(answer(&loaded("allow contains {\"rule\": \"x\"} if print(\"secret\", input)"), &any_call()), "allow x");
}

#[test]
fn data_is_found_under_the_names_of_its_folders() {
    let rego = [source(
        "p.rego",
        "package holdpoint\nallow contains {\"rule\": data.routes[input.request.host].name} if data.limits.on",
    )];
    let data = [
        source("data.json", r#"{"limits": {"on": true}}"#),
        source("routes/data.json", r#"{"api.example.com": {"name": "known"}}"#),
    ];
    let policy = Policy::load(&rego, &data, settings()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(answer(&policy, &any_call()), "allow known");
}

#[test]
fn the_digest_changes_with_whatever_changes_an_answer() {
    let digest = |rego: &str, data: &str, settings: Settings| {
        let rego = [source("p.rego", rego), source("p_test.rego", "not even rego")];
        Policy::load(&rego, &[source("data.json", data)], settings).unwrap().digest()
    };
    let text = format!("package holdpoint\n{ALLOW}");
    let base = digest(&text, "{}", settings());
    assert_eq!(digest(&text, "{}", Settings { groups: ["x".to_owned()].into(), ..settings() }), base);
    assert_ne!(digest(&format!("{text}\n"), "{}", settings()), base);
    assert_ne!(digest(&text, "{ }", settings()), base);
    assert_ne!(digest(&text, "{}", Settings { default_reviewers: vec![reviewer("security", 1)], ..settings() }), base);
}

#[test]
fn an_approval_is_seen_only_when_it_is_given() {
    let policy = loaded("allow contains {\"rule\": \"approved\"} if input.approval.reviews[0].person == \"ana\"");
    assert_eq!(answer(&policy, &any_call()), "no match");
    let approval = serde_json::json!({"reviews": [{"person": "ana"}]});
    let id = DecisionId::new(&IdSource::new([3; 10]), now());
    let decision = policy.decide(&any_call(), Some(&approval), id, now()).unwrap();
    assert!(matches!(decision.effect, Effect::Allow(_)), "{decision:?}");
    assert_eq!((decision.id, decision.policy), (id, policy.digest()));
}

#[test]
fn a_policy_can_be_shared_by_all_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Policy>();
}

#[test]
fn what_was_approved_before_is_told_to_policies_that_name_it_and_is_never_remembered() {
    let policy =
        loaded("allow contains {\"rule\": \"known\"} if input.context.approved_before.same_fingerprint_30d > 2");
    assert!(policy.reads_history() && !policy.shares_decisions() && !policy.reads_body());
    let (id, call) = (DecisionId::new(&IdSource::new([3; 10]), now()), any_call());
    let asked = |count: Option<u64>| {
        let history = count.map(|same_fingerprint_30d| History { same_fingerprint_30d });
        policy
            .decide_knowing(&call, None, history, id, now())
            .map(|decision| matches!(decision.effect, Effect::Allow(_)))
    };
    assert_eq!((asked(Some(2)), asked(Some(3)), asked(Some(2))), (Ok(false), Ok(true), Ok(false)));
    assert_eq!(asked(None), Err(EvaluateError::HistoryUnknown));
    // It costs a look into the store, so whoever only looks around does not get it.
    let other = loaded("allow contains {\"rule\": \"a\"} if object.get(input.context, \"reason\", \"\") == \"\"");
    assert!(!other.reads_history());
    // However a rule gets there, it is not told that there is nothing.
    for rule in [
        "deny contains {\"rule\": \"d\"} if object.get(input.context, [\"approved_before\", \"same_fingerprint_30d\"], 0) > 2",
        "deny contains {\"rule\": \"d\"} if { context := input.context; context.approved_before.same_fingerprint_30d > 2 }",
        "deny contains {\"rule\": \"d\"} if { all := input; all.context.approved_before.same_fingerprint_30d > 2 }",
    ] {
        let policy = loaded(rule);
        assert!(policy.reads_history() && !policy.shares_decisions(), "{rule}");
        let decided = policy.decide_knowing(&call, None, Some(History { same_fingerprint_30d: 3 }), id, now()).unwrap();
        assert!(matches!(decided.effect, Effect::Deny(_)), "{rule}");
        assert_eq!(policy.decide(&call, None, id, now()), Err(EvaluateError::HistoryUnknown), "{rule}");
    }
    let shadow = loaded(
        "allow contains {\"rule\": \"k\", \"enforce\": \"shadow\"} if input.context.approved_before.same_fingerprint_30d > 2",
    );
    assert!(!shadow.reads_history() && shadow.shadow_reads_history());
    let decision = shadow.decide(&call, None, id, now()).unwrap();
    assert!(decision.shadow.unwrap().error.clone().unwrap().contains("approved_before"));
}
