//! An HTTP/1.1 connection whose call is held: it is put aside meanwhile, and nobody can tell.

use crate::support::Wire;
use crate::support::World;

fn request(world: &World, line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: proxy.test\r\nAuthorization: Bearer {}\r\n{fields}\r\n", world.keys["deploy-bot"])
}

async fn send(world: &World, line: &str, fields: &str) -> Wire {
    let mut wire = world.wire().await;
    wire.write(request(world, line, fields)).await;
    wire
}

fn targets(world: &World) -> Vec<String> {
    world.upstream.received().iter().map(|request| request.head.lines().next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn answers_come_in_order_and_every_byte_belongs_to_its_request() {
    let world = World::start();
    let mut wire = send(&world, "GET /open/first HTTP/1.1", "").await;
    wire.read_until("\"fine\":true}").await;
    // The second part of the next request comes only while the call is held.
    let next = request(&world, "POST /open/next HTTP/1.1", "Content-Length: 11\r\n") + "hello world";
    let (early, late) = next.split_at(40);
    for (target, ahead, later) in
        [("/held/one", "", next.as_str()), ("/held/two", early, late), ("/held/three", &next, "")]
    {
        let body = "Content-Length: 5\r\n\r\nexact";
        let held = request(&world, &format!("POST {target} HTTP/1.1"), "").trim_end().to_owned();
        wire.write(format!("{held}\r\n{body}{ahead}")).await;
        let item = world.held(target).await;
        wire.write(later).await;
        world.approve("ana", &item).await;
        let text = wire.read_until("\"fine\":true}").await;
        assert!(text.contains(&format!("approval-id: {}", item["id"].as_str().unwrap())), "{text}");
        // The second answer may be there already, in part or whole.
        if text.matches("\"fine\":true}").count() < 2 {
            wire.read_until("\"fine\":true}").await;
        }
    }
    let mut expected = vec!["GET /open/first HTTP/1.1".to_owned()];
    for target in ["/held/one", "/held/two", "/held/three"] {
        expected.extend([format!("POST {target} HTTP/1.1"), "POST /open/next HTTP/1.1".to_owned()]);
    }
    assert_eq!(targets(&world), expected);
    for received in &world.upstream.received()[1..] {
        let body: &[u8] = if received.target().starts_with("/held") { b"exact" } else { b"hello world" };
        assert_eq!(received.body, body);
    }
    world.verify();
}

#[tokio::test]
async fn an_answer_is_framed_as_its_request_asked() {
    let world = World::start();
    // To HEAD: no body, and the connection goes on.
    let mut wire = send(&world, "HEAD /held/head HTTP/1.1", "").await;
    world.approve("ana", &world.held("/held/head").await).await;
    let head = wire.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    wire.write(request(&world, "GET /open/a HTTP/1.1", "Connection: close\r\n")).await;
    assert!(wire.read_to_end().await.starts_with("HTTP/1.1 200 "));

    // A connection that was to end after it.
    let mut wire = send(&world, "GET /held/close HTTP/1.1", "Connection: close\r\n").await;
    world.approve("ana", &world.held("/held/close").await).await;
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("true}"), "{answer}");

    // Trailer fields, for those who take them.
    for (target, fields, trailer) in [("/held/1/trailers", "TE: trailers\r\n", true), ("/held/2/trailers", "", false)] {
        let mut wire = send(&world, &format!("GET {target} HTTP/1.1"), fields).await;
        world.approve("ana", &world.held(target).await).await;
        let answer = wire.read_until("0\r\n").await;
        let answer = if answer.ends_with("\r\n\r\n") { answer } else { answer + &wire.read_until("\r\n\r\n").await };
        assert_eq!(answer.contains("x-sum: 6"), trailer, "{answer}");
    }
}

#[tokio::test]
async fn a_body_is_asked_for_before_its_call_is_held() {
    let world = World::start();
    let mut wire = send(&world, "POST /held/a HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 5\r\n").await;
    assert_eq!(wire.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    wire.write("exact").await;
    world.approve("ana", &world.held("/held/a").await).await;
    assert!(wire.read_until("\"fine\":true}").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(world.upstream.received()[0].body, b"exact");
}

#[tokio::test]
async fn a_caller_that_stops_sending_has_left() {
    let world = World::start();
    let mut wire = send(&world, "GET /held/a HTTP/1.1", "").await;
    world.held("/held/a").await;
    wire.finish().await;
    let item = world.waits_for("/held/a", "pending", false).await;
    world.approve("ana", &item).await;
    world.waits_for("/held/a", "approved", false).await;
    assert!(world.upstream.received().is_empty());
}

#[tokio::test]
async fn a_call_can_be_held_many_times_on_one_connection() {
    let world = World::start();
    let mut wire = world.wire().await;
    for round in 0..5 {
        let target = format!("/held/{round}");
        wire.write(request(&world, &format!("GET {target} HTTP/1.1"), "")).await;
        let item = world.held(&target).await;
        let verdict = if round % 2 == 0 { "approve" } else { "deny" };
        assert_eq!(world.decide("ana", &item, verdict, None).await.status, 200);
        let answer = wire.read_until("}").await;
        let status = if round % 2 == 0 { "HTTP/1.1 200 " } else { "HTTP/1.1 403 " };
        assert!(answer.starts_with(status), "{answer}");
    }
    assert_eq!(targets(&world).len(), 3);
}
