//! Attempts at one call are one approval and one run; two calls are two.

use http::Method;
use serde_json::Value;

use crate::support::POLICY;
use crate::support::World;
use crate::support::eventually;

/// Waits until the upstream has so many requests to `target`.
async fn arrived(world: &World, target: &str, count: usize) {
    eventually("the call at the upstream", || async { (world.upstream.count(target) == count).then_some(()) }).await;
}

/// Every approval there is; so many.
async fn all(world: &World, count: usize) -> Vec<Value> {
    let all = world.approvals("").await;
    assert_eq!(all.len(), count, "{all:#?}");
    all
}

#[tokio::test]
async fn an_attempt_takes_the_place_of_the_one_before_it() {
    let world = World::start();
    let attempt = |number: &str| {
        let call = world.call(Method::POST, "/held/a").body("x").with("amz-sdk-invocation-id", "7c9e6679");
        call.with("amz-sdk-request", &format!("attempt={number}; max=3"))
    };
    let first = attempt("1").spawn();
    let item = world.held("/held/a").await;
    // The first is still connected: its client has given up and nobody has noticed.
    let second = attempt("2").spawn();
    let told = first.await.unwrap();
    assert_eq!((told.status, told.code().as_str()), (403, "approval-pending"));
    assert_eq!(world.held("/held/a").await["id"], item["id"]);
    world.approve("ana", &item).await;
    assert_eq!(second.await.unwrap().status, 200);
    all(&world, 1).await;
    assert_eq!(world.upstream.count("/held/a"), 1);
    world.verify();
}

#[tokio::test]
async fn an_sdk_that_only_counts_its_attempts_is_understood_too() {
    let world = World::start();
    let first = world.call(Method::POST, "/held/a").body("x").with("x-stainless-retry-count", "0").spawn();
    let item = world.held("/held/a").await;
    let second = world.call(Method::POST, "/held/a").body("x").with("x-stainless-retry-count", "1").spawn();
    assert_eq!(first.await.unwrap().code(), "approval-pending");
    assert_eq!(world.held("/held/a").await["id"], item["id"]);
    world.approve("ana", &item).await;
    assert_eq!(second.await.unwrap().status, 200);
    assert_eq!((all(&world, 1).await.len(), world.upstream.count("/held/a")), (1, 1));
}

#[tokio::test]
async fn another_call_id_is_another_action() {
    let world = World::start();
    let refund = |key: &str| world.call(Method::POST, "/held/refund").body("x").with("idempotency-key", key);
    let one = refund("one").spawn();
    let first = world.held("/held/refund").await;
    let two = refund("two").spawn();
    let second = eventually("a second approval", || async {
        let all = world.approvals("state=pending").await;
        all.into_iter().find(|item| item["id"] != first["id"] && item["caller"]["connected"] == true)
    })
    .await;
    assert_eq!(first["digest"], second["digest"]);
    world.approve("ana", &first).await;
    world.approve("ana", &second).await;
    assert_eq!((one.await.unwrap().status, two.await.unwrap().status), (200, 200));
    assert_eq!(world.upstream.count("/held/refund"), 2);
    // Each of them again is a retry, and runs no more.
    for key in ["one", "two"] {
        let again = refund(key).send().await;
        assert_eq!((again.status, again.field("approval-status")), (200, "replayed"));
    }
    // The same key with another body is no retry.
    let other = world.call(Method::POST, "/held/refund").body("y").with("idempotency-key", "one").spawn();
    assert_ne!(world.held("/held/refund").await["digest"], first["digest"]);
    other.abort();
    assert_eq!(world.upstream.count("/held/refund"), 2);
    world.verify();
}

#[tokio::test]
async fn what_was_denied_stays_denied() {
    let world = World::start_with(POLICY, "approvals: { denied_for: 1s }");
    let call = |key: &str| world.call(Method::DELETE, "/held/a").with("idempotency-key", key);
    let caller = call("one").spawn();
    let item = world.held("/held/a").await;
    assert_eq!(world.decide("ana", &item, "deny", Some("not this one")).await.status, 200);
    let denied = caller.await.unwrap();
    let again = call("one").send().await;
    assert_eq!((again.status, again.code(), again.text().contains("not this one")), (403, denied.code(), true));
    // Under another id it is denied for a while, then people are asked again.
    let other = eventually("a call that is held again", || async {
        let caller = call("two").spawn();
        let held = eventually("an answer or a hold", || async {
            if caller.is_finished() {
                Some(false)
            } else {
                (world.approvals("state=pending").await.len() == 1).then_some(true)
            }
        });
        if held.await { Some(caller) } else { None }
    })
    .await;
    assert_eq!(call("one").send().await.code(), "approval-denied");
    other.abort();
    assert_eq!((all(&world, 2).await.len(), world.upstream.received().len()), (2, 0));
    world.verify();
}

#[tokio::test]
async fn a_caller_that_never_got_its_answer_gets_it_by_its_retry() {
    let world = World::start();
    for http2 in [false, true] {
        let target = if http2 { "/held/2/kept-back" } else { "/held/1/kept-back" };
        let call = world.call(Method::POST, target).body("x").with("idempotency-key", target);
        let call = if http2 { call.http2() } else { call };
        let caller = call.clone().spawn();
        let item = world.held(target).await;
        world.approve("ana", &item).await;
        arrived(&world, target, 1).await;
        caller.abort();
        // One comes while the call runs, and one when it has.
        let early = call.clone().spawn();
        world.upstream.release();
        let early = early.await.unwrap();
        let late = call.send().await;
        assert_eq!((early.status, early.field("approval-status")), (200, "replayed"));
        assert_eq!((late.status, late.text()), (200, early.text()));
        assert_eq!(late.field("approval-id"), item["id"].as_str().unwrap());
        assert_eq!(world.upstream.count(target), 1);
    }
    all(&world, 2).await;
    assert!(world.verify().contains("request.replayed"));
}

#[tokio::test]
async fn an_answer_that_is_not_kept_is_told_of() {
    let world = World::start();
    let call = world.call(Method::POST, "/held/large").body("x").with("idempotency-key", "one");
    let caller = call.clone().spawn();
    world.approve("ana", &world.held("/held/large").await).await;
    assert_eq!(caller.await.unwrap().status, 200);
    let again = call.send().await;
    assert_eq!((again.status, again.code().as_str()), (403, "already-run"));
    assert_eq!(world.upstream.count("/held/large"), 1);
}

#[tokio::test]
async fn after_an_unknown_outcome_only_what_may_be_repeated_is_asked_for_again() {
    let rule = r#"
hold contains {"rule": "repeatable", "reviewers": [{"group": "owners", "count": 1}], "repeatable": true} if under("/again")
"#;
    let world = World::start_with(&format!("{POLICY}{rule}"), "");
    for target in ["/held/dies", "/again/dies"] {
        let call = world.call(Method::PUT, target).body("x").with("idempotency-key", target);
        let caller = call.clone().spawn();
        let item = world.held(target).await;
        world.approve("ana", &item).await;
        assert_eq!(caller.await.unwrap().code(), "upstream-broke-off");
        world.waits_for(target, "unknown", false).await;
        let again = call.spawn();
        if target == "/held/dies" {
            let told = again.await.unwrap();
            assert_eq!((told.status, told.code().as_str()), (403, "outcome-unknown"), "{}", told.text());
            assert_eq!(told.field("approval-id"), item["id"].as_str().unwrap());
        } else {
            assert_ne!(world.held(target).await["id"], item["id"]);
            again.abort();
        }
        assert_eq!(world.upstream.count(target), 1);
    }
    world.verify();
}

#[tokio::test]
async fn what_sdks_vary_does_not_make_another_call() {
    let world = World::start();
    let form = |boundary: &str| {
        let part = "Content-Disposition: form-data; name=\"purpose\"\r\n\r\nevals";
        let body = format!("--{boundary}\r\n{part}\r\n--{boundary}--\r\n");
        let call = world.call(Method::POST, "/held/files").body(body);
        call.with("content-type", &format!("multipart/form-data; boundary={boundary}"))
    };
    let json = |body: &str| {
        world.call(Method::POST, "/held/json").body(body.to_owned()).with("content-type", "application/json")
    };
    let pairs = [
        (form("one").with("date", "Tue, 24 Nov 2026 12:00:00 GMT"), form("two").with("traceparent", "00-x-y-01")),
        (json(r#"{"a": 1, "b": "x"}"#), json(r#"{"b":"x","a":1}"#)),
    ];
    for (first, second) in pairs {
        let caller = first.spawn();
        let item = eventually("a held call", || async { world.approvals("state=pending").await.pop() }).await;
        let target = item["call"]["target"].as_str().unwrap();
        caller.abort();
        world.waits_for(target, "pending", false).await;
        world.approve("ana", &item).await;
        let answer = second.send().await;
        assert_eq!((answer.status, answer.field("approval-id")), (200, item["id"].as_str().unwrap()));
        world.waits_for(target, "completed", false).await;
        assert_eq!(world.upstream.count(target), 1);
    }
    // A number that is spelt otherwise is another call.
    let one = json(r#"{"a": 1}"#).spawn();
    let item = world.held("/held/json").await;
    one.abort();
    world.waits_for("/held/json", "pending", false).await;
    let other = json(r#"{"a": 1.0}"#).spawn();
    assert_ne!(world.held("/held/json").await["digest"], item["digest"]);
    other.abort();
}

#[tokio::test]
async fn the_operator_says_how_long_calls_on_a_way_are_held() {
    let world = World::start();
    let text = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    world.replace(
        "holdpoint.yaml",
        &text.replace("    credential: cloud\n", "    credential: cloud\n    hold_for: 200ms\n"),
    );
    world.program.logged_text("reloaded", 0);
    let told = world.get("/held/a").send().await;
    assert_eq!((told.status, told.code().as_str()), (403, "approval-pending"));
    assert_eq!(world.approvals("state=pending").await.len(), 1);
}

#[tokio::test]
async fn absurd_ids_are_refused_before_anything_is_stored() {
    let world = World::start();
    let long = "x".repeat(256);
    for (name, value) in [("idempotency-key", long.as_str()), ("approval-id", "apr_1"), ("approval-id", &long)] {
        let answer = world.call(Method::POST, "/held/a").body("x").with(name, value).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad-request"), "{name}: {}", answer.text());
    }
    // What is merely odd counts as not said.
    for (name, value) in [
        ("amz-sdk-request", "attempt=-1; max=9999999999"),
        ("x-stainless-retry-count", "NaN"),
        ("prefer", "wait=99999999999999"),
    ] {
        let caller = world.call(Method::POST, "/held/a").body("x").with(name, value).spawn();
        let item = world.held("/held/a").await;
        caller.abort();
        world.waits_for("/held/a", "pending", false).await;
        assert_eq!(world.decide("olga", &item, "withdraw", None).await.status, 200);
    }
    assert!(world.upstream.received().is_empty());
}
