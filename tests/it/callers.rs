//! Callers that come and go, do not wait, and look after their own approvals.

use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::support::World;

const OWN: &str = "/.well-known/holdpoint/approvals";

#[tokio::test]
async fn a_caller_that_hangs_up_loses_nothing() {
    let world = World::start();
    for (http2, target) in [(false, "/held/one"), (true, "/held/two")] {
        let call = if http2 { world.get(target).http2() } else { world.get(target) };
        let caller = call.clone().spawn();
        let item = world.held(target).await;
        caller.abort();
        world.waits_for(target, "pending", false).await;
        world.approve("ana", &item).await;
        world.waits_for(target, "approved", false).await;
        assert_eq!(world.upstream.count(target), 0);
        let answer = call.send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("approval-id"), item["id"].as_str().unwrap());
        world.waits_for(target, "completed", false).await;
        assert_eq!(world.upstream.count(target), 1);
        assert_eq!(world.approvals("state=pending").await.len(), 0);
    }
    world.verify();
}

/// Whatever it has sent behind its request, it is gone, and nothing runs for it.
#[tokio::test]
async fn a_caller_that_hangs_up_is_missed_though_it_has_sent_more() {
    let world = World::start();
    let head = |method: &str, target: &str| {
        let key = &world.keys["deploy-bot"];
        format!("{method} {target} HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\n")
    };
    let next = format!("{}\r\n", head("GET", "/open/next"));
    let ways = [("/held/line", "\r\n"), ("/held/next", next.as_str()), ("/held/later", "")];
    for (target, more) in ways {
        let mut wire = world.wire().await;
        wire.write(format!("{}Content-Length: 1\r\n\r\nx{more}", head("POST", target))).await;
        let item = world.held(target).await;
        if more.is_empty() {
            wire.write(&next).await;
        }
        drop(wire);
        world.waits_for(target, "pending", false).await;
        world.approve("ana", &item).await;
        world.waits_for(target, "approved", false).await;
    }
    assert_eq!(world.upstream.received().len(), 0);
    // One that stays has all its answers, in their order.
    let mut wire = world.wire().await;
    wire.write(format!("{}Content-Length: 1\r\n\r\ny", head("POST", "/held/stays"))).await;
    let item = world.held("/held/stays").await;
    wire.write(&next).await;
    world.approve("ana", &item).await;
    wire.read_until("approval-status").await;
    world.waits_for("/held/stays", "completed", false).await;
    crate::support::eventually("the next call", || async { (world.upstream.count("/open/next") == 1).then_some(()) })
        .await;
    // One that sends on and on is not believed to be there.
    let mut wire = world.wire().await;
    wire.write(format!("{}Content-Length: 1\r\n\r\nz", head("POST", "/held/floods"))).await;
    world.held("/held/floods").await;
    let _closed_before_its_end = wire.try_write("x".repeat(100_000)).await;
    world.waits_for("/held/floods", "pending", false).await;
    world.verify();
}

#[tokio::test]
async fn two_identical_calls_at_once_are_two_approvals() {
    let world = World::start();
    let first = world.get("/held/a").spawn();
    let one = world.held("/held/a").await;
    let second = world.get("/held/a").spawn();
    let other = crate::support::eventually("a second approval", || async {
        let all = world.approvals("state=pending").await;
        all.into_iter().find(|item| item["id"] != one["id"] && item["caller"]["connected"] == true)
    })
    .await;
    assert_eq!(one["digest"], other["digest"]);
    world.approve("ana", &one).await;
    assert_eq!(first.await.unwrap().field("approval-id"), one["id"].as_str().unwrap());
    assert!(!second.is_finished());
    assert_eq!(world.decide("ana", &other, "deny", Some("once is enough")).await.status, 200);
    assert_eq!(second.await.unwrap().status, 403);
    assert_eq!(world.upstream.count("/held/a"), 1);
    world.verify();
}

#[tokio::test]
async fn another_body_is_another_call() {
    let world = World::start();
    let caller = world.call(Method::POST, "/held/a").body("one").spawn();
    let one = world.held("/held/a").await;
    caller.abort();
    world.waits_for("/held/a", "pending", false).await;
    world.approve("ana", &one).await;
    let caller = world.call(Method::POST, "/held/a").body("two").spawn();
    let two = world.held("/held/a").await;
    assert_ne!((&one["id"], &one["digest"]), (&two["id"], &two["digest"]));
    assert_eq!(world.upstream.received().len(), 0);
    caller.abort();
}

#[tokio::test]
async fn a_caller_may_come_back_instead_of_waiting() {
    let world = World::start();
    let call = world.call(Method::POST, "/held/a").body("x").with("prefer", "respond-async");
    let accepted = call.clone().send().await;
    assert_eq!((accepted.status, accepted.code().as_str()), (202, "approval-accepted"));
    assert_eq!(accepted.field("preference-applied"), "respond-async");
    let id = accepted.field("approval-id").to_owned();
    assert_eq!(accepted.field("location"), format!("{OWN}/{id}"));
    let item = world.waits_for("/held/a", "pending", false).await;
    assert_eq!(item["id"], id);

    let shown = world.get(accepted.field("location")).send().await;
    assert_eq!((shown.status, shown.json()["state"].as_str()), (200, Some("pending")));
    world.approve("ana", &item).await;

    // Another agent can do nothing with it, and neither can another call.
    let stolen = world.call_of("other-bot", Method::POST, "/held/a").body("x").with("approval-id", &id).send().await;
    assert_eq!((stolen.status, stolen.code().as_str()), (403, "approval-mismatch"));
    let changed = world.call(Method::POST, "/held/a").body("y").with("approval-id", &id).send().await;
    assert_eq!((changed.status, changed.code().as_str()), (403, "approval-mismatch"));
    assert_eq!(world.upstream.received().len(), 0);

    let resumed = world.call(Method::POST, "/held/a").body("x").with("approval-id", &id).send().await;
    assert_eq!((resumed.status, resumed.field("approval-id")), (200, id.as_str()));
    world.waits_for("/held/a", "completed", false).await;
    let twice = world.call(Method::POST, "/held/a").body("x").with("approval-id", &id).send().await;
    assert_eq!((twice.status, twice.field("approval-status")), (200, "replayed"));
    assert_eq!((twice.field("approval-id"), twice.text()), (id.as_str(), resumed.text()));
    assert_eq!(world.upstream.count("/held/a"), 1);
    world.verify();
}

#[tokio::test]
async fn an_agent_looks_after_its_own_approvals() {
    let world = World::start();
    let accepted = world.get("/held/a").with("prefer", "respond-async").send().await;
    let place = accepted.field("location").to_owned();
    let item = world.waits_for("/held/a", "pending", false).await;

    let listed = world.get(&format!("{OWN}?state=pending&limit=10")).send().await.json();
    assert_eq!(listed["items"][0]["id"], item["id"]);
    let shown = world.get(&place).send().await;
    assert!(!shown.text().contains("example.com"), "reviewers are nobody's business: {}", shown.text());

    // A long poll ends when something happens.
    let poll = world.get(&place).with("prefer", "wait=30").with("if-none-match", shown.field("etag")).spawn();
    assert_eq!(world.decide("ana", &item, "ask", Some("why?")).await.status, 200);
    assert_eq!(poll.await.unwrap().json()["question"], "why?");
    let said = world.call(Method::POST, &format!("{place}/messages")).body(json!({"text": "audit"}).to_string());
    assert_eq!(said.send().await.json()["question"], Value::Null);
    let whole = world.approval(item["id"].as_str().unwrap()).await;
    assert_eq!(whole["messages"][1]["text"], "audit");

    // For another agent it does not exist.
    for (method, path, body) in [
        (Method::GET, place.clone(), ""),
        (Method::DELETE, place.clone(), ""),
        (Method::POST, format!("{place}/messages"), r#"{"text":"x"}"#),
    ] {
        let answer = world.call_of("other-bot", method.clone(), &path).body(body).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "no-route"), "{method} {path}");
    }
    assert_eq!(world.call_of("other-bot", Method::GET, OWN).send().await.json(), json!({"items": []}));

    assert_eq!(world.call(Method::DELETE, &place).send().await.json()["state"], "withdrawn");
    world.waits_for("/held/a", "withdrawn", false).await;
    let late = world.decide("ana", &item, "approve", None).await;
    assert_eq!((late.status, late.code().as_str()), (409, "already-decided"));
    assert_eq!(world.upstream.received().len(), 0);
    world.verify();
}

#[tokio::test]
async fn own_endpoints_refuse_what_they_do_not_know() {
    let world = World::start();
    let missing = format!("{OWN}/apr_{}", "0".repeat(32));
    for (method, path, body, status, code) in [
        (Method::GET, missing.as_str(), "", 404, "no-route"),
        (Method::GET, "/.well-known/holdpoint/approvals/apr_1", "", 400, "bad-request"),
        (Method::GET, "/.well-known/holdpoint/approvals?state=odd", "", 400, "bad-request"),
        (Method::GET, "/.well-known/holdpoint/approvals?limit=x", "", 400, "bad-request"),
        (Method::GET, "/.well-known/holdpoint/else", "", 404, "no-route"),
        (Method::PUT, "/.well-known/holdpoint/approvals", "", 400, "bad-request"),
    ] {
        let answer = world.call(method.clone(), path).body(body).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path}: {}", answer.text());
    }
    let anonymous = world.get(OWN).without("authorization").send().await;
    assert_eq!(anonymous.status, 401);
    assert!(world.upstream.received().is_empty());
}
