//! A new process takes the place of the running one, under load: no connection is refused or reset,
//! no call fails, and those that are held find their approvals.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::support::Call;
use crate::support::Kept;
use crate::support::Program;
use crate::support::World;
use crate::support::eventually;

/// Starts another process on the configuration of `world`.
fn another(world: &World, more: &[&str]) -> Program {
    let config = world.path("holdpoint.yaml");
    Program::start(&[&["serve", "--config", config.to_str().unwrap()], more].concat())
}

/// Has another process take over; the one before must end in good order.
fn take_over(world: &mut World) {
    let successor = another(world, &["--take-over"]);
    let addresses = (world.proxy, world.admin);
    let mut before = world.succeed(successor);
    assert_eq!((world.proxy, world.admin), addresses);
    assert_eq!(before.ended().code(), Some(0), "{}", before.log());
}

/// Callers that never stop calling, and what has come of it.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    /// A connection for each call.
    async fn short(self: Arc<Self>, call: Call) {
        while !self.stop.load(Ordering::Relaxed) {
            let answer = call.clone().try_send().await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One connection for as long as it lasts.
    async fn kept(self: Arc<Self>, call: Call) {
        let mut kept = Kept::default();
        while !self.stop.load(Ordering::Relaxed) {
            let answer = kept.try_send(call.clone()).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A held call as an SDK makes it: told to come again, it does.
async fn held(call: Call) -> (u16, usize) {
    let mut told = 0;
    loop {
        let answer = call.clone().try_send().await.unwrap();
        if answer.code() != "draining" {
            return (answer.status, told);
        }
        assert_eq!((answer.status, answer.field("retry-after")), (503, "1"));
        assert!(!answer.field("approval-id").is_empty(), "{:?}", answer.headers);
        told += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_take_overs_under_load_lose_nothing() {
    let mut world = World::start();
    let load = Arc::new(Load::default());
    let mut callers = Vec::new();
    for _ in 0..2 {
        callers.push(tokio::spawn(Arc::clone(&load).short(world.get("/open/short"))));
        callers.push(tokio::spawn(Arc::clone(&load).short(world.get("/open/two").http2())));
        callers.push(tokio::spawn(Arc::clone(&load).kept(world.get("/open/kept"))));
    }
    let waiting: Vec<_> = (0..4).map(|call| tokio::spawn(held(world.get(&format!("/held/{call}"))))).collect();
    let mut items = Vec::new();
    for call in 0..4 {
        items.push(world.held(&format!("/held/{call}")).await);
    }
    for round in 0..10 {
        // More cores and fewer than there are sockets.
        let threads = ["threads: 2", "threads: 1", "threads: 3"];
        world.configure(threads[round % 3], threads[(round + 1) % 3]);
        let before = load.answered.load(Ordering::Relaxed);
        take_over(&mut world);
        for call in 0..4 {
            world.held(&format!("/held/{call}")).await;
        }
        eventually("calls to be answered again", || async {
            (load.answered.load(Ordering::Relaxed) > before + 20).then_some(())
        })
        .await;
    }
    load.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let ids = |items: &[serde_json::Value]| {
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(&world.approvals("").await), ids(&items), "somebody was asked twice");
    for item in &items {
        world.approve("ana", item).await;
    }
    for caller in waiting {
        let (status, told) = caller.await.unwrap();
        // Whoever comes back at once may find another core of the process that it was sent away by.
        assert!(status == 200 && told >= 10, "{status}, told {told} times");
    }
    assert_eq!(world.upstream.count("/held"), 4);
    eventually("the books to be closed", || async {
        (world.approvals("state=completed").await.len() == 4).then_some(())
    })
    .await;
    world.verify();
}

#[tokio::test]
async fn calls_that_run_end_where_they_began() {
    let mut world = World::start();
    let running = world.get("/open/hangs").spawn();
    eventually("the call at the upstream", || async { (world.upstream.count("/open/hangs") == 1).then_some(()) }).await;
    let successor = another(&world, &["--take-over"]);
    world.program.logged_text("another process takes over", 0);
    // It waits until the one before has ended, and nobody is sent away.
    let waits = world.get("/open/queued").spawn();
    assert_eq!(running.await.unwrap().code(), "upstream-timeout");
    let mut before = world.succeed(successor);
    assert_eq!(before.ended().code(), Some(0));
    assert_eq!(waits.await.unwrap().status, 200);
    world.verify();
}

#[tokio::test]
async fn whoever_cannot_serve_does_not_take_over() {
    let world = World::start();
    let held = world.get("/held/a").spawn();
    world.held("/held/a").await;
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    let certificate = std::fs::read_to_string(world.path("server.pem")).unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let another_address =
        format!("listen:\n  - address: {}\n    plaintext: keys-travel-unencrypted\n", taken.local_addr().unwrap());
    for (name, text, expected) in [
        ("other.yaml", format!("{config}\nodd: 1\n"), "odd"),
        ("other.yaml", config.replace("path: policies", "path: nowhere"), "nowhere"),
        ("other.yaml", config.replace("listen:\n", &another_address), "cannot listen on"),
        ("other.yaml", config.replace("file:audit.key", "file:another.key"), "another.key"),
        ("other.yaml", config.replace("file:server.pem", "file:nothing.pem"), "nothing.pem"),
    ] {
        world.replace(name, &text);
        let path = world.path(name);
        let mut other = Program::start(&["serve", "--take-over", "--config", path.to_str().unwrap()]);
        assert_eq!(other.ended().code(), Some(1), "{}", other.log());
        assert!(other.log().contains(expected), "{expected}: {}", other.log());
    }
    assert_eq!(std::fs::read_to_string(world.path("server.pem")).unwrap(), certificate);
    assert_eq!(world.program.count_logged("takes over"), 0, "{}", world.program.log());
    assert!(!held.is_finished());
    assert_eq!(world.get("/open/a").send().await.status, 200);
    held.abort();
}

#[tokio::test]
async fn a_second_process_that_does_not_take_over_does_no_harm() {
    let world = World::start();
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    // The very same address: both could listen there.
    let same = config.replace("- address: 127.0.0.1:0", &format!("- address: {}", world.proxy));
    world.replace("other.yaml", &same);
    let path = world.path("other.yaml");
    let mut other = Program::start(&["serve", "--config", path.to_str().unwrap()]);
    for _ in 0..20 {
        assert_eq!(world.get("/open/a").send().await.status, 200);
    }
    assert_eq!(other.ended().code(), Some(1));
    assert!(other.log().contains("start this one with `--take-over`"), "{}", other.log());
    assert_eq!(world.get("/open/a").send().await.status, 200);
}

#[tokio::test]
async fn where_nobody_runs_it_just_starts() {
    let mut world = World::start();
    // What a crash leaves behind is no obstacle.
    world.program.kill();
    let program = another(&world, &["--take-over"]);
    world.succeed(program);
    assert_eq!(world.get("/open/a").send().await.status, 200);
    take_over(&mut world);
    assert_eq!(world.get("/open/a").send().await.status, 200);
}

#[tokio::test]
async fn a_process_that_does_not_answer_is_left_alone() {
    let world = World::start();
    world.program.signal("STOP");
    let mut other = another(&world, &["--take-over"]);
    assert_eq!(other.ended().code(), Some(1));
    assert!(other.log().contains("has not answered"), "{}", other.log());
    world.program.signal("CONT");
    assert_eq!(world.get("/open/a").send().await.status, 200);
    assert_eq!(world.program.count_logged("takes over"), 0);
}

#[tokio::test]
async fn one_that_dies_while_it_drains_is_replaced_all_the_same() {
    let mut world = World::start();
    let running = tokio::spawn(world.get("/open/hangs").try_send());
    eventually("the call at the upstream", || async { (world.upstream.count("/open/hangs") == 1).then_some(()) }).await;
    let successor = another(&world, &["--take-over"]);
    world.program.logged_text("another process takes over", 0);
    let waits = world.get("/open/queued").spawn();
    world.program.kill();
    assert!(running.await.unwrap().is_err());
    world.succeed(successor);
    assert_eq!(waits.await.unwrap().status, 200);
    world.verify();
}
