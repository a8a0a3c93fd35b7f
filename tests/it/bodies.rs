//! Bodies: all of them arrive, none is read as something else, and none takes up memory.

use std::time::Duration;

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
