//! Every key of every set, right and wrong, constant and computed, and how they are merged.

use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::model::Assurance;
use crate::model::OnDisconnect;
use crate::model::Risk;

/// What is wrong with `object`, added to the set of `kind`: once written as a constant, which is
/// found when the policy is loaded, and once hidden from that, which is found when it is asked.
fn wrong(kind: &str, object: &str) -> String {
    let at_load = match load(&format!("{kind} contains {object}")) {
        Ok(_) => "loaded".to_owned(),
        Err(errors) => errors.0.first().unwrap().message.clone(),
    };
    // A function of the path, so that nothing about it is constant.
    let hidden = format!("object(path) := {object} if path\n{kind} contains object(input.request.path)");
    let at_evaluation = answer(&loaded(&hidden), &any_call());
    match at_evaluation.strip_prefix(&format!("error: an object in `{kind}` cannot be used: ")) {
        Some(error) => {
            let error = error.strip_prefix("rule `x`: ").unwrap_or(error);
            assert_eq!(error, at_load, "{object}");
        }
        None => assert_eq!(at_load, "loaded", "{object}: {at_evaluation}"),
    }
    at_load
}

#[test]
fn every_key_of_a_hold_is_checked() {
    let hold = |fields: &str| {
        let reviewers =
            if fields.starts_with("\"reviewers") { "" } else { "\"reviewers\": [{\"group\": \"security\"}], " };
        wrong("hold", &format!("{{\"rule\": \"x\", {reviewers}{fields}}}"))
    };
    for fields in [
        r#""reason": "because", "risk": "critical", "expires_in": "30m", "hold_for": "0s", "assurance": "stepup""#,
        r#""channels": ["slack"], "require_reason": true, "irreversible": false, "credential": "reader", "on_disconnect": "withdraw", "repeatable": true"#,
        r#""reviewers": [{"group": "security", "count": 2}, {"group": "data-owners"}]"#,
        r#""grant": {"max_uses": 2, "max_duration": "1h"}, "redact": ["/body/card/number", "/query/token", "/headers/x-pin"]"#,
        r#""expires_in": "1h", "escalate": [{"after": "10m", "reviewers": [{"group": "data-owners"}]}]"#,
    ] {
        assert_eq!(hold(fields), "loaded", "{fields}");
    }
    let all: Vec<String> = [
        r#""reason": 5"#,
        r#""risk": "huge""#,
        r#""risk": 3"#,
        r#""expires_in": "soon""#,
        r#""expires_in": "0s""#,
        r#""expires_in": "31d""#,
        r#""expires_in": 30"#,
        r#""hold_for": null"#,
        r#""assurance": "face""#,
        r#""channels": "slack""#,
        r#""channels": [1]"#,
        r#""require_reason": "yes""#,
        r#""irreversible": 1"#,
        r#""credential": "root""#,
        r#""on_disconnect": "drop""#,
        r#""repeatable": "yes""#,
        r#""reviewers": []"#,
        r#""reviewers": "security""#,
        r#""reviewers": ["security"]"#,
        r#""reviewers": [{"group": "sales"}]"#,
        r#""reviewers": [{"count": 1}]"#,
        r#""reviewers": [{"group": "security", "count": 0}]"#,
        r#""reviewers": [{"group": "security", "count": 1.5}]"#,
        r#""reviewers": [{"group": "security", "any": 1}]"#,
        r#""reviewers": [{"group": "security"}, {"group": "security", "count": 2}]"#,
        r#""reviewer": "security""#,
        r#""log": ["x"]"#,
        r#""channels": ["a b"]"#,
        r#""grant": 5"#,
        r#""grant": {"max_uses": 2}"#,
        r#""grant": {"max_duration": "1h"}"#,
        r#""grant": {"max_uses": 0, "max_duration": "1h"}"#,
        r#""grant": {"max_uses": 2, "max_duration": "31d"}"#,
        r#""grant": {"max_uses": 2, "max_duration": "1h", "for": "all"}"#,
        r#""grant": {"max_uses": 2, "max_duration": "1h"}, "irreversible": true"#,
        r#""escalate": []"#,
        r#""escalate": [5]"#,
        r#""escalate": [{"after": "10m"}]"#,
        r#""escalate": [{"after": "0s", "reviewers": [{"group": "security"}]}]"#,
        r#""escalate": [{"after": "10m", "reviewers": [{"group": "sales"}]}]"#,
        r#""escalate": [{"after": "10m", "to": "security"}]"#,
        r#""expires_in": "10m", "escalate": [{"after": "10m", "reviewers": [{"group": "security"}]}]"#,
        r#""redact": "/body/a""#,
        r#""redact": ["/a"]"#,
        r#""redact": ["/query/a/b"]"#,
        r#""redact": ["/body/~"]"#,
        r#""enforce": "off""#,
        r#"5: 6"#,
    ]
    .iter()
    .map(|fields| hold(fields))
    .collect();
    assert_snapshot!(all.join("\n"), @r#"
    `reason` must be a text, not `5`
    `risk` must be one of `low`, `medium`, `high`, `critical`, not `"huge"`
    `risk` must be one of `low`, `medium`, `high`, `critical`, not `3`
    `expires_in` must be a duration such as `45s`, `30m` or `1h30m`, not `"soon"`
    `expires_in` must be more than nothing and at most 30 days, not "0s"
    `expires_in` must be more than nothing and at most 30 days, not "31d"
    `expires_in` must be a duration such as `45s`, `30m` or `1h30m`, not `30`
    `hold_for` must be a duration such as `45s`, `30m` or `1h30m`, not `null`
    `assurance` must be one of `chat`, `session`, `stepup`, not `"face"`
    `channels` must be a list of texts, not `"slack"`
    `channels` must be a list of texts, not `[1]`
    `require_reason` must be true or false, not `"yes"`
    `irreversible` must be true or false, not `1`
    there is no credential `root` in the configuration
    `on_disconnect` must be one of `wait`, `withdraw`, not `"drop"`
    `repeatable` must be true or false, not `"yes"`
    `reviewers` must name somebody: a list such as [{"group": "security", "count": 1}]
    `reviewers` must be a list such as [{"group": "security", "count": 1}], not `"security"`
    each of `reviewers` must be an object with a `group`, not `"security"`
    there is no reviewer group `sales`; the configuration has `data-owners`, `security`
    each of `reviewers` must name a `group`
    `count` must be a whole number from 1 to 100, not `0`
    `count` must be a whole number from 1 to 100, not `1.5`
    each of `reviewers` has a `group` and a `count`, but no `"any"`
    `reviewers` names group `security` twice
    `hold` has no `reviewer`; it has `rule`, `reason`, `risk`, `reviewers`, `expires_in`, `hold_for`, `assurance`, `channels`, `require_reason`, `irreversible`, `credential`, `on_disconnect`, `repeatable`, `grant`, `redact`, `escalate`, `enforce`
    `hold` has no `log`; it has `rule`, `reason`, `risk`, `reviewers`, `expires_in`, `hold_for`, `assurance`, `channels`, `require_reason`, `irreversible`, `credential`, `on_disconnect`, `repeatable`, `grant`, `redact`, `escalate`, `enforce`
    `channels` has `a b`, which is not a name
    `grant` must be an object such as {"max_uses": 5, "max_duration": "1h"}, not `5`
    `grant` needs both `max_uses` and `max_duration`
    `grant` needs both `max_uses` and `max_duration`
    `max_uses` must be a whole number from 1 to 1000, not `0`
    `max_duration` must be more than nothing and at most 30 days, not "31d"
    `grant` has `max_uses` and `max_duration`, but no `"for"`
    `grant` and `irreversible` exclude each other: what cannot be undone is asked about each time
    `escalate` must have 1 to 64 steps: a list such as [{"after": "10m", "reviewers": [{"group": "security"}]}]
    each of `escalate` must be an object with `after` and `reviewers`, not `5`
    each of `escalate` needs both `after` and `reviewers`
    `after` must be more than nothing and at most 30 days, not "0s"
    there is no reviewer group `sales`; the configuration has `data-owners`, `security`
    each of `escalate` has `after` and `reviewers`, but no `"to"`
    `escalate` begins only after `expires_in`
    `redact` must be a list of texts, not `"/body/a"`
    `redact` has `/a`: it must begin with `/body`, `/query` or `/headers`, such as `/body/card/number`
    `redact` has `/query/a/b`: a query and headers have one name after them, such as `/query/token`
    `redact` has `/body/~`: `~` is written `~0`, and `/` within a name `~1`
    `enforce` must be one of `full`, `shadow`, not `"off"`
    keys must be texts, not `5`
    "#);
}

#[test]
fn every_key_of_a_deny_and_an_allow_is_checked() {
    assert_eq!(wrong("deny", r#"{"rule": "x", "reason": "no"}"#), "loaded");
    assert_eq!(
        wrong(
            "allow",
            r#"{"rule": "x", "reason": "yes", "credential": "reader", "log": ["principal.claims.team", "input.upstream.name"]}"#
        ),
        "loaded"
    );
    assert_eq!(wrong("allow", "{}"), "loaded");
    let all = [
        wrong("deny", r#"{"rule": 5}"#),
        wrong("deny", r#"{"rule": ""}"#),
        wrong("deny", r#"{"rule": "a\nb"}"#),
        wrong("deny", r#"{"rule": "x", "risk": "high"}"#),
        wrong("deny", r#""a text""#),
        wrong("allow", r#"{"rule": "x", "reviewers": []}"#),
        wrong("allow", r#"{"rule": "x", "credential": "root"}"#),
        wrong("allow", r#"{"rule": "x", "log": "team"}"#),
        wrong("allow", r#"{"rule": "x", "log": ["team"]}"#),
        wrong("allow", r#"{"rule": "x", "log": ["principal..id"]}"#),
        wrong("allow", r#"{"rule": "x", "log": ["request"]}"#),
        wrong("allow", r#"{"rule": "x", "log": ["request.body.pin"]}"#),
        wrong("allow", r#"{"rule": "x", "enforce": true}"#),
        wrong("allow", "true"),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    `rule` must be a text, not `5`
    `rule` must be a name without control characters, not `""`
    `rule` must be a name without control characters, not `"a\nb"`
    `deny` has no `risk`; it has `rule`, `reason`, `enforce`
    a rule adds an object such as {"rule": "my-rule"}, not `"a text"`
    `allow` has no `reviewers`; it has `rule`, `reason`, `credential`, `log`, `enforce`
    there is no credential `root` in the configuration
    `log` must be a list of texts, not `"team"`
    `log` has `team`, which `input` has not
    `log` has `principal..id`, which `input` has not
    `log` has `request`, and bodies never go into the log; name other fields
    `log` has `request.body.pin`, and bodies never go into the log; name other fields
    `enforce` must be one of `full`, `shadow`, not `true`
    a rule adds an object such as {"rule": "my-rule"}, not `true`
    "#);
}

#[test]
fn a_mistake_in_a_constant_is_shown_in_the_source() {
    assert_snapshot!(refusal("hold contains {\n\t\"rule\": \"x\",\n\t\"reviewers\": [{\"group\": \"sales\"}],\n} if input.request.path"), @r#"
    p.rego:4:15: there is no reviewer group `sales`; the configuration has `data-owners`, `security`
       4 |  "reviewers": [{"group": "sales"}],
         |               ^
    "#);
    assert_snapshot!(refusal("hold contains h if {\n\th := {\"rule\": \"x\", \"risc\": input.request.path, \"reviewers\": [{\"group\": \"security\"}]}\n}"), @r#"
    p.rego:3:22: `hold` has no `risc`; it has `rule`, `reason`, `risk`, `reviewers`, `expires_in`, `hold_for`, `assurance`, `channels`, `require_reason`, `irreversible`, `credential`, `on_disconnect`, `repeatable`, `grant`, `redact`, `escalate`, `enforce`
       3 |  h := {"rule": "x", "risc": input.request.path, "reviewers": [{"group": "security"}]}
         |                      ^
    "#);
}

#[test]
fn a_hold_without_reviewers_needs_default_ones() {
    assert_snapshot!(refusal("hold contains {\"rule\": \"x\"}"), @r#"
    p.rego:2:15: a hold needs `reviewers`, or `policy.default_reviewers` in the configuration
       2 | hold contains {"rule": "x"}
         |               ^
    "#);
    let dynamic = "name := \"rule\"\nhold contains object.union({}, {name: \"x\"}) if input.request.path";
    assert_snapshot!(answer(&loaded(dynamic), &any_call()), @"error: an object in `hold` cannot be used: rule `x`: a hold needs `reviewers`, or `policy.default_reviewers` in the configuration");
    let settings = Settings { default_reviewers: vec![reviewer("security", 2)], ..settings() };
    let policy = load_with("hold contains {\"rule\": \"x\"}", settings).unwrap();
    let Effect::Hold(hold) = decide(&policy, &any_call()).unwrap().effect else { panic!("not held") };
    assert_eq!(hold.reviewers, [reviewer("security", 2)]);
}

#[test]
fn the_strictest_of_each_obligation_wins() {
    let policy = loaded(
        r#"
        hold contains {
            "rule": "b", "reason": "second", "risk": "low", "reviewers": [{"group": "security", "count": 2}],
            "expires_in": "1h", "hold_for": "10m", "assurance": "stepup", "irreversible": true, "credential": "reader",
        }
        hold contains {
            "rule": "a", "reason": "first", "risk": "high",
            "reviewers": [{"group": "security"}, {"group": "data-owners", "count": 1}],
            "expires_in": "30m", "hold_for": "20m", "assurance": "session", "require_reason": true, "on_disconnect": "withdraw",
        }
        hold contains {"rule": "c", "reason": "first", "reviewers": [{"group": "security"}], "credential": "reader"}
        "#,
    );
    let Effect::Hold(hold) = decide(&policy, &any_call()).unwrap().effect else { panic!("not held") };
    assert_eq!(
        hold,
        crate::model::HoldObligations {
            rules: ["a", "b", "c"].map(str::to_owned).into(),
            reasons: ["first", "second"].map(str::to_owned).into(),
            risk: Some(Risk::High),
            reviewers: vec![reviewer("data-owners", 1), reviewer("security", 2)],
            expires_in: Some(Duration::from_secs(1_800)),
            hold_for: Some(Duration::from_secs(600)),
            assurance: Assurance::Stepup,
            require_reason: true,
            irreversible: true,
            credential: Some("reader".to_owned()),
            on_disconnect: OnDisconnect::Withdraw,
            repeatable: false,
            channels: Vec::new(),
            grant: None,
            redact: Vec::new(),
            escalate: Vec::new(),
        }
    );
}

#[test]
fn two_credentials_are_an_error_because_neither_is_stricter() {
    let hold = "hold contains {\"rule\": \"a\", \"credential\": \"reader\", \"reviewers\": [{\"group\": \"security\"}]}\nhold contains {\"rule\": \"b\", \"credential\": \"writer\", \"reviewers\": [{\"group\": \"security\"}]}";
    assert_snapshot!(answer(&loaded(hold), &any_call()), @"error: an object in `hold` cannot be used: rule `b`: it asks for credential `writer`, and rule `a` for `reader`");
    let allow = "allow contains {\"rule\": \"a\", \"credential\": \"reader\"}\nallow contains {\"rule\": \"b\", \"credential\": \"writer\"}";
    assert_snapshot!(answer(&loaded(allow), &any_call()), @"error: an object in `allow` cannot be used: rule `b`: it asks for credential `writer`, and rule `a` for `reader`");
    let one = "allow contains {\"rule\": \"a\", \"credential\": \"reader\"}\nallow contains {\"rule\": \"b\"}";
    let Effect::Allow(allow) = decide(&loaded(one), &any_call()).unwrap().effect else { panic!("not allowed") };
    assert_eq!(allow.credential.as_deref(), Some("reader"));
}

#[test]
fn a_name_that_an_agent_could_choose_is_bounded() {
    let long = call(|_, request| request.path = format!("/{}", "a".repeat(200)));
    assert_snapshot!(answer(&loaded("deny contains {\"rule\": input.request.path}"), &long), @"error: an object in `deny` cannot be used: `rule` can have at most 128 bytes");
}

/// One rule of the merge: what each of two matching holds says, and what comes of it.
#[test]
fn each_obligation_is_merged_by_its_own_rule() {
    type Show = fn(&crate::model::HoldObligations) -> String;
    let grant = |uses, duration| format!(r#""grant": {{"max_uses": {uses}, "max_duration": "{duration}"}}"#);
    let step = |after, group, count| {
        format!(r#""escalate": [{{"after": "{after}", "reviewers": [{{"group": "{group}", "count": {count}}}]}}]"#)
    };
    let grants: Show = |hold| {
        hold.grant.map_or("none".to_owned(), |grant| format!("{} in {}s", grant.max_uses, grant.max_duration.as_secs()))
    };
    let steps: Show = |hold| {
        let step = |step: &crate::model::Escalation| {
            let Requirement { group, count } = &step.reviewers[0];
            format!("{}s {group}={count}", step.after.as_secs())
        };
        hold.escalate.iter().map(step).collect::<Vec<_>>().join(", ")
    };
    let redacted: Show = |hold| hold.redact.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let nothing = String::new();
    let text = |text: &str| text.to_owned();
    let cases: Vec<(String, String, Show, &str)> = vec![
        // Reviewers: all of them, the largest count.
        (
            text(r#""reviewers": [{"group": "security", "count": 1}]"#),
            text(r#""reviewers": [{"group": "security", "count": 3}, {"group": "data-owners"}]"#),
            |hold| {
                hold.reviewers.iter().map(|need| format!("{}={}", need.group, need.count)).collect::<Vec<_>>().join(" ")
            },
            "data-owners=1 security=3",
        ),
        // The shortest times.
        (
            text(r#""expires_in": "1h""#),
            text(r#""expires_in": "30m""#),
            |hold| format!("{:?}", hold.expires_in),
            "Some(1800s)",
        ),
        (text(r#""hold_for": "1h""#), nothing.clone(), |hold| format!("{:?}", hold.hold_for), "Some(3600s)"),
        // The highest risk and assurance.
        (text(r#""risk": "low""#), text(r#""risk": "critical""#), |hold| format!("{:?}", hold.risk), "Some(Critical)"),
        (text(r#""assurance": "stepup""#), nothing.clone(), |hold| format!("{:?}", hold.assurance), "Stepup"),
        // One that says so is enough.
        (
            text(r#""require_reason": true"#),
            text(r#""require_reason": false"#),
            |hold| hold.require_reason.to_string(),
            "true",
        ),
        (text(r#""irreversible": true"#), nothing.clone(), |hold| hold.irreversible.to_string(), "true"),
        (
            text(r#""on_disconnect": "withdraw""#),
            text(r#""on_disconnect": "wait""#),
            |hold| format!("{:?}", hold.on_disconnect),
            "Withdraw",
        ),
        // All channels.
        (
            text(r#""channels": ["slack", "email"]"#),
            text(r#""channels": ["teams", "slack"]"#),
            |hold| hold.channels.join(" "),
            "email slack teams",
        ),
        // All that is to be hidden.
        (
            text(r#""redact": ["/body/b", "/body/a"]"#),
            text(r#""redact": ["/query/c", "/body/a"]"#),
            redacted,
            "/body/a /body/b /query/c",
        ),
        // A grant only if all offer one, with the smallest bounds, and never of what cannot be undone.
        (grant(5, "1h"), grant(9, "10m"), grants, "5 in 600s"),
        (grant(5, "1h"), nothing.clone(), grants, "none"),
        (grant(5, "1h"), text(r#""irreversible": true"#), grants, "none"),
        // An escalation only if all offer it: nobody stands in for those whom another rule demands.
        (step("20m", "security", 1), step("10m", "data-owners", 2), steps, ""),
        (step("20m", "security", 1), step("20m", "security", 1), steps, "1200s security=1"),
        (step("20m", "security", 1), step("20m", "security", 2), steps, ""),
        (step("20m", "security", 1), nothing, steps, ""),
    ];
    for (one, other, show, expected) in cases {
        let hold = |name: &str, fields: &str| {
            let comma = if fields.is_empty() { "" } else { ", " };
            let reviewers = match fields.starts_with("\"reviewers") {
                true => "",
                false => r#", "reviewers": [{"group": "security"}]"#,
            };
            format!("hold contains {{\"rule\": \"{name}\"{comma}{fields}{reviewers}}}\n")
        };
        for rules in [hold("a", &one) + &hold("b", &other), hold("a", &other) + &hold("b", &one)] {
            let Effect::Hold(hold) = decide(&loaded(&rules), &any_call()).unwrap().effect else { panic!("{rules}") };
            assert_eq!(show(&hold), expected, "{rules}");
        }
    }
}

#[test]
fn a_single_hold_keeps_all_its_escalations() {
    let step = |after, group| format!(r#"{{"after": "{after}", "reviewers": [{{"group": "{group}"}}]}}"#);
    let (late, early) = (step("20m", "security"), step("10m", "data-owners"));
    let rule = format!(
        r#"hold contains {{"rule": "a", "reviewers": [{{"group": "security"}}], "escalate": [{late}, {early}, {late}]}}"#
    );
    let Effect::Hold(hold) = decide(&loaded(&rule), &any_call()).unwrap().effect else { panic!("{rule}") };
    assert_eq!(hold.escalate.iter().map(|step| step.after.as_secs()).collect::<Vec<_>>(), [600, 1200]);
}

#[test]
fn what_allows_want_logged_is_put_together() {
    let policy = loaded(
        r#"
        allow contains {"rule": "a", "log": ["principal.claims.team", "request.query.ticket"]}
        allow contains {"rule": "b", "log": ["upstream.name", "input.principal.claims.team"]}
        "#,
    );
    let Effect::Allow(allow) = decide(&policy, &any_call()).unwrap().effect else { panic!("not allowed") };
    assert_eq!(allow.log, ["principal.claims.team", "request.query.ticket", "upstream.name"]);
    // What is logged does not make calls differ that the rules take for the same.
    assert!(policy.shares_decisions());
    let many =
        |from: usize| (from..from + 20).map(|n| format!("\"principal.claims.c{n}\"")).collect::<Vec<_>>().join(", ");
    let rules = format!(
        "allow contains {{\"rule\": \"a\", \"log\": [{}]}}\nallow contains {{\"rule\": \"b\", \"log\": [{}]}}",
        many(0),
        many(20)
    );
    assert_snapshot!(answer(&loaded(&rules), &any_call()), @"error: an object in `allow` cannot be used: rule `a`: the matching rules together want more than 32 fields in `log`");
}
