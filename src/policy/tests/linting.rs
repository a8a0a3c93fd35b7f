//! What `policy check` finds in policies that can be loaded.

use insta::assert_snapshot;

use super::*;
use crate::policy::Inspection;

/// One line for each finding.
fn findings(files: &[(&str, &str)], data: &[(&str, &str)]) -> String {
    let rego: Vec<Source> =
        files.iter().map(|(path, text)| source(path, &format!("package holdpoint\n{text}"))).collect();
    let data: Vec<Source> = data.iter().map(|(path, text)| source(path, text)).collect();
    let inspection = Inspection::load(&rego, &data, settings()).unwrap_or_else(|errors| panic!("{errors}"));
    let lines = inspection.findings().into_iter().map(|finding| {
        let error = finding.error;
        format!("{:?} {} {}:{} {}", finding.severity, finding.code, error.file, error.line, error.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn of_body(body: &str) -> String {
    findings(&[("p.rego", &format!("deny contains {{\"rule\": \"x\"}} if {{ {body} }}"))], &[])
}

#[test]
fn what_can_never_be_true_is_found_and_nothing_else() {
    for (body, expected) in [
        ("false", "`false` is never true"),
        ("1 == 2", "`1 == 2` is never true"),
        ("not true", "`not true` is never true"),
        ("some x in []; x", "`some x in []` is never true"),
        ("input.request.method == \"A\"; input.request.method == \"B\"", "cannot be so"),
        ("input.request.method in {\"A\", \"C\"}; input.request.method == \"B\"", "cannot be so"),
        ("some a in input.actions; a.kind == \"wirte\"", "`a.kind` is never \"wirte\""),
        ("every a in input.actions { a.kind in {\"read\", \"wirte\"} }", "`a.kind` is never \"wirte\""),
        ("input.context.weekday != \"saterday\"", "is never \"saterday\""),
        ("input.request.method == 5", "it is a text"),
        ("true", ""),
        ("1 < 2", ""),
        ("not false", ""),
        ("input.request.method == \"A\"; input.request.path == \"B\"", ""),
        ("input.request.method in {\"A\", \"B\"}; input.request.method == \"B\"", ""),
        // Another one each time.
        ("input.actions[_].kind == \"read\"; input.actions[_].kind == \"write\"", ""),
        ("input.request.method == \"A\"; input.request.method == \"B\" with input.request.method as \"B\"", ""),
        ("input.request.body.kind == \"wirte\"; input.principal.claims.level == 5", ""),
    ] {
        let found = of_body(body);
        assert_eq!((found.is_empty(), found.contains(expected)), (expected.is_empty(), true), "{body}: {found}");
    }
}

#[test]
fn rules_that_contradict_one_another_or_are_out_of_reach() {
    let hold = |risk: &str| {
        format!(
            "hold contains {{\"rule\": \"h\", \"risk\": \"{risk}\", \"reviewers\": [{{\"group\": \"security\"}}]}} if input.request.path == \"/\""
        )
    };
    assert_snapshot!(findings(&[("a.rego", &hold("low")), ("b.rego", &hold("high"))], &[]), @"Warning conflict b.rego:2 hold rule `h` is also in a.rego:2, with another `risk`");
    assert_snapshot!(findings(&[("a.rego", &hold("low")), ("b.rego", &hold("low"))], &[]), @"");
    assert_snapshot!(findings(&[("a.rego", &hold("low")), ("b.rego", "deny contains {\"rule\": \"all\"}")], &[]), @"Warning unreachable a.rego:2 this hold never matters: `all` in b.rego:2 denies every call");
}

#[test]
fn obligations_that_are_not_constant_are_looked_at_as_far_as_they_go() {
    assert_snapshot!(findings(&[("a.rego", "hold contains {\"rule\": \"h\", \"reason\": [input.request.path], \"reviewers\": [{\"group\": \"nobody\", \"count\": n}]} if n := 2\ndeny contains {\"rule\": \"d\", \"reason\": why}\nwhy := \"x\" if input.request.path == \"/\"")], &[]), @r"
    Error wrong-type a.rego:2 `reason` must be a single value
    Error unknown-group a.rego:2 there is no reviewer group `nobody`; the configuration has `data-owners`, `security`
    Warning maybe-undefined a.rego:3 where `why` has no value, this rule silently does not apply
    ");
}

#[test]
fn data_that_no_rule_looks_at() {
    let data = [("lists/data.json", r#"{"known": {}, "other": {}}"#)];
    assert_snapshot!(findings(&[("a.rego", "allow contains {\"rule\": \"a\"} if data.lists.known[input.principal.id]")], &data), @"Warning unused-data lists/data.json:0 no rule looks at `data.lists.other`");
    assert_snapshot!(findings(&[("a.rego", "allow contains {\"rule\": \"a\"} if data.lists[input.principal.id]")], &data), @"");
}

#[test]
fn what_each_rule_depends_on_and_what_keeps_decisions_from_being_shared() {
    let text = "package holdpoint\nallow contains {\"rule\": \"a\"} if ok\nok if input.request.body.x == 1\ndeny contains {\"rule\": \"d\"} if input.request.headers[\"x-a\"]";
    let inspection = Inspection::load(&[source("p.rego", text)], &[], settings()).unwrap();
    let explanation = inspection.explain();
    let rules = explanation.rules.iter().map(|rule| {
        format!(
            "{} {} {:?} body {} shared {}",
            rule.kind, rule.rule, rule.reads, rule.reads_body, rule.shares_decisions
        )
    });
    assert_snapshot!(rules.collect::<Vec<_>>().join("\n"), @r#"
    allow a ["input.request.body.x"] body true shared false
    deny d ["input.request.headers[\"x-a\"]"] body false shared true
    "#);
    assert_snapshot!(format!("{:?}", explanation.blockers), @r#"[Blocker { path: "input.request.body.x", why: "bodies are not kept to be compared", places: ["p.rego:3"], rules: ["a"] }]"#);
}
