//! Calls that pass, are denied, and are held until people decide.

use http::Method;

use crate::support::World;

#[tokio::test]
async fn an_allowed_call_passes_with_the_upstreams_credential() {
    let world = World::start();
    let plain = world.get("/open/a?b=c").send().await;
    let http2 = world.get("/open/a?b=c").http2().send().await;
    for answer in [plain, http2] {
        assert_eq!((answer.status, answer.text().as_str()), (200, "{\"fine\":true}"));
        assert_eq!(answer.field("approval-id"), "");
    }
    let received = world.upstream.received();
    assert_eq!(received.len(), 2);
    for request in received {
        assert!(request.head.starts_with("GET /open/a?b=c HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.values("authorization"), [format!("Bearer {}", crate::support::CREDENTIAL)]);
    }
}

#[tokio::test]
async fn a_denied_call_goes_nowhere() {
    let world = World::start();
    for (path, why) in [("/closed/a", "closed for good"), ("/unheard-of", "no rule of the policy")] {
        for call in [world.get(path), world.get(path).http2()] {
            let answer = call.send().await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "policy-denied"), "{path}");
            assert!(answer.text().contains(why), "{}", answer.text());
            assert_eq!(answer.field("content-type"), "application/problem+json");
            assert_eq!(answer.field("x-should-retry"), "false");
            assert_eq!(answer.field("retry-after"), "");
        }
    }
    assert!(world.upstream.received().is_empty());
}

#[tokio::test]
async fn a_held_call_runs_once_it_is_approved() {
    let world = World::start();
    for (http2, target) in [(false, "/held/one"), (true, "/held/two")] {
        let call = world.call(Method::POST, target).with("approval-reason", "a report").body("exactly this");
        let caller = if http2 { call.http2().spawn() } else { call.spawn() };
        let item = world.held(target).await;
        assert_eq!(item["agent_reason"], "a report");
        assert!(!caller.is_finished());
        assert_eq!(world.upstream.count(target), 0);
        world.approve("ana", &item).await;
        let answer = caller.await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "{\"fine\":true}"));
        assert_eq!(answer.field("approval-id"), item["id"].as_str().unwrap());
        assert_eq!(answer.field("approval-status"), "approved");
        let done = world.waits_for(target, "completed", false).await;
        assert_eq!(done["upstream_status"], 200);
        assert_eq!(world.upstream.count(target), 1);
    }
    for request in world.upstream.received() {
        assert_eq!(request.body, b"exactly this");
        assert!(!request.head.to_lowercase().contains("approval-"), "{}", request.head);
    }
    world.verify();
}

#[tokio::test]
async fn a_denied_approval_refuses_the_call_with_the_reviewers_words() {
    let world = World::start();
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    let answer = world.decide("ana", &item, "deny", Some("far too broad")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = caller.await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "approval-denied"));
    assert!(answer.text().contains("far too broad"), "{}", answer.text());
    assert_eq!(answer.field("approval-status"), "denied");
    assert_eq!(world.upstream.received().len(), 0);
}
