//! HTTP/2 by hand: what no client library would send is refused, and not a byte of it goes further.

use crate::support::Ended;
use crate::support::Ended::Gone;
use crate::support::Ended::Reset;
use crate::support::Ended::Status;
use crate::support::Frames;
use crate::support::POLICY;
use crate::support::Silent;
use crate::support::World;

const HOST: &str = "proxy.test";

/// The fields that every request over HTTP/2 needs.
fn request<'a>(key: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path), ("x-api-key", key)]
}

fn key(world: &World) -> String {
    world.keys["deploy-bot"].clone()
}

async fn frames(world: &World, fields: &[(&str, &str)], body: &[&[u8]]) -> Ended {
    let mut frames = Frames::connect(world.proxy, &world.tls, HOST).await;
    frames.request(1, fields, body).await;
    frames.ended(1).await
}

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;

#[tokio::test]
async fn frames_by_hand_pass_as_well() {
    let world = World::start();
    assert_eq!(frames(&world, &request(&key(&world), "/open/a"), &[]).await, Status(200));
    assert_eq!(frames(&world, &request(&key(&world), "/open/a"), &[b"x", b"y"]).await, Status(200));
    assert_eq!(frames(&world, &request(&key(&world), "/closed/a"), &[]).await, Status(403));
    assert_eq!(frames(&world, &request("nobody", "/open/a"), &[]).await, Status(401));
    assert_eq!(world.upstream.received()[1].body, b"1\r\nx\r\n1\r\ny\r\n0\r\n\r\n");
    assert_eq!(world.upstream.received().len(), 2);
}

#[tokio::test]
async fn requests_over_http2_that_can_be_read_in_two_ways() {
    let world = World::start();
    let key = key(&world);
    let with = |field: (&'static str, &'static str)| {
        let mut fields = request(&key, "/open/a");
        fields.push(field);
        fields
    };
    let instead = |field: (&'static str, &'static str)| {
        let mut fields = request(&key, "/open/a");
        fields.iter_mut().filter(|(name, _)| *name == field.0).for_each(|place| *place = field);
        fields
    };
    let without = |name: &str| {
        let mut fields = request(&key, "/open/a");
        fields.retain(|field| field.0 != name);
        fields
    };
    let mut late = request(&key, "/open/a");
    late.rotate_left(2);
    type Case<'a> = (Vec<(&'a str, &'a str)>, &'a [Ended]);
    let cases: Vec<Case<'_>> = vec![
        (instead((":path", "/open/../closed")), &[Status(400)]),
        (instead((":path", "/open//a")), &[Status(400)]),
        (instead((":path", "/open/%2e%2e/closed")), &[Status(400)]),
        (instead((":path", "/open;a=b")), &[Status(400)]),
        (instead((":path", "open/a")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (instead((":path", "")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (instead((":path", "*")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (instead((":path", "//evil.example/open")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (instead((":path", "https://evil.example/open/a")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (instead((":path", "/open/a b")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (instead((":path", "/open/a\r\nx: y")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (instead((":method", "get")), &[Status(400)]),
        (instead((":method", "TRACE")), &[Status(400)]),
        (instead((":method", "CONNECT")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (instead((":method", "GET /closed HTTP/1.1\r\n")), &[Reset(PROTOCOL_ERROR)]),
        (instead((":scheme", "http")), &[Status(400)]),
        (instead((":scheme", "ftp")), &[Status(400)]),
        (instead((":authority", "evil.example")), &[Status(421)]),
        (instead((":authority", "user@proxy.test")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (instead((":authority", "")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (without(":authority"), &[Status(400)]),
        (without(":path"), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (without(":method"), &[Reset(PROTOCOL_ERROR)]),
        (with(("host", "evil.example")), &[Status(400)]),
        (with((":path", "/closed/a")), &[Reset(PROTOCOL_ERROR)]),
        (with((":method", "DELETE")), &[Reset(PROTOCOL_ERROR)]),
        (with((":unknown", "x")), &[Reset(PROTOCOL_ERROR)]),
        (with((":status", "200")), &[Reset(PROTOCOL_ERROR)]),
        (with((":protocol", "websocket")), &[Status(400), Reset(PROTOCOL_ERROR)]),
        (with(("connection", "x-a")), &[Reset(PROTOCOL_ERROR), Status(400)]),
        (with(("transfer-encoding", "chunked")), &[Reset(PROTOCOL_ERROR), Status(400)]),
        (with(("upgrade", "websocket")), &[Reset(PROTOCOL_ERROR), Status(400)]),
        (with(("keep-alive", "1")), &[Reset(PROTOCOL_ERROR), Status(400)]),
        (with(("proxy-connection", "close")), &[Reset(PROTOCOL_ERROR), Status(400)]),
        (with(("te", "gzip")), &[Reset(PROTOCOL_ERROR), Status(400)]),
        (with(("X-Upper", "1")), &[Reset(PROTOCOL_ERROR)]),
        (with(("x-nul", "a\0b")), &[Reset(PROTOCOL_ERROR)]),
        (with(("x-split", "a\r\nx-b: c")), &[Reset(PROTOCOL_ERROR)]),
        (with(("x_under", "1")), &[Status(400)]),
        (with(("content-length", "5")), &[Reset(PROTOCOL_ERROR), Status(400)]),
        (late, &[Reset(PROTOCOL_ERROR)]),
    ];
    for (fields, expected) in cases {
        let ended = frames(&world, &fields, &[]).await;
        // A whole connection that is given up is safe as well.
        let safe = expected.contains(&ended) || ended == Gone(PROTOCOL_ERROR);
        assert!(safe, "{ended:?} for {fields:?}");
        assert!(world.upstream.received().is_empty(), "{fields:?}");
    }
    assert!(world.approvals("").await.is_empty());
}

#[tokio::test]
async fn a_body_over_http2_is_as_long_as_it_says() {
    let looking = format!("{POLICY}\nallow contains {{\"rule\": \"looks\"}} if input.request.body.a == 1\n");
    let world = World::start_with(&looking, "");
    for (length, body) in [("5", &[&b"hell"[..]][..]), ("5", &[b"hello", b"!"]), ("0", &[b"x"]), ("+5", &[b"hello"])] {
        let key = key(&world);
        let mut fields = request(&key, "/open/a");
        fields.push(("content-length", length));
        let ended = frames(&world, &fields, body).await;
        assert!(
            matches!(ended, Reset(PROTOCOL_ERROR) | Gone(PROTOCOL_ERROR) | Status(400)),
            "{ended:?} for {length} {body:?}"
        );
        assert!(world.upstream.received().is_empty(), "{body:?}");
    }
}

/// A client may send one window of a body, which is a long one, and not a byte more.
#[tokio::test]
async fn a_body_that_nobody_takes_stops_at_its_window() {
    let mut world = World::start();
    let silent = Silent::start(world.folder.path()).await;
    let tls = format!("ca: \"file:ca.pem\"\n    url: https://{}", silent.address);
    world.configure(&format!("url: http://{}", world.upstream.address), &tls);
    world.restart();
    let key = key(&world);
    let mut connection = Frames::connect(world.proxy, &world.tls, HOST).await;
    // The window is ours to give only once the other side has heard of it, which comes before the answer.
    connection.request(1, &request(&key, "/.well-known/holdpoint/approvals"), &[]).await;
    assert_eq!(connection.ended(1).await, Status(200));
    connection.head(3, &request(&key, "/open/a")).await;
    silent.connected().await;
    for _ in 0..16 {
        connection.data(3, &[b'x'; 16 << 10]).await;
    }
    // It stands still, and its connection does not.
    connection.request(5, &request(&key, "/closed/a"), &[]).await;
    assert_eq!(connection.ended(5).await, Status(403));
    connection.data(3, b"x").await;
    let ended = connection.ended(3).await;
    assert!(matches!(ended, Reset(FLOW_CONTROL_ERROR) | Gone(FLOW_CONTROL_ERROR)), "{ended:?}");
}

#[tokio::test]
async fn a_held_stream_that_is_reset_does_not_run() {
    let world = World::start();
    let mut connection = Frames::connect(world.proxy, &world.tls, HOST).await;
    connection.request(1, &request(&key(&world), "/held/a"), &[]).await;
    let item = world.held("/held/a").await;
    connection.reset(1).await;
    world.waits_for("/held/a", "pending", false).await;
    world.approve("ana", &item).await;
    connection.request(3, &request(&key(&world), "/open/b"), &[]).await;
    assert_eq!(connection.ended(3).await, Status(200));
    assert_eq!(world.upstream.count("/held/a"), 0);
    world.waits_for("/held/a", "approved", false).await;
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_in_a_flood_do_no_harm() {
    let world = World::start();
    let mut flood = Frames::connect(world.proxy, &world.tls, HOST).await;
    for stream in (1..4_001).step_by(2) {
        flood.head(stream, &request(&key(&world), "/held/a")).await;
        flood.reset(stream).await;
    }
    let ended = flood.ended(4_001).await;
    assert!(matches!(ended, Gone(_)), "{ended:?}");
    assert_eq!(world.get("/open/a").send().await.status, 200);
    assert_eq!(world.upstream.count("/held/a"), 0);
}
