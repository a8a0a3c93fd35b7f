//! Looking into a policy: why each rule does or does not apply, and what it may say to calls of
//! which not everything is known.

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::policy::CatalogFormat;
use crate::policy::Inspection;
use crate::policy::RuleOutcome;
use crate::policy::input_json;

fn inspected(rules: &str) -> Inspection {
    let files = [source("p.rego", &format!("package holdpoint\n{rules}"))];
    Inspection::load(&files, &[], settings()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What becomes of the only rule.
fn outcome(rule: &str) -> String {
    let inspection = inspected(rule);
    match inspection.trace(&input_json(&any_call(), None, now())).swap_remove(0).outcome {
        RuleOutcome::Fired { objects } => format!("fired {}", serde_json::Value::from(objects)),
        RuleOutcome::Failed { error } => format!("failed {error}"),
        RuleOutcome::NotFired { line, expression, values } => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("line {line}: {expression} [{}]", values.join(", "))
        }
    }
}

#[test]
fn the_first_expression_that_does_not_hold_is_told_with_its_values() {
    for (rule, expected) in [
        ("allow contains {\"rule\": \"x\"}", r#"fired [{"rule":"x"}]"#),
        (
            "allow contains {\"rule\": \"x\"} if {\n\tinput.version == 1 # a comment\n\tinput.request.method == \"PUT\"\n}",
            r#"line 4: input.request.method == "PUT" [input.request.method is "GET"]"#,
        ),
        (
            "allow contains {\n\t\"rule\": \"x\",\n\t\"reason\": sprintf(\"%s\", [input.request.path]),\n} if input.version == 1",
            r#"fired [{"reason":"/customers","rule":"x"}]"#,
        ),
        (
            "allow contains {\"rule\": \"x\"} if not input.version == 1",
            "line 2: not input.version == 1 [input.version == 1 is true]",
        ),
        (
            "allow contains {\"rule\": \"x\"} if {\n\tsome a in input.actions\n\ta.kind == \"write\"\n}",
            r#"line 4: a.kind == "write" [a.kind is "read"]"#,
        ),
        (
            "allow contains {\"rule\": \"x\"} if input.request.headers[\"x-a\"][0] == \"1\"",
            r#"line 2: input.request.headers["x-a"][0] == "1" [input.request.headers["x-a"][0] is undefined, and input.request.headers is {}]"#,
        ),
        (
            "allow contains {\"rule\": \"x\", \"reason\": input.context.reason}",
            r#"line 2: {"rule": "x", "reason": input.context.reason} [input.context.reason is undefined]"#,
        ),
        (
            "allow contains {\"rule\": \"x\"} if startswith(input.version, \"a\")",
            "failed `startswith` expects string argument. Got `1` instead",
        ),
        // Evaluated in the order in which it can be.
        ("allow contains {\"rule\": \"x\"} if {\n\ty > 5\n\ty = count(input.actions)\n}", "line 3: y > 5 [y is 1]"),
        (
            "allow contains {\"rule\": \"x\"} if count(input.actions) == 3 with input.actions as [1, 2]",
            "line 2: count(input.actions) == 3 with input.actions as [1, 2] [count(input.actions) is 2]",
        ),
        (
            "import input.request as r\nallow contains {\"rule\": \"x\"} if r.method in {\"PUT\", \"POST\"}",
            r#"line 3: r.method in {"PUT", "POST"} [r.method is "GET"]"#,
        ),
    ] {
        assert_eq!(outcome(rule), expected, "{rule}");
    }
}

/// What rules may say to a read of which `unknown` is not known.
fn possible(rules: &str, unknown: &[&[&str]]) -> String {
    let mut input = input_json(&any_call(), None, now());
    for part in unknown {
        let (last, above) = part.split_last().unwrap();
        let fields = above.iter().fold(&mut input, |value, name| &mut value[*name]);
        fields.as_object_mut().unwrap().remove(*last);
    }
    let inspection = inspected(rules);
    let possible = inspection.candidate(unknown).possible(&input);
    format!("{:?} {:?} {:?}", possible.effects, possible.rules, possible.undecided)
}

#[test]
fn what_is_not_known_is_never_taken_for_known() {
    const BODY: &[&str] = &["request", "body"];
    const ALLOW: &str = "allow contains {\"rule\": \"a\"}\n";
    for (rules, expected) in [
        // Nothing unknown is looked at.
        ("", r#"{"allow"} ["a"] []"#),
        // It is, but what is known says that the rule does not apply.
        (
            "deny contains {\"rule\": \"d\"} if {\n input.request.method == \"PUT\"\n input.request.body.x == 1\n}",
            r#"{"allow"} ["a"] []"#,
        ),
        (
            "deny contains {\"rule\": \"d\"} if {\n input.request.body.x == 1\n input.request.method == \"PUT\"\n}",
            r#"{"allow"} ["a"] []"#,
        ),
        // It may.
        ("deny contains {\"rule\": \"d\"} if input.request.body.x == 1", r#"{"allow", "deny"} [] ["d"]"#),
        ("deny contains {\"rule\": \"d\"} if not input.request.body.x", r#"{"allow", "deny"} [] ["d"]"#),
        ("deny contains {\"rule\": \"d\"} if bad\nbad if input.request.body.x", r#"{"allow", "deny"} [] ["d"]"#),
        (
            "deny contains {\"rule\": \"d\"} if {\n b := input.request.body\n b.x == 1\n}",
            r#"{"allow", "deny"} [] ["d"]"#,
        ),
        ("deny contains {\"rule\": \"d\"} if count(input.request) > 3", r#"{"allow", "deny"} [] ["d"]"#),
        // A name that is a rule as well as a variable.
        (
            "b := 5\ndeny contains {\"rule\": \"d\"} if {\n b := input.request.body\n b == 1\n}",
            r#"{"allow", "deny"} [] ["d"]"#,
        ),
        // A deny that is certain needs nothing else.
        (
            "deny contains {\"rule\": \"d\"} if input.request.method == \"GET\"\nhold contains {\"rule\": \"h\", \"reviewers\": [{\"group\": \"security\"}]} if input.request.body.x",
            r#"{"deny"} ["d"] []"#,
        ),
    ] {
        assert_eq!(possible(&format!("{ALLOW}{rules}"), &[BODY]), expected, "{rules}");
    }
    // The default counts where no allow is certain.
    assert_eq!(
        possible("allow contains {\"rule\": \"a\"} if input.request.body.x", &[BODY]),
        r#"{"allow", "deny"} [] ["a"]"#
    );
}

const CONDITIONS: [&str; 8] = [
    "input.request.body.x == 1",
    "not input.request.body.x == 1",
    "input.request.method == \"POST\"",
    "not is_small",
    "is_small",
    "some a in input.actions; a.kind == \"read\"",
    "b := object.get(input.request, \"body\", {}); count(b) > 1",
    "every n, v in object.get(input.request, \"body\", {}) { v == 1 }",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the body is, the answer is among those that are told without it.
    #[test]
    fn the_real_answer_is_always_among_the_possible_ones(
        rules in proptest::collection::vec((0..3usize, 0..CONDITIONS.len(), 0..CONDITIONS.len()), 1..4),
        x in 0..3u8,
        two in any::<bool>(),
    ) {
        let heads = ["deny contains {\"rule\": \"d\"}", "hold contains {\"rule\": \"h\", \"reviewers\": [{\"group\": \"security\"}]}", "allow contains {\"rule\": \"a\"}"];
        let mut text = "is_small if input.request.body.x < 2\n".to_owned();
        for (head, first, second) in rules {
            let second = CONDITIONS[second].replace("some a in", "some c in").replace("a.kind", "c.kind").replace("b := ", "e := ").replace("count(b)", "count(e)");
            text.push_str(&format!("{} if {{\n{}\n{second}\n}}\n", heads[head], CONDITIONS[first]));
        }
        let inspection = inspected(&text);
        let body = if two { json!({"x": x, "y": 1}) } else { json!({"x": x}) };
        let call = posted(&[("content-type", "application/json")], body.to_string().as_bytes());
        let whole = input_json(&call, None, now());
        let real = inspection.policy().decide_input(&whole).map_or("error", |effect| effect.as_str());
        let mut part = whole;
        part["request"].as_object_mut().unwrap().remove("body");
        let possible = inspection.candidate(&[&["request", "body"]]).possible(&part);
        prop_assert!(possible.effects.contains(real), "{real} is not in {possible:?}\n{text}");
    }
}

#[test]
fn a_catalogue_cannot_be_made_to_say_something_else() {
    let rules = "# METADATA\n# title: \"<script>alert(1)</script> | x\"\n# description: \"**bold** [a](b)\"\n# custom: {severity: high, controls: [\"SOC2 CC6.1\"]}\nhold contains {\"rule\": \"h\", \"reason\": \"a & b\", \"reviewers\": [{\"group\": \"security\", \"count\": 2}]} if input.version == 1\nallow contains {\"rule\": input.request.method}";
    let inspection = inspected(rules);
    let html = inspection.catalog(CatalogFormat::Html);
    assert!(
        !html.contains("<script") && html.contains("&lt;script&gt;alert(1)") && html.contains("a &amp; b"),
        "{html}"
    );
    let markdown = inspection.catalog(CatalogFormat::Markdown);
    let page = markdown.split_once("rules.\n").unwrap().1;
    assert_snapshot!(page.trim(), @r"
    | effect | rule | title | severity | controls |
    |---|---|---|---|---|
    | hold | h | &lt;script\>alert(1)&lt;/script\> \| x | high | SOC2 CC6.1 |
    | allow | (named when it matches) | (named when it matches) |  |  |

    ## &lt;script\>alert(1)&lt;/script\> \| x

    hold rule h in p.rego:6.

    \*\*bold\*\* \[a\](b)

    - reason: a &amp; b
    - reviewers: 2 of security

    ## (named when it matches)

    allow rule (named when it matches) in p.rego:7.

    ## Controls

    | control | rules |
    |---|---|
    | SOC2 CC6.1 | h |
    ");
}
