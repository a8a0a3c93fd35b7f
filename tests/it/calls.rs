//! Calls that pass, are denied, and are held until people decide.

use http::Method;

use crate::support::POLICY;
use crate::support::World;
use crate::support::eventually;

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
        assert_eq!(done["state"], "completed");
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

#[tokio::test]
async fn an_approval_that_nobody_decides_on_expires() {
    let world = World::start();
    let answer = world.get("/brief/a").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "approval-expired"));
    let item = world.waits_for("/brief/a", "expired", false).await;
    let late = world.decide("ana", &item, "approve", None).await;
    assert_eq!((late.status, late.code().as_str()), (410, "expired"));
    assert_eq!(world.upstream.received().len(), 0);
}

#[tokio::test]
async fn a_caller_is_told_when_waiting_longer_makes_no_sense() {
    let world = World::start();
    let answer = world.get("/patience/a").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "approval-pending"));
    assert_eq!((answer.field("approval-status"), answer.field("retry-after")), ("pending", ""));
    let again = world.get("/patience/a").spawn();
    let item = world.held("/patience/a").await;
    assert_eq!(item["id"], answer.json()["approval_id"]);
    world.approve("bo", &item).await;
    assert_eq!(again.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_question_goes_to_the_agent_and_its_answer_comes_back() {
    let world = World::start();
    // The agent answers at once, many times over: what is still being recorded of the first call
    // must not be taken for news of the second.
    for round in 0..10 {
        let target = format!("/held/{round}");
        let caller = world.get(&target).spawn();
        let item = world.held(&target).await;
        assert_eq!(world.decide("ana", &item, "ask", Some("which customers?")).await.status, 200);
        let answer = caller.await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (403, "clarification-required"));
        assert!(answer.text().contains("which customers?"), "{}", answer.text());
        let again = world.get(&target).with("approval-reason", "those of March").spawn();
        let id = item["id"].as_str().unwrap();
        let whole = eventually("the answer", || async {
            let whole = world.approval(id).await;
            (whole["messages"].as_array().unwrap().len() == 2).then_some(whole)
        })
        .await;
        assert_eq!(whole["messages"][1]["text"], "those of March");
        world.approve("ana", &item).await;
        let answer = again.await.unwrap();
        assert_eq!((answer.status, answer.field("approval-id")), (200, id), "{}", answer.text());
    }
    assert_eq!(world.approvals("").await.len(), 10);
    world.verify();
}

#[tokio::test]
async fn only_the_right_people_decide_and_only_on_what_they_have_seen() {
    let world = World::start();
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    let mut other = item.clone();
    other["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    for (person, item, verdict, status, code) in [
        ("olga", &item, "approve", 403, "own-request"),
        ("cy", &item, "approve", 403, "not-reviewer"),
        ("ana", &other, "approve", 409, "digest-mismatch"),
        ("ana", &other, "deny", 409, "digest-mismatch"),
        ("ana", &item, "ask", 422, "question-required"),
        ("ana", &item, "withdraw", 403, "not-requester"),
    ] {
        let answer = world.decide(person, item, verdict, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{person} {verdict}: {}", answer.text());
    }
    assert_eq!(world.held("/held/a").await["quorum"]["have"], 0);
    assert!(!caller.is_finished());
    world.approve("ana", &item).await;
    // The same again changes nothing, and neither does another opinion that comes too late.
    assert_eq!(world.decide("ana", &item, "approve", None).await.status, 200);
    assert_eq!(caller.await.unwrap().status, 200);
    world.waits_for("/held/a", "completed", false).await;
    let late = world.decide("bo", &item, "deny", None).await;
    assert_eq!((late.status, late.code().as_str()), (409, "already-decided"));
    assert_eq!(world.upstream.count("/held/a"), 1);
    world.verify();
}

#[tokio::test]
async fn two_requirements_need_two_people() {
    let world = World::start();
    let caller = world.get("/both/a").spawn();
    let item = world.held("/both/a").await;
    assert_eq!(item["quorum"]["needed"], 2);
    // In both groups, and still one person.
    world.approve("bo", &item).await;
    world.approve("bo", &item).await;
    let item = world.held("/both/a").await;
    assert_eq!(item["quorum"]["have"], 1);
    assert!(!caller.is_finished());
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    assert_eq!(world.upstream.count("/both/a"), 1);
    world.verify();
}

#[tokio::test]
async fn a_call_that_nobody_could_approve_is_refused_at_once() {
    let world = World::start();
    let answer = world.get("/nobody/a").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "no-eligible-reviewer"));
    assert!(world.approvals("").await.is_empty());
}

#[tokio::test]
async fn an_agent_in_a_loop_is_stopped() {
    let world = World::start_with(POLICY, "limits: { pending_per_principal_max: 2 }\n");
    let callers = ["/held/a", "/held/b"].map(|target| world.get(target).spawn());
    for target in ["/held/a", "/held/b"] {
        world.held(target).await;
    }
    let answer = world.get("/held/c").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "too-many-pending"));
    assert_ne!(answer.field("retry-after"), "");
    // Another agent has room of its own.
    let other = world.call_of("other-bot", Method::GET, "/held/d").spawn();
    let item = world.held("/held/d").await;
    world.approve("ana", &item).await;
    assert_eq!(other.await.unwrap().status, 200);
    callers.iter().for_each(tokio::task::JoinHandle::abort);
}
