//! What callers can use up at most.

use crate::support::POLICY;
use crate::support::Wire;
use crate::support::World;

#[tokio::test]
async fn only_so_many_calls_are_held() {
    let world = World::start_with(POLICY, "limits: { held_calls_max: 1 }\n");
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
    let world = World::start_with(POLICY, "limits: { pending_per_rule_max: 1 }\n");
    let first = world.get("/held/a").spawn();
    world.held("/held/a").await;
    let answer = world.get("/held/b").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "too-many-pending"));
    let other = world.get("/both/a").spawn();
    world.held("/both/a").await;
    assert!(!first.is_finished() && !other.is_finished() && world.upstream.received().is_empty());
}

/// One call on a connection that stays open.
async fn ask(wire: &mut Wire, key: &str) {
    wire.write(format!("GET /open/a HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\n\r\n")).await;
    wire.read_until("\"fine\":true").await;
}

#[tokio::test]
async fn every_place_can_be_taken_on_any_core_and_no_more_than_there_are() {
    let world = World::start_with(POLICY, "limits: { connections_max: 2 }\n");
    let key = &world.keys["deploy-bot"];
    // The system picks a core for each connection: sometimes both have the same.
    for round in 0..16 {
        let (mut first, mut second) = tokio::join!(world.wire(), world.wire());
        tokio::join!(ask(&mut first, key), ask(&mut second, key));
        let third = {
            let (proxy, tls, key) = (world.proxy, world.tls.clone(), key.clone());
            tokio::spawn(async move {
                let mut wire = Wire::connect(proxy, &tls, "127.0.0.1").await;
                ask(&mut wire, &key).await;
                wire
            })
        };
        for _ in 0..4 {
            tokio::join!(ask(&mut first, key), ask(&mut second, key));
        }
        assert!(!third.is_finished(), "round {round}: there were three at once");
        drop(first);
        let mut third = third.await.unwrap();
        tokio::join!(ask(&mut second, key), ask(&mut third, key));
    }
}
