//! What callers can use up at most.

use crate::support::World;

#[tokio::test]
async fn only_so_many_calls_are_held() {
    let world = World::start_with(crate::support::POLICY, "limits: { held_calls_max: 1 }\n");
    let first = world.get("/held/a").spawn();
    world.held("/held/a").await;
    let answer = world.get("/held/b").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_ne!(answer.field("retry-after"), "");
    assert_eq!(world.get("/open/a").send().await.status, 200);
    first.abort();
    world.waits_for("/held/a", "pending", false).await;
    let second = world.get("/held/b").spawn();
    world.held("/held/b").await;
    assert!(!second.is_finished());
}

#[tokio::test]
async fn a_rule_has_only_so_many_calls_waiting() {
    let world = World::start_with(crate::support::POLICY, "limits: { pending_per_rule_max: 1 }\n");
    let first = world.get("/held/a").spawn();
    world.held("/held/a").await;
    let answer = world.get("/held/b").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "too-many-pending"));
    let other = world.get("/both/a").spawn();
    world.held("/both/a").await;
    assert!(!first.is_finished() && !other.is_finished() && world.upstream.received().is_empty());
}
