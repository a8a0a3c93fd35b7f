//! `kill -9` at any moment: nothing that was told is lost, and nothing runs twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::support::World;
use crate::support::eventually;

#[tokio::test]
async fn a_held_call_survives_a_crash() {
    let mut world = World::start();
    let caller = tokio::spawn(world.call(Method::POST, "/held/a").body("x").try_send());
    let before = world.held("/held/a").await;
    world.restart();
    assert!(caller.await.unwrap().is_err(), "the caller was answered by a dead process");

    let item = world.waits_for("/held/a", "pending", false).await;
    assert_eq!((&item["id"], &item["digest"]), (&before["id"], &before["digest"]));
    world.approve("ana", &item).await;
    world.restart();
    world.waits_for("/held/a", "approved", false).await;
    let answer = world.call(Method::POST, "/held/a").body("x").send().await;
    assert_eq!((answer.status, answer.field("approval-id")), (200, item["id"].as_str().unwrap()));
    world.waits_for("/held/a", "completed", false).await;
    world.restart();
    assert_eq!(world.approvals("state=completed").await.len(), 1);
    assert_eq!(world.upstream.count("/held/a"), 1);
    world.verify();
}

#[tokio::test]
async fn a_call_that_was_under_way_at_a_crash_is_not_sent_again() {
    let mut world = World::start();
    let caller = tokio::spawn(world.call(Method::POST, "/held/hangs").try_send());
    let item = world.held("/held/hangs").await;
    world.approve("ana", &item).await;
    eventually("the call at the upstream", || async { (world.upstream.count("/held/hangs") == 1).then_some(()) }).await;
    world.restart();
    let _ = caller.await.unwrap();
    world.waits_for("/held/hangs", "unknown", false).await;
    let again = world.call(Method::POST, "/held/hangs").with("approval-id", item["id"].as_str().unwrap()).send().await;
    assert_eq!((again.status, again.code().as_str()), (403, "outcome-unknown"));
    assert_eq!(world.upstream.count("/held/hangs"), 1);
    world.verify();
}

/// Numbers that look like chance and are the same each time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Ten times: several calls are held, people decide on them, and the process dies in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_are_right_after_any_number_of_crashes() {
    let mut world = World::start();
    let mut chance = Chance(20_261_124);
    // What people were told: approval and verdict.
    let mut told: BTreeMap<String, &str> = BTreeMap::new();
    let (mut least_told, mut least_run) = (0, 0);
    for round in 0..10 {
        let targets: Vec<String> = (0..4).map(|call| format!("/held/{round}-{call}")).collect();
        let callers: Vec<_> = targets.iter().map(|target| tokio::spawn(world.get(target).try_send())).collect();
        let mut items = Vec::new();
        for target in &targets {
            items.push(world.held(target).await);
        }
        let verdicts: Vec<bool> = items.iter().map(|_| !chance.next().is_multiple_of(4)).collect();
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let deciding = items.iter().zip(&verdicts).map(|(item, &approve)| decide(&world, item, approve, &acknowledged));
        let deciding: Vec<_> = deciding.collect();
        // Whatever moment it is has to be right: after some decisions, after some calls have reached
        // the upstream, or any. How far things have come by then must not depend on the machine.
        let some = 1 + usize::try_from(chance.next() % 4).unwrap();
        match round % 3 {
            0 => {
                least_told += some;
                eventually("decisions", || async { (acknowledged.load(Ordering::SeqCst) >= some).then_some(()) }).await;
            }
            1 => {
                let some = some.min(verdicts.iter().filter(|&&approve| approve).count());
                least_run += some;
                let prefix = format!("/held/{round}-");
                eventually("runs", || async { (world.upstream.count(&prefix) >= some).then_some(()) }).await;
            }
            _ => tokio::time::sleep(Duration::from_micros(chance.next() % 100_000)).await,
        }
        tokio::time::sleep(Duration::from_micros(chance.next() % 10_000)).await;
        world.program.kill();
        for decision in deciding {
            told.extend(decision.await.unwrap());
        }
        for caller in callers {
            let _ = caller.await.unwrap();
        }
        world.restart();
    }
    for (id, verdict) in &told {
        let state = world.approval(id).await["state"].as_str().unwrap().to_owned();
        let kept = match *verdict {
            "approve" => ["approved", "forwarding", "completed", "unknown"].contains(&state.as_str()),
            _ => state == "denied",
        };
        assert!(kept, "{id}: told `{verdict}`, found `{state}`");
    }
    // What is approved runs when its caller comes again, and what has run does not.
    for item in world.approvals("state=approved&limit=200").await {
        let target = item["call"]["target"].as_str().unwrap();
        assert_eq!(world.upstream.count(target), 0, "{target} has run, and could run again");
        assert_eq!(world.get(target).send().await.status, 200);
    }
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    for received in world.upstream.received() {
        *runs.entry(received.target().to_owned()).or_default() += 1;
    }
    assert!(runs.values().all(|&count| count == 1), "{runs:?}");
    for item in world.approvals("state=denied,pending&limit=200").await {
        assert!(!runs.contains_key(item["call"]["target"].as_str().unwrap()), "{item}");
    }
    assert!(least_told > 5 && least_run > 3, "the crashes came before everything: {least_told} {least_run}");
    assert!(told.len() >= least_told && runs.len() >= least_run, "{least_told} {told:?} {least_run} {runs:?}");
    world.verify();
}

/// Decides from a task of its own; tells what was acknowledged, if anything was.
fn decide(
    world: &World,
    item: &Value,
    approve: bool,
    acknowledged: &Arc<AtomicUsize>,
) -> tokio::task::JoinHandle<Option<(String, &'static str)>> {
    let acknowledged = Arc::clone(acknowledged);
    let verdict = if approve { "approve" } else { "deny" };
    let id = item["id"].as_str().unwrap().to_owned();
    let body = serde_json::json!({ "verdict": verdict, "digest": item["digest"], "reason": "seen" });
    let call = world.admin_call("ana", Method::POST, &format!("/v1/approvals/{id}/decisions"));
    let call = call.with("content-type", "application/json").body(body.to_string());
    tokio::spawn(async move {
        let answer = call.try_send().await.ok()?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        acknowledged.fetch_add(1, Ordering::SeqCst);
        Some((id, verdict))
    })
}
