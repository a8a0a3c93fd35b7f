//! `kill -9` at each step of a held call, one step a test. The steps are held open from outside: by a
//! caller or an upstream that says no more, or by a log that cannot be written. After each restart
//! the record, the log and the upstream agree, and the caller who comes again is served or told.

use std::fs;
use std::process::Command;

use http::Method;
use serde_json::Value;

use crate::support::Answer;
use crate::support::Silent;
use crate::support::World;
use crate::support::eventually;

/// The approvals to `target`, with their states.
async fn states(world: &World, target: &str) -> Vec<String> {
    let all = world.approvals("limit=200").await.into_iter();
    all.filter(|item| item["call"]["target"] == target).map(|item| item["state"].as_str().unwrap().to_owned()).collect()
}

async fn retry(world: &World, target: &str) -> Answer {
    world.call(Method::POST, target).body("x").send().await
}

/// The call has left nothing behind but `pending`: it is joined, approved, and run once.
async fn is_joined_and_runs_once(mut world: World, target: &str, before: &Value) {
    assert_eq!(states(&world, target).await, ["pending"]);
    assert_eq!(world.upstream.count(target), 0);
    let caller = world.call(Method::POST, target).body("x").spawn();
    let item = world.held(target).await;
    assert_eq!((&item["id"], &item["digest"]), (&before["id"], &before["digest"]));
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    ran_once(&mut world, target).await;
}

/// The upstream has it once, the record says so, and the log can be verified, before and after another
/// start.
async fn ran_once(world: &mut World, target: &str) {
    world.waits_for(target, "completed", false).await;
    assert_eq!(world.upstream.count(target), 1);
    world.verify();
    world.restart();
    assert_eq!(states(world, target).await, ["completed"]);
    world.verify();
}

/// The call may have left: people see that nobody knows, its caller is told, and nothing runs again.
async fn is_unknown_and_stays_so(world: &World, target: &str, id: &Value, upstream_count: usize) {
    let item = world.waits_for(target, "unknown", false).await;
    assert_eq!(&item["id"], id);
    let id = id.as_str().unwrap();
    let again = world.call(Method::POST, target).body("x").with("approval-id", id).send().await;
    assert_eq!((again.status, again.code().as_str()), (403, "outcome-unknown"));
    let decided = world.decide("bo", &item, "approve", None).await;
    assert_eq!(decided.status, 409, "{}", decided.text());
    assert_eq!(world.upstream.count(target), upstream_count);
    world.verify();
}

/// Has the next write into the log take for ever, as on a disk that hangs: a pipe that nobody reads.
async fn hang_log(world: &World) {
    // Nothing else is under way that would be in the log's way first.
    eventually("the log to be quiet", || async {
        let metrics = world.ask("ana", Method::GET, "/metrics", None).await.text();
        metrics.lines().any(|line| line == "holdpoint_log_unintegrated 0").then_some(())
    })
    .await;
    let file = world.path("audit/tile/entries/000");
    fs::rename(&file, world.path("aside")).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
}

fn free_log(world: &World) {
    fs::rename(world.path("aside"), world.path("audit/tile/entries/000")).unwrap();
}

/// Kills it, has `between` happen, and starts it again.
fn crash(world: &mut World, between: impl FnOnce(&World)) {
    world.program.kill();
    between(world);
    world.restart();
}

#[tokio::test]
async fn before_the_record() {
    let mut world = World::start();
    let mut wire = world.wire().await;
    let key = &world.keys["deploy-bot"];
    wire.write(format!(
        "POST /held/a HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\nContent-Length: 2\r\n\r\nx"
    ))
    .await;
    // The policy has said that it has to be held; its body never comes.
    eventually("the decision", || async {
        let metrics = world.ask("ana", Method::GET, "/metrics", None).await.text();
        let decided = |line: &&str| line.starts_with("holdpoint_policy_eval_seconds_count");
        metrics.lines().find(decided).filter(|line| !line.ends_with(" 0")).map(drop)
    })
    .await;
    crash(&mut world, |_| {});
    assert_eq!(states(&world, "/held/a").await, [""; 0]);
    let caller = world.call(Method::POST, "/held/a").body("x").spawn();
    let item = world.held("/held/a").await;
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    ran_once(&mut world, "/held/a").await;
}

#[tokio::test]
async fn after_the_record_and_before_its_entry_in_the_log() {
    let mut world = World::start();
    hang_log(&world).await;
    let caller = tokio::spawn(world.call(Method::POST, "/held/a").body("x").try_send());
    let before = eventually("the record", || async { world.approvals("state=pending").await.pop() }).await;
    crash(&mut world, free_log);
    // If the log took too long for it, the caller was told that it is not held.
    assert!(caller.await.unwrap().map_or(true, |answer| answer.code() == "audit-unavailable"));
    is_joined_and_runs_once(world, "/held/a", &before).await;
}

#[tokio::test]
async fn while_it_is_held() {
    let mut world = World::start();
    let caller = tokio::spawn(world.call(Method::POST, "/held/a").body("x").try_send());
    let before = world.held("/held/a").await;
    crash(&mut world, |_| {});
    assert!(caller.await.unwrap().is_err());
    is_joined_and_runs_once(world, "/held/a", &before).await;
}

/// A held call that has been approved, while its connection to the upstream is being opened.
async fn approved_and_connecting(world: &mut World) -> (Silent, Value, String) {
    let silent = Silent::start(world.folder.path()).await;
    let (plain, tls) = (
        format!("url: http://{}", world.upstream.address),
        format!("ca: \"file:ca.pem\"\n    url: https://{}", silent.address),
    );
    world.configure(&plain, &tls);
    world.restart();
    let caller = tokio::spawn(world.call(Method::POST, "/held/a").body("x").try_send());
    let item = world.held("/held/a").await;
    world.approve("ana", &item).await;
    silent.connected().await;
    assert!(!caller.is_finished());
    world.configure(&tls, &plain);
    (silent, item, tls)
}

#[tokio::test]
async fn after_the_approval_and_before_the_claim() {
    let mut world = World::start();
    let (silent, item, _) = approved_and_connecting(&mut world).await;
    crash(&mut world, |_| {});
    assert_eq!(states(&world, "/held/a").await, ["approved"]);
    assert_eq!((silent.bytes(), world.upstream.count("/held/a")), (0, 0));
    // Nobody is asked a second time.
    let answer = retry(&world, "/held/a").await;
    assert_eq!((answer.status, answer.field("approval-id")), (200, item["id"].as_str().unwrap()));
    ran_once(&mut world, "/held/a").await;
}

#[tokio::test]
async fn after_the_claim_and_before_the_first_byte() {
    let mut world = World::start();
    let (silent, item, _) = approved_and_connecting(&mut world).await;
    // The claim takes effect once it is in the log, and it will not be.
    hang_log(&world).await;
    silent.speak();
    world.waits_for("/held/a", "forwarding", true).await;
    crash(&mut world, free_log);
    assert_eq!((silent.bytes(), world.upstream.count("/held/a")), (0, 0));
    // Whoever starts cannot tell this from a call that has left.
    is_unknown_and_stays_so(&world, "/held/a", &item["id"], 0).await;
}

#[tokio::test]
async fn after_the_request_and_before_the_answer() {
    let mut world = World::start();
    let caller = tokio::spawn(world.call(Method::POST, "/held/hangs").body("x").try_send());
    let item = world.held("/held/hangs").await;
    world.approve("ana", &item).await;
    eventually("the call at the upstream", || async { (world.upstream.count("/held/hangs") == 1).then_some(()) }).await;
    crash(&mut world, |_| {});
    assert!(caller.await.unwrap().is_err());
    is_unknown_and_stays_so(&world, "/held/hangs", &item["id"], 1).await;
}

#[tokio::test]
async fn in_the_middle_of_the_answer() {
    let mut world = World::start();
    let mut wire = world.wire().await;
    let key = &world.keys["deploy-bot"];
    wire.write(format!(
        "POST /held/pauses HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\nContent-Length: 1\r\n\r\nx"
    ))
    .await;
    let item = world.held("/held/pauses").await;
    world.approve("ana", &item).await;
    assert!(wire.read_until("the first half").await.starts_with("HTTP/1.1 200 "));
    // That it ran is known from the first line of the answer on, and kept as soon as it is known.
    world.waits_for("/held/pauses", "completed", false).await;
    crash(&mut world, |_| {});
    let item = world.waits_for("/held/pauses", "completed", false).await;
    let again = world.call(Method::POST, "/held/pauses").body("x").with("approval-id", item["id"].as_str().unwrap());
    let again = again.send().await;
    assert_eq!((again.status, again.code().as_str()), (403, "already-run"));
    ran_once(&mut world, "/held/pauses").await;
}
