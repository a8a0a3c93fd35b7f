//! SIGTERM: nobody new, those who wait are told to come again, nothing is lost.

use http::Method;
use http::StatusCode;

use crate::support::POLICY;
use crate::support::World;

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

#[tokio::test]
async fn running_calls_may_end() {
    let mut world = World::start();
    let running = world.get("/open/hangs").spawn();
    crate::support::eventually("the call at the upstream", || async {
        (world.upstream.count("/open/hangs") == 1).then_some(())
    })
    .await;
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
    crate::support::eventually("the call at the upstream", || async {
        (world.upstream.count("/open/hangs") == 1).then_some(())
    })
    .await;
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
    crate::support::eventually("the call at the upstream", || async {
        (world.upstream.count("/open/hangs") == 1).then_some(())
    })
    .await;
    world.program.signal("INT");
    world.program.logged_text("stopping", 0);
    world.program.signal("INT");
    assert_eq!(world.program.ended().code(), Some(0));
    assert!(running.await.unwrap().is_err());
}
