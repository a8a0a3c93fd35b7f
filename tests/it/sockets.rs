//! WebSockets that do not come about, and upgrades that nobody asked for.

use crate::support::POLICY;
use crate::support::Wire;
use crate::support::World;

async fn open(world: &World, path: &str) -> Wire {
    let mut wire = world.wire().await;
    let key = &world.keys["deploy-bot"];
    wire.write(format!(
        "GET {path} HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ))
    .await;
    wire
}

#[tokio::test]
async fn bytes_that_come_before_the_verdict_belong_to_nobody() {
    let world = World::start();
    let mut wire = open(&world, "/closed/socket").await;
    wire.write("smuggled").await;
    assert!(wire.read_until("policy-denied").await.starts_with("HTTP/1.1 403 "));
    let mut wire = open(&world, "/held/socket").await;
    wire.write("smuggled").await;
    let item = world.held("/held/socket").await;
    assert_eq!(world.decide("ana", &item, "deny", None).await.status, 200);
    assert!(wire.read_until("approval-denied").await.starts_with("HTTP/1.1 403 "));
    assert!(world.upstream.received().is_empty());
}

#[tokio::test]
async fn an_upstream_that_does_not_switch_gets_no_frames() {
    let world = World::start();
    let mut wire = open(&world, "/open/a").await;
    wire.read_until("\"fine\":true").await;
    wire.write("GET /smuggled HTTP/1.1\r\nHost: proxy.test\r\n\r\n").await;
    // Read as the next request of the agent, and it has no key.
    assert!(wire.read_until("unauthenticated").await.starts_with("HTTP/1.1 401 "));
    assert_eq!(world.get("/open/b").send().await.status, 200);
    let targets: Vec<String> = world.upstream.received().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/open/a", "/open/b"]);
}

#[tokio::test]
async fn an_upstream_that_switches_unasked_gets_nowhere() {
    let world = World::start();
    for call in [world.get("/open/switches"), world.get("/open/switches").http2()] {
        let answer = call.send().await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream-broke-off"));
    }
    assert_eq!(world.get("/open/b").send().await.status, 200);
}

#[tokio::test]
async fn one_that_is_silent_for_too_long_is_closed() {
    let world = World::start();
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    world.replace("holdpoint.yaml", &config.replace("{ response: 2s }", "{ response: 2s, idle: 300ms }"));
    world.program.logged_text("reloaded", 0);
    let mut wire = open(&world, "/open/socket").await;
    wire.read_until("\r\n\r\n").await;
    wire.write("a frame").await;
    assert_eq!(wire.read_to_end().await, "a frame");
}

#[tokio::test]
async fn handshakes_that_do_not_hold_together_are_refused() {
    let world = World::start_with(POLICY, "");
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let both = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    for (method, fields) in [
        ("GET", both.to_owned()),
        ("POST", format!("{both}{key}")),
        ("GET", format!("{both}Sec-WebSocket-Key: short\r\n")),
        ("GET", format!("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{key}")),
        ("GET", format!("{upgrade}Sec-WebSocket-Version: 12\r\n{key}")),
        ("GET", format!("Connection: upgrade\r\nUpgrade: websocket, h2c\r\nSec-WebSocket-Version: 13\r\n{key}")),
        ("GET", format!("{both}{key}Content-Length: 5\r\n")),
        ("GET", format!("{both}{key}{key}")),
    ] {
        let mut wire = world.wire().await;
        let agent = &world.keys["deploy-bot"];
        wire.write(format!(
            "{method} /open/socket HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {agent}\r\n{fields}\r\n"
        ))
        .await;
        let answer = wire.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{method} {fields}: {answer}");
    }
    assert!(world.upstream.received().is_empty());
}
