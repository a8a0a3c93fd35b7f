//! What reaches the upstream and what comes back.

use http::Method;

use crate::support::POLICY;
use crate::support::World;
use crate::support::eventually;

#[tokio::test]
async fn only_end_to_end_fields_travel_and_we_say_where_a_call_came_from() {
    let world = World::start();
    let call = world
        .get("/open/a")
        .with("connection", "x-hop, keep-alive")
        .with("x-hop", "1")
        .with("keep-alive", "timeout=5")
        .with("proxy-authorization", "Basic eDp5")
        .with("te", "trailers")
        .with("forwarded", "for=10.0.0.1")
        .with("x-forwarded-for", "10.0.0.1")
        .with("x-forwarded-host", "evil.test")
        .with("x-real-ip", "10.0.0.1")
        .with("x-original-url", "/closed")
        .with("x-http-method-override", "DELETE")
        .with("approval-context", "ticket 7")
        .with("x-kept", "yes");
    assert_eq!(call.send().await.status, 200);
    let received = world.upstream.received();
    let request = &received[0];
    for name in [
        "connection",
        "x-hop",
        "keep-alive",
        "proxy-authorization",
        "te",
        "x-real-ip",
        "x-original-url",
        "x-http-method-override",
        "approval-context",
    ] {
        assert!(request.values(name).is_empty(), "{name} in {}", request.head);
    }
    for (name, value) in [
        ("host", world.upstream.address.to_string()),
        ("forwarded", "for=127.0.0.1;proto=https;host=proxy.test".to_owned()),
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-forwarded-host", "proxy.test".to_owned()),
        ("x-forwarded-proto", "https".to_owned()),
        ("x-kept", "yes".to_owned()),
    ] {
        assert_eq!(request.values(name), [value], "{name}");
    }
}

#[tokio::test]
async fn only_end_to_end_fields_come_back() {
    let world = World::start();
    for call in [world.get("/open/hops"), world.get("/open/hops").http2()] {
        let answer = call.send().await;
        assert_eq!((answer.status, answer.text().as_str(), answer.field("x-kept")), (200, "hops", "yes"));
        for name in ["x-mine", "keep-alive", "alt-svc", "approval-status"] {
            assert_eq!(answer.field(name), "", "{name}");
        }
    }
    let missing = world.get("/open/missing").send().await;
    assert_eq!((missing.status, missing.text().as_str()), (404, "nothing here"));
}

#[tokio::test]
async fn bodies_stream_with_their_trailers() {
    let world = World::start();
    let answer = world.get("/open/trailers").http2().send().await;
    assert_eq!(answer.text(), "onetwo");
    assert_eq!(answer.trailers.get("x-sum").unwrap(), "6");
    assert!(answer.trailers.get("host").is_none(), "{:?}", answer.trailers);

    // Upwards: an allowed call whose body nobody looks at, and a held one, which is read whole.
    let mut wire = world.wire().await;
    let head = |path: &str| {
        let key = &world.keys["deploy-bot"];
        format!(
            "POST {path} HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\nTrailer: X-Sum\r\n\
                 Transfer-Encoding: chunked\r\n\r\n"
        )
    };
    let body = "3\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 6\r\nAuthorization: evil\r\n\r\n";
    wire.write(head("/open/up") + body).await;
    wire.read_until("\"fine\":true").await;
    wire.write(head("/held/up") + body).await;
    let item = world.held("/held/up").await;
    world.approve("ana", &item).await;
    wire.read_until("\"fine\":true").await;
    let received = world.upstream.received();
    for request in &received[1..] {
        let body = String::from_utf8_lossy(&request.body).to_lowercase();
        assert!(!body.contains("evil"), "{body}");
        let data: String = body.split("\r\n").filter(|line| ["one", "two", "onetwo"].contains(line)).collect();
        assert_eq!(data, "onetwo", "{body}");
    }
    let whole = String::from_utf8_lossy(&received[2].body).to_lowercase();
    assert!(whole.contains("x-sum: 6"), "{whole}");
}

#[tokio::test]
async fn a_body_that_is_too_long_to_be_looked_at_is_refused() {
    let more = "limits: { inspect_bytes_max: 1KiB, hold_bytes_max: 2KiB, held_bytes_total_max: 1KiB, \
                spooled_bytes_total_max: 3KiB, body_timeout: 1s }\n";
    let policy = format!("{POLICY}\nallow contains {{\"rule\": \"looks\"}} if input.request.body.a == 1\n");
    let world = World::start_with(&policy, more);
    let long = |bytes: usize| "x".repeat(bytes);
    let inspected = world.call(Method::POST, "/open/a").body(long(1025)).send().await;
    assert_eq!((inspected.status, inspected.code().as_str()), (413, "body-too-large"));
    let fits = world.call(Method::POST, "/open/a").body(long(1024)).send().await;
    assert_eq!(fits.status, 200);

    let world = World::start_with(POLICY, more);
    let unseen = world.call(Method::POST, "/open/a").body(long(100_000)).send().await;
    assert_eq!(unseen.status, 200);
    let held = world.call(Method::POST, "/held/a").body(long(2049)).send().await;
    assert_eq!((held.status, held.code().as_str()), (413, "body-too-large"));
    // One that fits, on disk or in memory, and one more that does not fit beside it.
    for (path, bytes) in [("/held/b", 2048), ("/held/c", 1024)] {
        let first = world.call(Method::POST, path).body(long(bytes)).spawn();
        world.held(path).await;
        let second = world.call(Method::POST, "/held/more").body(long(bytes)).send().await;
        assert_eq!((second.status, second.code().as_str()), (503, "overloaded"));
        assert_ne!(second.field("retry-after"), "");
        first.abort();
    }

    // A body that does not come.
    let mut wire = world.wire().await;
    let key = &world.keys["deploy-bot"];
    let head =
        format!("POST /held/d HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\nContent-Length: 9\r\n");
    wire.write(format!("{head}\r\nslow")).await;
    let answer = wire.read_until("body-timeout").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(world.upstream.received().len(), 1);
}

#[tokio::test]
async fn a_websocket_is_one_action_that_can_be_held() {
    let world = World::start();
    for (path, held) in [("/open/socket", false), ("/held/socket", true)] {
        let mut wire = world.wire().await;
        let key = &world.keys["deploy-bot"];
        wire.write(format!(
            "GET {path} HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ))
        .await;
        if held {
            let item = world.held(path).await;
            assert_eq!(item["actions"][0]["name"], "http:WEBSOCKET");
            assert_eq!(world.upstream.count(path), 0);
            world.approve("ana", &item).await;
        }
        let answer = wire.read_until("\r\n\r\n").await.to_lowercase();
        assert!(answer.starts_with("http/1.1 101 ") && answer.contains("sec-websocket-accept: s3pplm"), "{answer}");
        assert_eq!(answer.contains("approval-status: approved"), held, "{answer}");
        wire.write("frames of any kind").await;
        assert_eq!(wire.read_until("any kind").await, "frames of any kind");
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_gets_nothing() {
    let world = World::start();
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    // A port that was free a moment ago; nobody else is told of it.
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    world.replace("holdpoint.yaml", &config.replace(&world.upstream.address.to_string(), &free.to_string()));
    world.program.logged_text("reloaded", 0);
    let answer = world.get("/open/a").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream-unreachable"));
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    world.approve("ana", &item).await;
    let answer = caller.await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream-unreachable"));
    // It was not claimed, so it still stands for when the upstream is back.
    world.waits_for("/held/a", "approved", false).await;
    assert!(world.upstream.received().is_empty());
    world.verify();
}

#[tokio::test]
async fn an_upstream_that_dies_under_a_held_call_leaves_its_outcome_unknown() {
    let world = World::start();
    for (target, status, code) in [("/held/dies", 502, "upstream-broke-off"), ("/held/hangs", 504, "upstream-timeout")]
    {
        let caller = world.call(Method::POST, target).body("x").spawn();
        let item = world.held(target).await;
        world.approve("ana", &item).await;
        let answer = caller.await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
        assert_eq!(answer.json()["retryable"], false);
        world.waits_for(target, "unknown", false).await;
        assert_eq!(world.upstream.count(target), 1, "it was sent again");
    }
    world.verify();
}

#[tokio::test]
async fn an_approved_call_runs_to_its_end_without_its_caller() {
    let world = World::start();
    let caller = world.get("/held/hangs").spawn();
    let item = world.held("/held/hangs").await;
    world.approve("ana", &item).await;
    eventually("the call at the upstream", || async { (world.upstream.count("/held/hangs") == 1).then_some(()) }).await;
    caller.abort();
    // The upstream's time-out is the end of it, and it is on record.
    world.waits_for("/held/hangs", "unknown", false).await;
    world.verify();
}
