//! Bodies: all of them arrive, none is read as something else, and none takes up memory.

use std::time::Duration;

use http::Method;

use crate::support::LARGE;
use crate::support::POLICY;
use crate::support::World;

/// The head of a request of `deploy-bot` with these further fields.
fn head(world: &World, line: &str, fields: &str) -> String {
    let key = &world.keys["deploy-bot"];
    format!("{line} HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\n{fields}\r\n")
}

#[tokio::test]
async fn a_body_without_a_length_arrives_whatever_the_method() {
    let world = World::start();
    for (count, (method, path)) in
        [("POST", "/open/a"), ("GET", "/open/b"), ("DELETE", "/open/c"), ("GET", "/held/a")].into_iter().enumerate()
    {
        let mut wire = world.wire().await;
        let head = head(&world, &format!("{method} {path}"), "Transfer-Encoding: chunked\r\n");
        wire.write(format!("{head}7\r\n{{\"all\":\r\n2\r\n1}}\r\n0\r\n\r\n")).await;
        if path.starts_with("/held") {
            let item = world.held(path).await;
            assert_eq!(world.approval(item["id"].as_str().unwrap()).await["request"]["body_text"], "{\"all\":1}");
            world.approve("ana", &item).await;
        }
        wire.read_until("\"fine\":true").await;
        let received = &world.upstream.received()[count];
        let text = String::from_utf8_lossy(&received.body).replace("\r\n", "");
        assert!(["7{\"all\":21}0", "9{\"all\":1}0", "{\"all\":1}"].contains(&text.as_str()), "{received:?}");
    }
}

#[tokio::test]
async fn large_bodies_pass_in_little_memory() {
    let world = World::start();
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", world.program.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    };
    for http2 in [false, true] {
        let version = |call: crate::support::Call| if http2 { call.http2() } else { call };
        let before = peak();
        let up = world.call(Method::POST, "/open/a").body(vec![b'x'; LARGE]);
        assert_eq!(version(up).send().await.status, 200);
        assert_eq!(world.upstream.received().last().unwrap().body.len(), LARGE);
        let answer = version(world.get("/open/large")).send().await;
        assert_eq!((answer.status, answer.body.len()), (200, LARGE));
        let grown = peak() - before;
        assert!(grown < 16 << 20, "{grown} bytes more for bodies of {LARGE}");
    }
}

#[tokio::test]
async fn a_body_may_take_longer_than_an_answer() {
    let world = World::start();
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    world.replace("holdpoint.yaml", &config.replace("{ response: 2s }", "{ response: 1s }"));
    world.program.logged_text("reloaded", 0);
    let mut wire = world.wire().await;
    wire.write(head(&world, "POST /open/a", "Content-Length: 6\r\n")).await;
    let mut every = tokio::time::interval(Duration::from_millis(300));
    for byte in ["s", "l", "o", "w", "l", "y"] {
        every.tick().await;
        wire.write(byte).await;
    }
    let answer = wire.read_until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(world.upstream.received()[0].body, b"slowly");
    // One that stops coming is given up.
    let mut wire = world.wire().await;
    wire.write(head(&world, "POST /open/a", "Content-Length: 6\r\n") + "slow").await;
    assert!(wire.read_until("upstream-timeout").await.starts_with("HTTP/1.1 504 "));
}

#[tokio::test]
async fn nothing_behind_a_held_request_runs_before_it() {
    let world = World::start();
    let mut wire = world.wire().await;
    wire.write(head(&world, "GET /held/a", "") + &head(&world, "GET /open/behind", "")).await;
    let item = world.held("/held/a").await;
    assert!(world.upstream.received().is_empty());
    assert_eq!(world.decide("ana", &item, "deny", None).await.status, 200);
    let answers = wire.read_until("\"fine\":true").await;
    assert!(answers.starts_with("HTTP/1.1 403 ") && answers.contains("HTTP/1.1 200 "), "{answers}");
    assert_eq!((world.upstream.count("/held/a"), world.upstream.count("/open/behind")), (0, 1));
}

#[tokio::test]
async fn a_body_is_never_read_as_the_next_request() {
    let world = World::start();
    let hidden = head(&world, "GET /held/hidden", "");
    let length = format!("Content-Length: {}\r\n", hidden.len());
    let mut wire = world.wire().await;
    wire.write(head(&world, "POST /open/a", &length) + &hidden).await;
    wire.read_until("\"fine\":true").await;
    assert_eq!(world.upstream.received()[0].body, hidden.as_bytes());
    // The same where the body is refused unread.
    let mut wire = world.wire().await;
    wire.write(head(&world, "POST /closed/a", &length) + &hidden + &head(&world, "GET /open/next", "")).await;
    let answer = wire.read_until("policy-denied").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(world.get("/open/last").send().await.status, 200);
    assert!(world.approvals("").await.is_empty());
}

#[tokio::test]
async fn a_body_is_asked_for_only_where_somebody_wants_it() {
    let world = World::start();
    let fields = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    let mut wire = world.wire().await;
    wire.write(head(&world, "POST /closed/a", fields)).await;
    let answer = wire.read_until("policy-denied").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let mut wire = world.wire().await;
    wire.write(head(&world, "POST /open/a", fields)).await;
    assert_eq!(wire.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    wire.write("hello").await;
    wire.read_until("\"fine\":true").await;
    let received = &world.upstream.received()[0];
    assert_eq!((received.body.as_slice(), received.values("expect")), (&b"hello"[..], vec![]));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_sent() {
    let looking = format!("{POLICY}\nallow contains {{\"rule\": \"looks\"}} if input.request.body.a == 1\n");
    let world = World::start_with(&looking, "");
    for line in ["POST /held/a", "POST /open/a"] {
        let mut wire = world.wire().await;
        wire.write(head(&world, line, "Content-Length: 10\r\n") + "hello").await;
        wire.finish().await;
        let answer = wire.read_to_end().await;
        // It may say why, and need not.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert_eq!(world.get("/open/b").send().await.status, 200);
    assert_eq!(world.upstream.received().len(), 1);
    assert!(world.approvals("").await.is_empty());
}

#[tokio::test]
async fn an_answer_that_was_cut_is_seen_to_be_cut() {
    let world = World::start();
    for call in [world.get("/open/half"), world.get("/open/half").http2()] {
        call.try_send().await.expect_err("the answer was cut");
    }
    let mut wire = world.wire().await;
    wire.write(head(&world, "GET /open/half", "")).await;
    let answer = wire.read_to_end().await.to_lowercase();
    assert!(answer.starts_with("http/1.1 200 ") && answer.ends_with("only this"), "{answer}");
}

#[tokio::test]
async fn an_upstream_may_answer_before_it_has_the_body() {
    let world = World::start();
    for _ in 0..3 {
        let mut wire = world.wire().await;
        wire.write(head(&world, "POST /open/early", "Content-Length: 10\r\n") + "hello").await;
        assert!(wire.read_until("early").await.starts_with("HTTP/1.1 413 "));
        // That connection is not used again.
        assert_eq!(world.call(Method::POST, "/open/a").body("x").send().await.status, 200);
    }
    assert_eq!(world.upstream.received().len(), 6);
}
