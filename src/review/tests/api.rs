//! What each request is answered with.

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use serde_json::json;
use tower::ServiceExt;

use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::Requirement;

use super::Fixture;

#[tokio::test]
async fn a_reviewer_sees_the_whole_call_and_approves_it() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/customers/export?all=1").await;
    let id = hold.id();
    let shown = fixture.get("bo", &format!("/v1/approvals/{id}")).await;
    assert_eq!(shown.said(), "200");
    let mut json = shown.json();
    let scrub = |json: &mut Value, names: &[&str]| names.iter().for_each(|name| json[*name] = json!("…"));
    scrub(&mut json, &["id", "decision_id", "links"]);
    scrub(&mut json["body"], &["link"]);
    insta::assert_json_snapshot!(json);

    let approved = fixture.decide("bo", id, "approve", Some("fine")).await;
    assert_eq!(approved.said(), "200");
    let json = approved.json();
    assert_eq!((&json["state"], &json["quorum"]["have"]), (&json!("approved"), &json!(1)));
    assert_eq!(json["reviews"][0]["person"], "bo@example.com");
    assert_eq!(json["reviews"][0]["assurance"], "session");
    assert_eq!(json["can_decide"]["code"], "already-decided");
    assert!(json["outcome"]["claim_until"].is_string());
    // The same again changes nothing.
    let again = fixture.decide("bo", id, "approve", Some("fine")).await;
    assert_eq!((again.said(), &again.json()["version"]), ("200".to_owned(), &json["version"]));
}

/// What `who` is told who sends `body` to the decisions of a call that is held anew for each.
async fn decided(fixture: &Fixture, who: &str, verdict: &str, reason: Option<&str>) -> String {
    let hold = fixture.hold("/customers/export").await;
    fixture.decide(who, hold.id(), verdict, reason).await.said()
}

#[tokio::test]
async fn who_may_say_what() {
    let fixture = Fixture::new().await;
    let cases = [
        ("bo", "approve", None, "200"),
        ("bo", "deny", Some("no"), "200"),
        ("bo", "ask", Some("why?"), "200"),
        ("bo", "ask", None, "422 question-required"),
        ("bo", "ask", Some("  "), "422 question-required"),
        ("bo", "withdraw", None, "403 not-requester"),
        ("ana", "approve", None, "403 own-request"),
        ("ana", "deny", None, "403 own-request"),
        ("ana", "ask", Some("why?"), "403 own-request"),
        ("ana", "withdraw", None, "200"),
        ("eve", "approve", None, "403 not-reviewer"),
        ("dee", "deny", None, "403 not-reviewer"),
        ("agent", "approve", None, "401 unauthenticated"),
        ("agent", "deny", None, "401 unauthenticated"),
        ("agent", "withdraw", None, "401 unauthenticated"),
        ("-", "approve", None, "401 unauthenticated"),
    ];
    for (who, verdict, reason, expected) in cases {
        assert_eq!(decided(&fixture, who, verdict, reason).await, expected, "{who} {verdict} {reason:?}");
    }
    assert_eq!(decided(&fixture, "bo", "approve", Some(&"x".repeat(5_000))).await, "422 text-too-long");
}

#[tokio::test]
async fn what_the_policy_asks_for_is_kept() {
    let fixture = Fixture::new().await;
    let strict = fixture.hold_with("/a", |_, asks| asks.assurance = Assurance::Stepup).await;
    assert_eq!(fixture.decide("bo", strict.id(), "approve", None).await.said(), "403 needs-step-up");
    let shown = fixture.get("bo", &format!("/v1/approvals/{}", strict.id())).await.json();
    assert_eq!(shown["can_decide"]["code"], "needs-step-up");
    assert_eq!(fixture.decide("bo", strict.id(), "deny", None).await.said(), "200");

    let reasoned = fixture.hold_with("/b", |_, asks| asks.require_reason = true).await;
    assert_eq!(fixture.decide("bo", reasoned.id(), "approve", Some(" ")).await.said(), "422 reason-required");

    let two = fixture.hold_with("/c", |_, asks| {
        asks.reviewers = vec![
            Requirement { group: "data-owners".to_owned(), count: 1 },
            Requirement { group: "security".to_owned(), count: 1 },
        ];
    });
    let two = two.await;
    let first = fixture.decide("bo", two.id(), "approve", None).await.json();
    assert_eq!((&first["state"], &first["can_decide"]["code"]), (&json!("pending"), &json!("already-reviewed")));
    assert_eq!(
        first["quorum"],
        json!({ "needed": 2, "have": 1, "slots": [
            { "group": "data-owners", "person": "bo@example.com" }, { "group": "security", "person": null }
        ] })
    );
    // A second owner of the data fills no second place.
    assert_eq!(fixture.decide("cy", two.id(), "approve", None).await.json()["state"], "pending");
    assert_eq!(fixture.decide("dee", two.id(), "approve", None).await.json()["state"], "approved");
}

#[tokio::test]
async fn what_is_over_cannot_be_decided() {
    let fixture = Fixture::new().await;
    let denied = fixture.hold("/a").await;
    assert_eq!(fixture.decide("bo", denied.id(), "deny", Some("no")).await.said(), "200");
    assert_eq!(fixture.decide("bo", denied.id(), "deny", Some("no")).await.said(), "200");
    assert_eq!(fixture.decide("cy", denied.id(), "approve", None).await.said(), "409 already-decided");
    assert_eq!(fixture.decide("ana", denied.id(), "withdraw", None).await.said(), "409 already-decided");
    let late = fixture.hold("/b").await;
    fixture.later(901);
    assert_eq!(fixture.decide("bo", late.id(), "approve", None).await.said(), "410 expired");
    let shown = fixture.get("bo", &format!("/v1/approvals/{}", late.id())).await.json();
    assert_eq!(shown["can_decide"]["code"], "expired");
}

#[tokio::test]
async fn a_decision_is_about_exactly_the_call_that_was_looked_at() {
    let fixture = Fixture::new().await;
    let (hold, other) = (fixture.hold("/a").await, fixture.hold("/b").await);
    let target = format!("/v1/approvals/{}/decisions", hold.id());
    let digest = fixture.digest(other.id()).await;
    for (who, verdict) in [("bo", "approve"), ("bo", "deny"), ("bo", "ask"), ("ana", "withdraw")] {
        let body = json!({ "verdict": verdict, "digest": digest, "reason": "so" });
        let answer = fixture.send(who, "POST", &target, Some(body)).await;
        assert_eq!(answer.said(), "409 digest-mismatch", "{verdict}");
        assert_eq!(answer.json()["approval_id"], hold.id().to_string());
    }
    assert_eq!(fixture.get("bo", &format!("/v1/approvals/{}", hold.id())).await.json()["state"], "pending");
}

#[tokio::test]
async fn a_body_is_read_strictly() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/a").await;
    let digest = fixture.digest(hold.id()).await;
    let base = format!("/v1/approvals/{}", hold.id());
    let cases = [
        ("decisions", json!({ "verdict": "approve" }), "`digest` is missing"),
        ("decisions", json!({ "verdict": "deny", "digest": null }), "`digest` is missing"),
        ("decisions", json!({ "verdict": "ask", "reason": "why?" }), "`digest` is missing"),
        ("decisions", json!({ "verdict": "approve", "digest": "3f9a77c1" }), "`digest`: `3f9a77c1` is not a digest"),
        ("decisions", json!({ "digest": digest }), "`verdict` is missing; accepted are `approve`, `deny`, `ask`"),
        ("decisions", json!({ "verdict": "yes", "digest": digest }), "`verdict` is `yes`; accepted are"),
        ("decisions", json!({ "verdict": 1, "digest": digest }), "`verdict` has to be a string, and is a number"),
        (
            "decisions",
            json!({ "verdict": "approve", "digest": digest, "person": "cy@example.com" }),
            "`person` is not a field of this body; accepted are `verdict`, `digest`, `reason`",
        ),
        ("decisions", json!(["approve"]), "a JSON object"),
        ("cancel", json!({ "reasons": "x" }), "`reasons` is not a field of this body; accepted are `reason`"),
        ("messages", json!({}), "`text` is missing"),
        ("messages", json!({ "text": "  " }), "`text` is missing"),
        ("messages", json!({ "text": ["x"] }), "`text` has to be a string, and is an array"),
    ];
    for (path, body, expected) in cases {
        let answer = fixture.send("bo", "POST", &format!("{base}/{path}"), Some(body.clone())).await;
        assert_eq!(answer.said(), "422 invalid-body", "{body}");
        assert!(answer.detail().contains(expected), "{body}: {}", answer.detail());
    }
    let kinds = [
        ("application/json", "{\"verdict\":", "400 bad-request"),
        ("application/json", "", "400 bad-request"),
        ("application/json", "{\"verdict\":\"deny\",\"verdict\":\"approve\"}", "422 invalid-body"),
        ("application/json; charset=utf-8", "{}", "422 invalid-body"),
        ("text/plain", "{}", "415 unsupported-media-type"),
        ("application/x-www-form-urlencoded", "verdict=approve", "415 unsupported-media-type"),
    ];
    for (kind, body, expected) in kinds {
        let request = Request::post(format!("{base}/decisions"))
            .header("authorization", format!("Bearer {}", fixture.token("bo")))
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap();
        assert_eq!(fixture.raw(request).await.said(), expected, "{kind} {body}");
    }
    let long = json!({ "verdict": "deny", "digest": digest, "reason": "x".repeat(70_000) });
    let answer = fixture.send("bo", "POST", &format!("{base}/decisions"), Some(long)).await;
    assert_eq!(answer.said(), "413 body-too-large");
}

#[tokio::test]
async fn every_wrong_turn_is_a_problem_document() {
    let fixture = Fixture::new().await;
    let unknown = "apr_00000000000070008000000000000000";
    let cases = [
        ("GET", "/v1/nothing".to_owned(), "404 not-found"),
        ("GET", "/v1/approvals/".to_owned(), "404 not-found"),
        ("GET", format!("/v1/approvals/{unknown}"), "404 not-found"),
        ("GET", format!("/v1/approvals/{unknown}/events"), "404 not-found"),
        ("GET", "/v1/approvals/call_1".to_owned(), "400 bad-request"),
        ("GET", "/v1/approvals/%ff".to_owned(), "400 bad-request"),
        ("GET", "/v1/approvals?state=open".to_owned(), "400 bad-request"),
        ("GET", "/v1/approvals?limit=0".to_owned(), "400 bad-request"),
        ("GET", "/v1/approvals?limit=201".to_owned(), "400 bad-request"),
        ("GET", "/v1/approvals?limit=5&limit=6".to_owned(), "400 bad-request"),
        ("GET", "/v1/approvals?mine=all".to_owned(), "400 bad-request"),
        ("GET", "/v1/approvals?after=apr_1".to_owned(), "400 bad-request"),
        ("GET", "/v1/approvals?status=pending".to_owned(), "400 bad-request"),
        ("GET", "/v1/events?after=-1".to_owned(), "400 bad-request"),
        ("GET", "/v1/events?after=99999999999999999999".to_owned(), "400 bad-request"),
        ("GET", "/v1/events?since=1".to_owned(), "400 bad-request"),
        ("DELETE", "/v1/approvals".to_owned(), "405 method-not-allowed"),
        ("PUT", format!("/v1/approvals/{unknown}"), "405 method-not-allowed"),
        ("GET", format!("/v1/approvals/{unknown}/decisions"), "405 method-not-allowed"),
        ("POST", "/metrics".to_owned(), "405 method-not-allowed"),
    ];
    for (method, target, expected) in cases {
        let answer = fixture.send("bo", method, &target, None).await;
        assert_eq!(answer.said(), expected, "{method} {target}");
        assert_eq!(answer.headers.contains_key("allow"), answer.status == 405, "{method} {target}");
    }
    for path in ["decisions", "cancel", "messages"] {
        let body = match path {
            "decisions" => json!({ "verdict": "approve", "digest": format!("sha256:{}", "0".repeat(64)) }),
            "cancel" => json!({}),
            _ => json!({ "text": "because" }),
        };
        let answer = fixture.send("bo", "POST", &format!("/v1/approvals/{unknown}/{path}"), Some(body)).await;
        assert_eq!(answer.said(), "404 not-found", "{path}");
    }
}

#[tokio::test]
async fn an_agents_key_is_refused_wherever_it_stands() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/a").await;
    let digest = fixture.digest(hold.id()).await;
    let base = format!("/v1/approvals/{}", hold.id());
    let fields = [
        vec![("authorization", format!("Bearer {}", fixture.agent_key))],
        vec![("authorization", format!("token {}", fixture.agent_key))],
        vec![("x-api-key", fixture.agent_key.clone())],
        vec![("api-key", fixture.agent_key.clone())],
        // A stolen token does not help an agent that also shows its own key.
        vec![("authorization", format!("Bearer {}", fixture.token("bo"))), ("x-api-key", fixture.agent_key.clone())],
        vec![("authorization", format!("Bearer {}", fixture.token("bo"))), ("api-key", fixture.agent_key.clone())],
    ];
    let requests = [
        ("GET", "/v1/approvals".to_owned(), None),
        ("GET", base.clone(), None),
        ("GET", format!("{base}/events"), None),
        ("GET", "/v1/events".to_owned(), None),
        ("GET", "/v1/me".to_owned(), None),
        ("POST", format!("{base}/decisions"), Some(json!({ "verdict": "approve", "digest": digest }))),
        ("POST", format!("{base}/cancel"), Some(json!({}))),
        ("POST", format!("{base}/messages"), Some(json!({ "text": "x" }))),
    ];
    for fields in &fields {
        for (method, target, body) in &requests {
            let mut request = Request::builder().method(*method).uri(target).header("content-type", "application/json");
            for (name, value) in fields {
                request = request.header(*name, value);
            }
            let body = body.as_ref().map_or(Body::empty(), |body| Body::from(body.to_string()));
            let answer = fixture.raw(request.body(body).unwrap()).await;
            assert_eq!(answer.said(), "401 unauthenticated", "{method} {target}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"holdpoint\"");
            assert!(!answer.text.contains(&fixture.agent_key));
        }
    }
    assert_eq!(fixture.get("bo", &base).await.json()["version"], 1);
    let metrics = fixture.get("-", "/metrics").await.text;
    assert!(metrics.contains("holdpoint_auth_failures_total{kind=\"reviewer\",reason=\"wrong_kind\"} 40"), "{metrics}");
}

#[tokio::test]
async fn pages_follow_each_other_without_gap() {
    let fixture = Fixture::new().await;
    let mut holds = Vec::new();
    for number in 0..7 {
        fixture.later(1);
        holds.push(fixture.hold(&format!("/customers/{number}")).await);
    }
    fixture.decide("bo", holds[3].id(), "deny", None).await;
    let newest_first: Vec<String> = holds.iter().rev().map(|hold| hold.id().to_string()).collect();
    let cases = [
        ("", newest_first.clone()),
        ("state=pending", newest_first.iter().filter(|id| **id != holds[3].id().to_string()).cloned().collect()),
        ("state=denied", vec![holds[3].id().to_string()]),
        ("state=denied,pending", newest_first.clone()),
        ("state=denied&state=pending", newest_first.clone()),
        ("principal=deploy-bot&upstream=payments", newest_first.clone()),
        ("principal=other", Vec::new()),
        ("upstream=other", Vec::new()),
        ("mine=review", newest_first.iter().filter(|id| **id != holds[3].id().to_string()).cloned().collect()),
        ("mine=review&state=denied", Vec::new()),
    ];
    for (query, expected) in cases {
        for limit in [1, 2, 3, 7, 50] {
            let mut found = Vec::new();
            let mut target = format!("/v1/approvals?{query}&limit={limit}");
            loop {
                let page = fixture.get("bo", &target).await;
                assert_eq!(page.said(), "200", "{target}");
                let json = page.json();
                let ids = json["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
                found.extend(ids);
                let link = page.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
                let Some(next) = json["next"].as_str() else {
                    assert_eq!(link, None);
                    break;
                };
                let link = link.unwrap();
                assert!(link.contains(&format!("after={next}>; rel=\"next\"")), "{link}");
                target = link[1..link.find('>').unwrap()].to_owned();
            }
            assert_eq!(found, expected, "{query} by {limit}");
        }
    }
    let mine = |who: &'static str| {
        let fixture = &fixture;
        async move { fixture.get(who, "/v1/approvals?mine=review").await.json()["items"].as_array().unwrap().len() }
    };
    assert_eq!((mine("ana").await, mine("bo").await, mine("eve").await), (0, 6, 0));
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/a").await;
    let target = format!("/v1/approvals/{}", hold.id());
    let tag = fixture.get("bo", &target).await.headers["etag"].to_str().unwrap().to_owned();
    let asked = |who: &'static str, tag: String| {
        let (fixture, target) = (&fixture, target.clone());
        async move {
            let request = Request::get(target)
                .header("authorization", format!("Bearer {}", fixture.token(who)))
                .header("if-none-match", tag)
                .body(Body::empty())
                .unwrap();
            let response = fixture.router().oneshot(request).await.unwrap();
            response.status().as_u16()
        }
    };
    assert_eq!(asked("bo", tag.clone()).await, 304);
    assert_eq!(asked("bo", format!("\"x\", W/{tag}")).await, 304);
    assert_eq!(asked("bo", "\"x\"".to_owned()).await, 200);
    // Another person may do other things, so theirs is another answer.
    assert_eq!(asked("ana", tag.clone()).await, 200);
    fixture.decide("bo", hold.id(), "ask", Some("why?")).await;
    assert_eq!(asked("bo", tag).await, 200);
}

#[tokio::test]
async fn a_question_is_answered_by_those_behind_the_call() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/a").await;
    let target = format!("/v1/approvals/{}/messages", hold.id());
    let answer = |who: &'static str| fixture.send(who, "POST", &target, Some(json!({ "text": "the audit" })));
    assert_eq!(answer("ana").await.said(), "409 no-open-question");
    assert_eq!(answer("bo").await.said(), "403 not-requester");
    let asked = fixture.decide("bo", hold.id(), "ask", Some("what for?")).await.json();
    assert_eq!(asked["open_question"]["text"], "what for?");
    // An impatient second click asks nothing new.
    let again = fixture.decide("bo", hold.id(), "ask", Some("what for?")).await.json();
    assert_eq!(again["messages"].as_array().unwrap().len(), 1);
    assert_eq!(answer("bo").await.said(), "403 not-requester");
    let answered = answer("ana").await.json();
    assert_eq!(answered["open_question"], Value::Null);
    assert_eq!(answered["messages"][1]["by"], "ana@example.com");
    assert_eq!(answer("ana").await.said(), "409 no-open-question");
}

#[tokio::test]
async fn those_behind_a_call_may_take_it_back() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/a").await;
    let target = format!("/v1/approvals/{}/cancel", hold.id());
    let cancel = |who: &'static str| fixture.send(who, "POST", &target, Some(json!({ "reason": "a mistake" })));
    assert_eq!(cancel("bo").await.said(), "403 not-requester");
    let cancelled = cancel("ana").await.json();
    assert_eq!((&cancelled["state"], &cancelled["outcome"]["reason"]), (&json!("withdrawn"), &json!("a mistake")));
    // The same again is no error; from somebody else it would be.
    assert_eq!(cancel("ana").await.said(), "200");
    assert_eq!(cancel("bo").await.said(), "403 not-requester");
}

#[tokio::test]
async fn a_store_or_log_that_is_away_is_said_without_its_insides() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/a").await;
    let digest = fixture.digest(hold.id()).await;
    let target = format!("/v1/approvals/{}/decisions", hold.id());
    let body = json!({ "verdict": "approve", "digest": digest });
    fixture.close_log();
    let answer = fixture.send("bo", "POST", &target, Some(body.clone())).await;
    assert_eq!(answer.said(), "503 audit-unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(fixture.get("bo", "/v1/approvals").await.json()["items"][0]["state"], "pending");
    fixture.break_store();
    for path in ["/v1/approvals".to_owned(), format!("/v1/approvals/{}", hold.id())] {
        let answer = fixture.get("bo", &path).await;
        assert_eq!(answer.said(), "503 store-unavailable", "{path}");
        assert!(!answer.text.contains("/dev/secret"));
    }
}

#[tokio::test]
async fn machines_ask_without_a_token() {
    let fixture = Fixture::new().await;
    let said = |path: &'static str| {
        let fixture = &fixture;
        async move { fixture.get("-", path).await.said() }
    };
    assert_eq!(said("/livez").await, "200");
    assert_eq!(said("/readyz").await, "200");
    assert_eq!(said("/v1/openapi.json").await, "200");
    assert!(fixture.get("-", "/metrics").await.text.contains("holdpoint_approvals_pending 0"));
    let checkpoint = fixture.get("-", "/log/checkpoint").await;
    assert!(checkpoint.text.starts_with("holdpoint.test/log\n"), "{}", checkpoint.text);
    fixture.not_ready("the policy has not been loaded; the audit log's disk is full");
    let answer = fixture.get("-", "/readyz").await;
    assert_eq!(answer.said(), "503 not-ready");
    assert!(answer.detail().contains("disk is full"));
    assert_eq!(said("/livez").await, "200");
    fixture.state.drain.cancel();
    assert_eq!(said("/readyz").await, "503 draining");
    assert_eq!(fixture.get("bo", "/v1/events").await.said(), "503 draining");
}

#[tokio::test]
async fn a_person_learns_who_they_are() {
    let fixture = Fixture::new().await;
    let me = fixture.get("bo", "/v1/me").await.json();
    assert_eq!(me, json!({ "person": "bo@example.com", "groups": ["data-owners"] }));
    assert_eq!(fixture.get("-", "/v1/me").await.said(), "401 unauthenticated");
}

#[tokio::test]
async fn nothing_served_may_be_kept_or_taken_for_a_page() {
    let fixture = Fixture::new().await;
    for path in ["/livez", "/v1/me", "/v1/nothing", "/metrics", "/v1/approvals"] {
        let headers = fixture.get("bo", path).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"), "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let mut fixture = Fixture::new().await;
    fixture.state.ready = std::sync::Arc::new(|| panic!("a mistake with the secret hp_pat_x"));
    let answer = fixture.get("-", "/readyz").await;
    assert_eq!(answer.said(), "500 internal-error");
    assert!(!answer.text.contains("hp_pat_x"));
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn reading_changes_nothing() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/a").await;
    let base = format!("/v1/approvals/{}", hold.id());
    let before = fixture.approvals.get(hold.id()).await.unwrap();
    for method in ["GET", "HEAD"] {
        for path in [
            base.clone(),
            format!("{base}/decisions?verdict=approve"),
            format!("{base}/cancel"),
            "/v1/approvals".to_owned(),
        ] {
            fixture.send("bo", method, &path, None).await;
        }
    }
    assert_eq!(fixture.approvals.get(hold.id()).await.unwrap(), before);
}

#[tokio::test]
async fn what_an_agent_wrote_is_passed_on_as_it_is() {
    let fixture = Fixture::new().await;
    let hostile = "\u{202e}fine\u{1b}[2K</script>\u{0}\"";
    let hold = fixture.hold_with("/a", |call, _| call.reason = Some(hostile.to_owned())).await;
    let answer = fixture.get("bo", &format!("/v1/approvals/{}", hold.id())).await;
    assert_eq!(answer.json()["agent_reason"], hostile);
    assert!(!answer.text.contains(['\u{1b}', '\u{0}']));
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[test]
fn the_codes_are_distinct() {
    let codes = super::super::refused::Code::ALL;
    let words: std::collections::BTreeSet<_> = codes.iter().map(|code| code.as_str()).collect();
    assert_eq!(words.len(), codes.len());
}

#[tokio::test]
async fn the_id_of_another_kind_is_refused_with_its_form() {
    let fixture = Fixture::new().await;
    let detail = fixture.get("bo", "/v1/approvals/42").await.detail();
    assert!(detail.contains("`42`") && detail.contains("`apr_`"), "{detail}");
    assert!("apr_00000000000070008000000000000000".parse::<ApprovalId>().is_ok());
}

/// Gives the call a body of this many letters.
fn lengthen(call: &mut crate::model::Call, length: usize) {
    let crate::model::Message::Http(request) = &mut call.message;
    let bytes = bytes::Bytes::from("x".repeat(length));
    request.body = crate::model::Body::Read { bytes, trailers: axum::http::HeaderMap::new() };
}

#[tokio::test]
async fn a_body_is_a_file_to_be_saved() {
    let fixture = Fixture::new().await;
    let short = fixture.hold("/short").await;
    let long = fixture.hold_with("/long", |call, _| lengthen(call, 600_000)).await;
    for (hold, text, inline) in [(&short, "{\"format\":\"csv\"}".to_owned(), true), (&long, "x".repeat(600_000), false)]
    {
        let shown = fixture.get("bo", &format!("/v1/approvals/{}", hold.id())).await.json();
        let (body, request) = (&shown["body"], &shown["request"]);
        assert_eq!((&body["bytes"], &body["complete"]), (&json!(text.len()), &json!(true)));
        assert_eq!((&body["inline"], request["body_text"].is_string()), (&json!(inline), inline));
        assert_eq!((&body["sha256"], &body["coding"]), (&request["body_sha256"], &json!(null)));
        assert_eq!(shown["can_decide"]["allowed"], true);
        let file = fixture.get("bo", body["link"].as_str().unwrap()).await;
        assert_eq!((file.status, &file.headers["content-type"]), (200, &"application/octet-stream".parse().unwrap()));
        assert!(file.text == text);
        let field = |name: &str| file.headers[name].to_str().unwrap();
        assert_eq!(field("content-length"), text.len().to_string());
        assert_eq!(field("content-disposition"), format!("attachment; filename=\"{}.body\"", hold.id()));
        assert_eq!(field("x-content-type-options"), "nosniff");
        assert!(field("content-security-policy").starts_with("default-src 'none'"));
        assert!(field("repr-digest").starts_with("sha-256=:"));
    }
    let target = format!("/v1/approvals/{}/body", long.id());
    for (who, expected) in [("-", "401 unauthenticated"), ("agent", "401 unauthenticated")] {
        assert_eq!(fixture.get(who, &target).await.said(), expected);
    }
    assert_eq!(
        fixture.get("bo", "/v1/approvals/apr_0198c2f0aaaa7000800000000000abcd/body").await.said(),
        "404 not-found"
    );
    fixture.decide("bo", long.id(), "deny", None).await;
    assert_eq!(fixture.get("bo", &target).await.said(), "410 body-gone");
    let shown = fixture.get("bo", &format!("/v1/approvals/{}", long.id())).await.json();
    assert_eq!((&shown["body"]["complete"], &shown["body"]["bytes"]), (&json!(false), &json!(600_000)));
}

#[tokio::test]
async fn an_encoded_body_is_shown_and_given_out_decoded() {
    let fixture = Fixture::new().await;
    let decoded = "{\"amount\": 100}";
    let hold = fixture.hold_with("/pay", |call, _| {
        let crate::model::Message::Http(request) = &mut call.message;
        request.body = crate::model::Body::Encoded {
            bytes: bytes::Bytes::from_static(b"\x1f\x8b and so on"),
            trailers: axum::http::HeaderMap::new(),
            coding: "gzip",
            decoded: bytes::Bytes::from_static(decoded.as_bytes()),
        };
    });
    let hold = hold.await;
    let shown = fixture.get("bo", &format!("/v1/approvals/{}", hold.id())).await.json();
    assert_eq!(shown["request"]["body_text"], decoded);
    let body = &shown["body"];
    assert_eq!((&body["coding"], &body["bytes"], &body["readable_bytes"]), (&json!("gzip"), &json!(12), &json!(15)));
    assert_ne!(body["sha256"], body["readable_sha256"]);
    assert_eq!(fixture.get("bo", body["link"].as_str().unwrap()).await.text, decoded);
}

#[tokio::test]
async fn a_request_with_a_key_is_carried_out_once() {
    let fixture = Fixture::new().await;
    let router = fixture.router();
    let hold = fixture.hold("/a").await;
    let place = format!("/v1/approvals/{}/decisions", hold.id());
    let digest = fixture.digest(hold.id()).await;
    let send = |who: &'static str, key: &'static str, body: Value| {
        let request = Request::post(&place)
            .header("authorization", format!("Bearer {}", fixture.token(who)))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()));
        let router = router.clone();
        async move { super::fixture::answered(router.oneshot(request.unwrap()).await.unwrap()).await }
    };
    let ask = |text: &str| json!({ "verdict": "ask", "digest": digest, "reason": text });
    let first = send("bo", "one", ask("why?")).await;
    assert_eq!((first.said(), first.headers.get("idempotency-replayed")), ("200".to_owned(), None));
    assert_eq!(fixture.decide("cy", hold.id(), "ask", Some("and when?")).await.said(), "200");
    // Sent again, it is answered as before, and nothing is asked anew.
    let again = send("bo", "\"one\"", ask("why?")).await;
    assert_eq!((&again.text, again.headers["idempotency-replayed"].as_bytes()), (&first.text, &b"true"[..]));
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    let messages = fixture.approvals.get(hold.id()).await.unwrap().unwrap().messages;
    assert_eq!(messages.len(), 2);
    assert_eq!(send("bo", "one", ask("what?")).await.said(), "422 idempotency-key-reused");
    // A key is its person's own.
    assert_eq!(send("cy", "one", ask("who?")).await.said(), "200");
    // So is a refusal kept, but no failure of ours.
    let wrong = json!({ "verdict": "approve", "digest": format!("sha256:{}", "0".repeat(64)) });
    assert_eq!(send("bo", "two", wrong.clone()).await.said(), "409 digest-mismatch");
    assert_eq!(send("bo", "two", wrong).await.headers["idempotency-replayed"], "true");
    for key in ["", "two words", "\u{7f}"] {
        let request = Request::post(&place).header("idempotency-key", key).body(Body::empty());
        let answer = super::fixture::answered(router.clone().oneshot(request.unwrap_or_default()).await.unwrap()).await;
        assert_ne!(answer.status, 200, "{key}");
    }
    let unknown = Request::post(&place).header("idempotency-key", "one").body(Body::empty()).unwrap();
    let answer = super::fixture::answered(router.clone().oneshot(unknown).await.unwrap()).await;
    assert_eq!(answer.said(), "401 unauthenticated");
    // A day later it is another request.
    fixture.later(86_400);
    let late = send("bo", "one", ask("why?")).await;
    assert_eq!((late.said(), late.headers.get("idempotency-replayed")), ("410 expired".to_owned(), None));
}

#[tokio::test]
async fn two_requests_with_one_key_are_not_both_carried_out() {
    let fixture = Fixture::new().await;
    let router = fixture.router();
    let hold = fixture.hold("/a").await;
    let body = json!({ "verdict": "deny", "digest": fixture.digest(hold.id()).await }).to_string();
    let send = || {
        let request = Request::post(format!("/v1/approvals/{}/decisions", hold.id()))
            .header("authorization", format!("Bearer {}", fixture.token("bo")))
            .header("content-type", "application/json")
            .header("idempotency-key", "one")
            .body(Body::from(body.clone()));
        let router = router.clone();
        async move { super::fixture::answered(router.oneshot(request.unwrap()).await.unwrap()).await.said() }
    };
    let (first, second) = tokio::join!(send(), send());
    assert_eq!((first.as_str(), second.as_str()), ("200", "409 idempotency-in-flight"));
    assert_eq!(send().await, "200");
}

#[tokio::test]
async fn a_decision_may_ask_that_nothing_has_changed() {
    let fixture = Fixture::new().await;
    let hold = fixture.hold("/a").await;
    let shown = fixture.get("bo", &format!("/v1/approvals/{}", hold.id())).await;
    let tag = shown.headers["etag"].clone();
    fixture.decide("cy", hold.id(), "ask", Some("why?")).await;
    let digest = fixture.digest(hold.id()).await;
    let send = |tag: axum::http::HeaderValue| {
        let request = Request::post(format!("/v1/approvals/{}/decisions", hold.id()))
            .header("authorization", format!("Bearer {}", fixture.token("bo")))
            .header("content-type", "application/json")
            .header("if-match", tag)
            .body(Body::from(json!({ "verdict": "deny", "digest": digest }).to_string()));
        fixture.raw(request.unwrap())
    };
    assert_eq!(send(tag).await.said(), "412 stale");
    let now = fixture.get("bo", &format!("/v1/approvals/{}", hold.id())).await.headers["etag"].clone();
    assert_eq!(send(now).await.said(), "200");
}

#[tokio::test]
async fn figures_tell_rules_apart_but_not_without_end() {
    let fixture = Fixture::new().await;
    for number in 0..210 {
        let target = format!("/{number}");
        let hold = fixture.hold_with(&target, |_, asks| asks.rules = vec![format!("rule-{number}")]).await;
        fixture.decide("bo", hold.id(), if number % 2 == 0 { "deny" } else { "approve" }, None).await;
        drop(hold);
    }
    let figures = fixture.get("-", "/metrics").await.text;
    assert!(figures.contains("holdpoint_rule_outcomes_total{outcome=\"denied\",rule=\"rule-0\"} 1"), "{figures}");
    let series = figures.lines().filter(|line| line.starts_with("holdpoint_rule_outcomes_total{")).count();
    // 200 rules, and two outcomes of all others.
    assert_eq!(series, 202, "{figures}");
    assert!(figures.contains("holdpoint_rule_outcomes_total{outcome=\"approved\",rule=\"other\"} 5"), "{figures}");
    assert!(figures.contains("holdpoint_decision_latency_seconds_bucket{le=\"3\"} 210"), "{figures}");
    assert!(figures.contains("holdpoint_hold_disconnects_total"), "{figures}");
}
