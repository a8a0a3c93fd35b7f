//! SIGTERM: nobody new, those who wait are told to come again, nothing is lost.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use http::Method;
use http::StatusCode;

use crate::support::Call;
use crate::support::POLICY;
use crate::support::World;
use crate::support::eventually;

#[tokio::test]
async fn held_callers_are_told_to_come_again_and_their_approvals_stay() {
    let mut world = World::start();
    let callers = [world.get("/held/one").spawn(), world.get("/held/two").http2().spawn()];
    let one = world.held("/held/one").await;
    world.held("/held/two").await;
    world.program.signal("TERM");
    for caller in callers {
        let answer = caller.await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE.as_u16(), "draining"));
        assert_eq!(answer.field("retry-after"), "1");
    }
    assert_eq!(world.program.ended().code(), Some(0), "{}", world.program.log());
    assert!(world.get("/open").try_send().await.is_err(), "it still answers");
    world.verify();

    world.restart();
    assert_eq!(world.approvals("state=pending").await.len(), 2);
    let again = world.get("/held/one").spawn();
    let same = world.held("/held/one").await;
    assert_eq!((&same["id"], &same["digest"]), (&one["id"], &one["digest"]));
    world.approve("ana", &same).await;
    assert_eq!(again.await.unwrap().status, 200);
    assert_eq!(world.upstream.count("/held/one"), 1);
    world.verify();
}

/// `benches/drain` does the same with ten thousand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_held_callers_are_told_in_time_and_join_their_approvals_again() {
    const CALLS: usize = 500;
    let limits = format!("limits: {{ pending_per_principal_max: {CALLS}, pending_per_rule_max: {CALLS} }}\n");
    let mut world = World::start_with(POLICY, &limits);
    let send = |world: &World| {
        let calls = (0..CALLS).map(|call| world.get(&format!("/held/{call}")));
        calls.map(Call::spawn_patient).collect::<Vec<_>>()
    };
    let callers = send(&world);
    waiting(&world, CALLS).await;
    let signalled = std::time::Instant::now();
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0), "{}", world.program.log());
    // The default of `limits.drain_timeout`: nobody was cut off.
    assert!(signalled.elapsed() < std::time::Duration::from_secs(30), "{:?}", signalled.elapsed());
    assert_eq!(world.program.count_logged("cut off"), 0);
    let mut told = BTreeMap::new();
    for (call, caller) in callers.into_iter().enumerate() {
        let answer = caller.await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
        assert_eq!(answer.field("retry-after"), "1");
        told.insert(call, answer.field("approval-id").to_owned());
    }
    world.verify();

    world.restart();
    let callers = send(&world);
    waiting(&world, CALLS).await;
    world.program.signal("TERM");
    for (call, caller) in callers.into_iter().enumerate() {
        let answer = caller.await.unwrap();
        assert_eq!((answer.code().as_str(), answer.field("approval-id")), ("draining", told[&call].as_str()));
    }
    assert_eq!(world.program.ended().code(), Some(0), "{}", world.program.log());
    assert!(told.values().all(|id| id.starts_with("apr_")) && told.values().collect::<BTreeSet<_>>().len() == CALLS);
    assert!(world.upstream.received().is_empty());
    world.verify();
}

/// Waits until so many calls are held.
async fn waiting(world: &World, count: usize) {
    let wanted = format!("holdpoint_held_requests {count}");
    eventually("the calls to be held", || async {
        let metrics = world.ask("ana", Method::GET, "/metrics", None).await.text();
        metrics.lines().any(|line| line == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn running_calls_may_end() {
    let mut world = World::start();
    let running = world.get("/open/hangs").spawn();
    eventually("the call at the upstream", || async { (world.upstream.count("/open/hangs") == 1).then_some(()) }).await;
    world.program.signal("TERM");
    // It ends by the upstream's own time-out, and its caller hears of it.
    assert_eq!(running.await.unwrap().code(), "upstream-timeout");
    assert_eq!(world.program.ended().code(), Some(0));
}

#[tokio::test]
async fn calls_that_do_not_end_are_cut_off() {
    let more = "limits: { drain_timeout: 1s }\n";
    let mut world = World::start_with(POLICY, more);
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    world.replace("holdpoint.yaml", &config.replace("response: 2s", "response: 1h"));
    world.restart();
    let running = tokio::spawn(world.get("/open/hangs").try_send());
    eventually("the call at the upstream", || async { (world.upstream.count("/open/hangs") == 1).then_some(()) }).await;
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    assert!(running.await.unwrap().is_err(), "the call was not cut off");
    world.verify();
}

#[tokio::test]
async fn a_second_signal_ends_the_wait() {
    let mut world = World::start();
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    world.replace("holdpoint.yaml", &config.replace("response: 2s", "response: 1h"));
    world.restart();
    let running = tokio::spawn(world.call(Method::POST, "/open/hangs").try_send());
    eventually("the call at the upstream", || async { (world.upstream.count("/open/hangs") == 1).then_some(()) }).await;
    world.program.signal("INT");
    world.program.logged_text("stopping", 0);
    world.program.signal("INT");
    assert_eq!(world.program.ended().code(), Some(0));
    assert!(running.await.unwrap().is_err());
}
