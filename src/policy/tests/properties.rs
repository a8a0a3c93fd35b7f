//! What holds for all policies and all calls.

use proptest::prelude::*;

use super::*;

/// Bodies of rules, some of which match some calls.
const BODIES: [&str; 8] = [
    "true",
    "input.request.method == \"GET\"",
    "input.request.method == \"DELETE\"",
    "startswith(input.request.path, \"/customers\")",
    "input.upstream.environment == \"production\"",
    "not input.request.query.limit",
    "some action in input.actions; action.kind == \"delete\"",
    "input.context.weekday == \"sunday\"",
];

/// A rule of one of the three sets, by numbers.
fn rule(kind: u8, body: usize, index: usize) -> String {
    let (set, more) = match kind {
        0 => ("deny", ""),
        1 => ("hold", ", \"reviewers\": [{\"group\": \"security\", \"count\": 2}]"),
        2 => ("hold", ", \"reviewers\": [{\"group\": \"data-owners\"}], \"assurance\": \"session\""),
        _ => ("allow", ""),
    };
    let body = BODIES.get(body).unwrap();
    format!("{set} contains {{\"rule\": \"r{index}\"{more}}} if {{ {body} }}\n")
}

fn rules() -> impl Strategy<Value = Vec<(u8, usize)>> {
    prop::collection::vec((0u8..4, 0..BODIES.len()), 1..6)
}

fn calls() -> impl Strategy<Value = Call> {
    let parts = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    parts.prop_map(|(deletes, elsewhere, limited, staging)| {
        call(|call, request| {
            if deletes {
                request.method = Method::DELETE;
                call.actions = Actions::one(action("openapi:x", ActionKind::Delete, Access::Write));
            }
            if elsewhere {
                request.path = "/elsewhere".to_owned();
            }
            if limited {
                request.query = Some("limit=1".to_owned());
            }
            if staging {
                call.upstream = Arc::new(Upstream { environment: "staging".to_owned(), ..(*call.upstream).clone() });
            }
        })
    })
}

fn policy(rules: &[(u8, usize)]) -> Policy {
    loaded(&rules.iter().enumerate().map(|(index, (kind, body))| rule(*kind, *body, index)).collect::<String>())
}

/// How strict an answer is; of two holds, the one that asks for no less in anything.
fn no_weaker(stricter: &Effect, before: &Effect) -> bool {
    let rank = |effect: &Effect| match effect {
        Effect::Allow(_) => 0,
        Effect::Hold(_) => 1,
        Effect::Deny(_) | Effect::NoMatch => 2,
    };
    match (stricter, before) {
        (Effect::Hold(stricter), Effect::Hold(before)) => {
            let has = |needed: &Requirement| {
                stricter.reviewers.iter().any(|has| has.group == needed.group && has.count >= needed.count)
            };
            before.reviewers.iter().all(has) && stricter.assurance >= before.assurance
        }
        _ => rank(stricter) >= rank(before),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn adding_a_deny_never_makes_an_answer_weaker(rules in rules(), body in 0..BODIES.len(), call in calls()) {
        let before = decide(&policy(&rules), &call).unwrap().effect;
        let more: Vec<_> = rules.iter().copied().chain([(0, body)]).collect();
        let after = decide(&policy(&more), &call).unwrap().effect;
        prop_assert!(no_weaker(&after, &before), "{before:?} became {after:?}");
    }

    #[test]
    fn adding_a_hold_never_makes_an_allow_or_a_hold_weaker(
        rules in rules(), kind in 1u8..3, body in 0..BODIES.len(), call in calls(),
    ) {
        let before = decide(&policy(&rules), &call).unwrap().effect;
        prop_assume!(!matches!(before, Effect::NoMatch));
        let more: Vec<_> = rules.iter().copied().chain([(kind, body)]).collect();
        let after = decide(&policy(&more), &call).unwrap().effect;
        prop_assert!(no_weaker(&after, &before), "{before:?} became {after:?}");
    }

    #[test]
    fn how_rules_are_split_into_files_does_not_matter(rules in rules(), call in calls()) {
        let files: Vec<Source> = rules.iter().enumerate().map(|(index, (kind, body))| {
            source(&format!("{index}.rego"), &format!("package holdpoint\n{}", rule(*kind, *body, index)))
        }).collect();
        let split = Policy::load(&files, &[], settings()).unwrap();
        prop_assert_eq!(decide(&split, &call).unwrap().effect, decide(&policy(&rules), &call).unwrap().effect);
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text in ".{0,200}", rest in "[a-z{}()\\[\\]:=.,\"0-9 \n]{0,120}") {
        let _ = load(&text);
        let _ = load(&format!("allow contains {{\"rule\": \"x\"}} if {{ {rest} }}"));
    }
}

/// Rules that read the input in many ways, some of which forbid to share decisions.
const READERS: [&str; 16] = [
    "input.request.method == \"GET\"",
    "startswith(input.request.path, \"/customers\")",
    "input.request.path_segments[0] == \"elsewhere\"",
    "input.request.query.limit[0] == \"1\"",
    "input.request.headers[\"x-mode\"][0] == \"force\"",
    "some name; input.request.headers[name][_] == \"force\"",
    "input.upstream.environment == \"staging\"",
    "some action in input.actions; action.kind == \"delete\"",
    "input.principal.id == \"deploy-bot\"",
    "input.context.weekday == \"sunday\"",
    "input.context.reason == \"please\"",
    "object.get(input, [\"request\", \"method\"], \"\") == \"DELETE\"",
    "r := input.request; r.path == \"/elsewhere\"",
    "walk(input, [path, value]); value == \"force\"",
    "some key; input.request[key] == \"/elsewhere\"",
    "count(input.actions) == 1; not input.context.ticket",
];

fn varied_calls() -> impl Strategy<Value = Call> {
    let parts = (calls(), any::<bool>(), any::<bool>(), any::<bool>());
    parts.prop_map(|(mut call, force, please, ticket)| {
        let Message::Http(request) = &mut call.message;
        if force {
            request.headers.insert("x-mode", http::HeaderValue::from_static("force"));
        }
        call.reason = please.then(|| "please".to_owned());
        call.context = ticket.then(|| "OPS-1".to_owned());
        call
    })
}

proptest! {
    #[test]
    fn a_decision_that_is_remembered_is_the_one_that_would_be_made(
        rules in prop::collection::vec((0u8..4, 0..READERS.len()), 1..5),
        calls in prop::collection::vec(varied_calls(), 1..12),
        days in prop::collection::vec(0i64..7, 12),
    ) {
        let text: String = rules.iter().enumerate().map(|(index, (kind, body))| {
            let more = if matches!(kind, 1 | 2) { ", \"reviewers\": [{\"group\": \"security\", \"count\": 1}]" } else { "" };
            let set = match kind { 0 => "deny", 1 | 2 => "hold", _ => "allow" };
            format!("{set} contains {{\"rule\": \"r{index}\"{more}}} if {{ {} }}\n", READERS[*body])
        }).collect();
        let remembering = loaded(&text);
        for (call, day) in calls.iter().zip(days) {
            let now = Timestamp::from_unix_micros(day * 24 * 60 * 60 * 1_000_000);
            let id = DecisionId::new(&crate::model::IdSource::new([0; 10]), now);
            let fresh = loaded(&text).decide(call, None, id, now).map(|decision| decision.effect);
            let remembered = remembering.decide(call, None, id, now).map(|decision| decision.effect);
            prop_assert_eq!(format!("{remembered:?}"), format!("{fresh:?}"), "{}", text);
        }
    }
}

#[test]
fn rules_that_read_time_bodies_or_whole_objects_share_nothing() {
    let shares = |body: &str| loaded(&format!("allow contains {{\"rule\": \"r\"}} if {{ {body} }}")).shares_decisions();
    for body in [READERS[0], READERS[4], READERS[6], READERS[7], READERS[10]] {
        assert!(shares(body), "{body}");
    }
    for body in
        ["input.context.time != \"\"", READERS[9], READERS[12], READERS[13], READERS[14], "input.request.body.x == 1"]
    {
        assert!(!shares(body), "{body}");
    }
}
