//! Heads that would not say what their authors mean are refused when the policy is loaded.

use insta::assert_snapshot;

use super::*;

/// What is wrong with a hold on security's consent with this `reason` and this body; `-` if
/// nothing is.
fn hold(reason: &str, body: &str) -> String {
    let rules = format!(
        "hold contains {{\"rule\": \"x\", \"reviewers\": [{{\"group\": \"security\"}}], \"reason\": {reason}}} if {{\n{body}\n}}\n\
         default reason := \"\"\nreason := input.context.reason if true\n\
         asked if input.context.reason != \"\"\nis_cluster(action) if action.resource == \"/clusters\""
    );
    match load(&rules) {
        Ok(_) => "-".to_owned(),
        Err(errors) => errors.0.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; "),
    }
}

#[test]
fn input_that_may_be_absent_is_refused_in_the_head_of_a_deny() {
    assert_snapshot!(refusal("deny contains {\"rule\": input.request.body.rules[0]}"), @r#"
    p.rego:2:24: `input.request.body.rules[0]` may be absent, and then this rule silently does not apply
       2 | deny contains {"rule": input.request.body.rules[0]}
         |                        ^
         = write `object.get(input.request, ["body", "rules", 0], "")`, or ask for it in the body, if the rule is not for calls without it
    "#);
    assert_snapshot!(refusal("deny contains {\"rule\": \"x\", \"reason\": input.context.reason} if input.request.method == \"PUT\""), @r#"
    p.rego:2:39: `input.context.reason` may be absent, and then this rule silently does not apply
       2 | deny contains {"rule": "x", "reason": input.context.reason} if input.request.method == "PUT"
         |                                       ^
         = write `object.get(input.context, "reason", "")`, or ask for it in the body, if the rule is not for calls without it
    "#);
}

#[test]
fn what_may_be_absent_and_what_the_body_asks_for() {
    const ABSENT: &str = "may be absent, and then this rule silently does not apply";
    let some_action = "some action in input.actions";
    for (reason, body, absent) in [
        ("input.context.reason", "true", Some("input.context.reason")),
        ("input.context[\"reason\"]", "true", Some("input.context.reason")),
        ("sprintf(\"for %s\", [input.context.ticket])", "true", Some("input.context.ticket")),
        ("input.principal.claims.team", "true", Some("input.principal.claims.team")),
        ("input.upstream.labels.data", "true", Some("input.upstream.labels.data")),
        ("input.request.headers[\"x-team\"][0]", "true", Some("input.request.headers[\"x-team\"][0]")),
        ("object.get(input.request.body, \"why\", \"\")", "true", Some("input.request.body")),
        ("input.request.path_segments[0]", "true", Some("input.request.path_segments[0]")),
        ("input.actions[1].name", "true", Some("input.actions[1].name")),
        ("action.resource", some_action, Some("action.resource")),
        ("context.reason", "context := input.context", Some("context.reason")),
        // It is carried to the head and nothing else is done with it.
        ("why", "why := input.context.reason", Some("input.context.reason")),
        // To be absent makes `not` true.
        ("input.context.ticket", "not startswith(input.context.ticket, \"OPS-\")", Some("input.context.ticket")),
        ("input.context.reason", "input.context.ticket == \"1\"", Some("input.context.reason")),
        // Always there, or asked for.
        ("input.request.method", "true", None),
        ("input.actions[0].name", "true", None),
        ("action.name", some_action, None),
        ("object.get(input.context, \"reason\", \"\")", "true", None),
        ("concat(\" \", [why | why := input.context.reason])", "true", None),
        ("input.context.reason", "input.context.reason", None),
        ("input.context.reason", "startswith(input.context[\"reason\"], \"a\")", None),
        // To ask for all values of a field does not say that there is a first one.
        (
            "input.request.headers[\"x-team\"][0]",
            "\"a\" in input.request.headers[\"x-team\"]",
            Some("input.request.headers[\"x-team\"][0]"),
        ),
        ("input.request.headers[\"x-team\"][0]", "input.request.headers[\"x-team\"][0] != \"a\"", None),
        ("why", "why := input.context.reason\n count(why) > 4", None),
        ("input.context.reason", "asked", None),
        ("action.resource", "some action in input.actions\nis_cluster(action)", None),
        ("action.resource", "some action in input.actions\naction.resource == \"/a\"", None),
        ("reason", "true", None),
        ("name", "some name in input.principal.groups", None),
    ] {
        let expected = absent.map_or("-".to_owned(), |path| format!("`{path}` {ABSENT}"));
        assert_eq!(hold(reason, body), expected, "{reason} if {body}");
    }
}

#[test]
fn an_allow_that_is_undefined_allows_less_and_is_let_be() {
    assert_eq!(refusal("allow contains {\"rule\": \"x\", \"reason\": input.context.reason}"), "loaded");
}

#[test]
fn names_that_nothing_defines_are_refused_in_heads() {
    for (rules, unknown) in [
        ("deny contains {\"rule\": nope}", Some("nope")),
        ("deny contains {\"rule\": nope} if input.version == 1", Some("nope")),
        ("deny contains {\"rule\": \"a\", \"reason\": sprintf(\"%s\", [nope.x])}", Some("nope")),
        ("deny contains {\"rule\": \"a\"} if f(1)\nf(x) := y if x == 1", Some("y")),
        ("deny contains {\"rule\": \"a\"} if b\nb := c", Some("c")),
        ("deny contains {\"rule\": \"a\"} if b\nb := 1 if false else := c", Some("c")),
        ("deny contains {\"rule\": x} if x := \"a\"", None),
        ("deny contains {\"rule\": x} if some x in [\"a\"]", None),
        ("deny contains {\"rule\": x} if x = \"a\"", None),
        ("deny contains {\"rule\": x} if {\n some i\n x := [\"a\"][i]\n}", None),
        ("deny contains {\"rule\": x} if [\"a\"][x]\ndeny contains {\"rule\": y}\ny := \"b\"", None),
        ("deny contains {\"rule\": \"a\", \"reason\": concat(\"\", [x | some x in [\"a\"]])}", None),
        ("deny contains {\"rule\": \"a\"} if f(1) == 2\nf(x) := y if y := x + 1", None),
        ("deny contains {\"rule\": \"a\"} if m.k == 1\nm[k] := v if some k, v in {\"k\": 1}", None),
    ] {
        let expected = unknown.map_or("loaded".to_owned(), |name| format!("nothing defines `{name}`"));
        let found = load(rules).map_or_else(|errors| errors.0[0].message.clone(), |_| "loaded".to_owned());
        assert_eq!(found, expected, "{rules}");
    }
}
