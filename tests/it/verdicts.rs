//! What an approval cannot do, and what takes it away again.

use http::Method;

use crate::support::POLICY;
use crate::support::World;

#[tokio::test]
async fn looking_decides_nothing() {
    let world = World::start();
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    let (id, digest) = (item["id"].as_str().unwrap(), item["digest"].as_str().unwrap());
    let path = format!("/v1/approvals/{id}/decisions?verdict=approve&digest={digest}");
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS] {
        assert_eq!(world.ask("ana", method.clone(), &path, None).await.status, 405, "{method}");
    }
    world.held("/held/a").await;
    assert!(!caller.is_finished() && world.upstream.received().is_empty());
}

#[tokio::test]
async fn an_approval_that_waits_for_its_caller_can_be_taken_back() {
    let world = World::start();
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    caller.abort();
    world.waits_for("/held/a", "pending", false).await;
    world.approve("ana", &item).await;
    assert_eq!(world.decide("bo", &item, "deny", Some("not today")).await.status, 200);
    world.waits_for("/held/a", "revoked", false).await;
    // Somebody said no, so nobody is asked again for a while.
    let again = world.get("/held/a").send().await;
    assert_eq!((again.status, again.code().as_str()), (403, "approval-withdrawn"));
    assert_eq!((world.approvals("").await.len(), world.upstream.received().len()), (1, 0));
}

#[tokio::test]
async fn those_who_answer_for_the_agent_can_take_its_call_back() {
    let world = World::start();
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    assert_eq!(world.decide("olga", &item, "withdraw", None).await.status, 200);
    let answer = caller.await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "approval-withdrawn"));
    assert!(world.upstream.received().is_empty());
}

#[tokio::test]
async fn the_policy_has_the_last_word() {
    let world = World::start();
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    let freeze = "\ndeny contains {\"rule\": \"freeze\", \"reason\": \"change freeze\"} if true\n";
    world.replace("policies/main.rego", &format!("{POLICY}{freeze}"));
    world.program.logged_text("reloaded", 0);
    world.approve("ana", &item).await;
    let answer = caller.await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "policy-denied"));
    assert!(answer.text().contains("change freeze"), "{}", answer.text());
    world.waits_for("/held/a", "revoked", false).await;
    assert!(world.upstream.received().is_empty());
    world.verify();
}

#[tokio::test]
async fn who_has_left_the_group_counts_no_more() {
    let world = World::start();
    let caller = world.get("/both/a").spawn();
    let item = world.held("/both/a").await;
    world.approve("ana", &item).await;
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    world.replace("holdpoint.yaml", &config.replace("owners: [ana@example.com, ", "owners: ["));
    world.program.logged_text("reloaded", 0);
    world.approve("cy", &item).await;
    world.held("/both/a").await;
    assert!(!caller.is_finished() && world.upstream.received().is_empty());
    world.approve("bo", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_policy_that_cannot_be_evaluated_refuses_the_call() {
    // What fails in what a denial says must not make an allowed call of it.
    for reason in ["lower(input.principal.groups)", "to_number(input.request.path)", "lower(input.actions)"] {
        let policy = format!("{POLICY}\ndeny contains {{\"rule\": \"typo\", \"reason\": {reason}}} if true\n");
        let mut world = World::start_with(&policy, "");
        for path in ["/open/a", "/held/a"] {
            let answer = world.get(path).send().await;
            assert_eq!((answer.status, answer.code().as_str()), (500, "policy-error"), "{reason}: {}", answer.text());
            assert!(!answer.text().contains("main.rego"), "the caller learns nothing of the policy: {}", answer.text());
        }
        assert!(world.upstream.received().is_empty() && world.approvals("").await.is_empty());
        world.program.logged(|line| line.contains("main.rego").then_some(()));
        let metrics = world.ask("ana", Method::GET, "/metrics", None).await.text();
        assert!(metrics.contains("holdpoint_policy_decisions_total{effect=\"error\"} 2"), "{metrics}");
        world.verify();
    }
}
