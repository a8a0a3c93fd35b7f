//! What two servers could read differently: refused, with nothing sent and the connection closed.

use crate::support::World;

/// Where the agent's key goes in a request of the tables.
const KEY: &str = "KEY";

/// A request that is right, but for its request line and some further fields.
fn request(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: proxy.test\r\nAuthorization: Bearer {KEY}\r\n{fields}\r\n")
}

/// Sends each, and wants one refusal with `status`, the end of the connection, and a silent upstream.
async fn refused(world: &World, status: u16, requests: &[String]) {
    for request in requests {
        let mut wire = world.wire().await;
        wire.write(request.replace(KEY, &world.keys["deploy-bot"])).await;
        let answer = wire.read_to_end().await;
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer}");
    }
    assert!(world.upstream.received().is_empty(), "{:?}", world.upstream.received());
}

#[tokio::test]
async fn paths_that_are_not_in_normal_form() {
    let world = World::start();
    let paths = [
        "/open/../closed",
        "/open/./a",
        "/open//a",
        "//open",
        "/open/..",
        "/open/%2e%2e/closed",
        "/open/%2E/a",
        "/open%2Fa",
        "/open%2fa",
        "/open%5Ca",
        "/open%5ca",
        "/open\\a",
        "/open%00",
        "/open%0D%0A",
        "/open%252e",
        "/open%2541",
        "/open;a=b",
        "/open%3Ba",
        "/open/..;/closed",
        "/open%41",
        "/open%7E",
        "/open%c3%a9",
        "/open%C0%AE",
        "/open%FF",
        "/open%u002e",
        "/open%",
        "/open%2",
        "/open%EF%BC%8E",
        "/open%EF%BC%8F",
        "/open\"",
        "/open<a>",
        "/open{a}",
        "/open|a",
        "/open^a",
        "/open`a",
        "/open?a=%2",
        "/open?a=%zz",
        "/open?a=\"",
        "/open%C2%80",
        "/open?a\\b",
    ];
    refused(&world, 400, &paths.map(|path| request(&format!("GET {path} HTTP/1.1"), ""))).await;
    let not_ascii = "/open/\u{e9}";
    refused(&world, 400, &[request(&format!("GET {not_ascii} HTTP/1.1"), "")]).await;
}

#[tokio::test]
async fn targets_methods_and_versions() {
    let world = World::start();
    let lines = [
        "GET open HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET ?a=b HTTP/1.1",
        "GET proxy.test HTTP/1.1",
        "CONNECT proxy.test:443 HTTP/1.1",
        "GET https://other.test/open HTTP/1.1",
        "GET http://proxy.test/open HTTP/1.1",
        "GET https://user@proxy.test/open HTTP/1.1",
        "GET /open HTTP/1.0",
        "get /open HTTP/1.1",
        "Get /open HTTP/1.1",
        "TRACE /open HTTP/1.1",
        "TRACK /open HTTP/1.1",
        "PROPFIND /open HTTP/1.1",
        "BREW /open HTTP/1.1",
        "GET  /open HTTP/1.1",
        "GET /open HTTP/1.1 ",
        "GET /open",
        "GET /op en HTTP/1.1",
        " GET /open HTTP/1.1",
    ];
    for line in lines {
        let mut wire = world.wire().await;
        wire.write(request(line, "").replace(KEY, &world.keys["deploy-bot"])).await;
        let answer = wire.read_to_end().await;
        assert!(
            answer.is_empty() || answer.contains("HTTP/1.1 400 ") || answer.contains("HTTP/1.0 400 "),
            "{line}: {answer}"
        );
    }
    assert!(world.upstream.received().is_empty(), "{:?}", world.upstream.received());
}

#[tokio::test]
async fn hosts_that_do_not_agree() {
    let world = World::start();
    let with_hosts = |hosts: &str| format!("GET /open HTTP/1.1\r\n{hosts}Authorization: Bearer {KEY}\r\n\r\n");
    let hosts = [
        "",
        "Host:\r\n",
        "Host: proxy.test\r\nHost: proxy.test\r\n",
        "Host: proxy.test\r\nhost: other.test\r\n",
        "Host: user@proxy.test\r\n",
        "Host: proxy.test, other.test\r\n",
        "Host: proxy.test:99999\r\n",
        "Host: proxy.test/open\r\n",
        "Host: proxy test\r\n",
        "Host: proxy.test:\r\n",
        "Host: [::1\r\n",
    ];
    refused(&world, 400, &hosts.map(with_hosts)).await;
    // The host that the connection was made to.
    let mut wire = crate::support::Wire::connect(world.proxy, &world.tls, "other.test").await;
    wire.write(request("GET /open HTTP/1.1", "").replace(KEY, &world.keys["deploy-bot"])).await;
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("misdirected-request"), "{answer}");
    assert!(world.upstream.received().is_empty());
}

#[tokio::test]
async fn bodies_whose_end_is_in_doubt() {
    let world = World::start();
    let framed = |fields: &str| format!("{}5\r\nhello\r\n0\r\n\r\n", request("POST /open HTTP/1.1", fields));
    let fields = [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 05\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "TE: gzip\r\n",
        "Expect: magic\r\n",
        "Content-Length: 5\r\n folded\r\n",
    ];
    refused(&world, 400, &fields.map(framed)).await;
}

#[tokio::test]
async fn a_length_beside_chunks_smuggles_nothing() {
    let world = World::start();
    for fields in
        ["Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"]
    {
        let before = world.upstream.received().len();
        let mut wire = world.wire().await;
        let hidden = request("GET /open/hidden HTTP/1.1", "");
        let bytes = format!("{}0\r\n\r\n{hidden}", request("POST /open/outer HTTP/1.1", fields));
        wire.write(bytes.replace(KEY, &world.keys["deploy-bot"])).await;
        let answer = wire.read_to_end().await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        let received = world.upstream.received();
        assert!(received.len() <= before + 1, "{received:?}");
        for request in &received {
            assert!(request.head.starts_with("POST /open/outer "), "{}", request.head);
            assert!(request.values("content-length").len() + request.values("transfer-encoding").len() <= 1);
        }
    }
}

#[tokio::test]
async fn chunks_and_fields_that_are_not_http() {
    let world = World::start();
    let chunked =
        |chunks: &str| format!("{}{chunks}", request("POST /held HTTP/1.1", "Transfer-Encoding: chunked\r\n"));
    // The call is held, so its body has to be whole before anything happens.
    let chunks = ["zz\r\nhello\r\n0\r\n\r\n", "-1\r\n", "5\r\nhello!\r\n0\r\n\r\n", "fffffffffffffffff\r\nx"];
    refused(&world, 400, &chunks.map(chunked)).await;
    assert!(world.approvals("").await.is_empty());
    let fields = [
        "X-A : b\r\n",
        "X-A: b\r\n folded\r\n",
        "X-A: b\0c\r\n",
        "X-A: b\rc\r\n",
        "X A: b\r\n",
        ": b\r\n",
        "X-A\r\n",
        "X_A: b\r\n",
        "Content_Length: 5\r\n",
        "Authorization: Bearer other\r\n",
        "Content-Type: a/b, c/d\r\n",
        "Approval-Reason: one\r\nApproval-Reason: two\r\n",
        "Approval-Id: apr_1\r\n",
        "Connection: authorization\r\n",
        "Connection: close, content-length\r\n",
        "Connection: approval-id\r\n",
        "Connection: host\r\n",
        "Upgrade: websocket\r\nConnection: upgrade\r\n",
        "X-Http-Method-Override: GET\r\nX-Http-Method-Override: PUT\r\n",
    ];
    refused(&world, 400, &fields.map(|fields| request("GET /open HTTP/1.1", fields))).await;
    let long = "a".repeat(1100);
    refused(&world, 400, &[request("GET /open HTTP/1.1", &format!("Approval-Reason: {long}\r\n"))]).await;
    let huge = "a".repeat(40_000);
    refused(&world, 431, &[request("GET /open HTTP/1.1", &format!("X-A: {huge}\r\n"))]).await;
}

#[tokio::test]
async fn every_refusal_of_ours_is_a_problem_document() {
    let world = World::start();
    let mut wire = world.wire().await;
    wire.write(request("GET /open/../closed HTTP/1.1", "").replace(KEY, &world.keys["deploy-bot"])).await;
    let answer = wire.read_to_end().await.to_lowercase();
    for part in
        ["content-type: application/problem+json", "connection: close", "\"code\":\"bad-request\"", "`.` or `..`"]
    {
        assert!(answer.contains(part), "no {part} in {answer}");
    }
    let metrics = world.ask("ana", http::Method::GET, "/metrics", None).await.text();
    assert!(metrics.contains("holdpoint_"), "{metrics}");
}

#[tokio::test]
async fn an_upgrade_that_we_do_not_know_is_dropped() {
    let world = World::start();
    let mut wire = world.wire().await;
    let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    wire.write(request("GET /open HTTP/1.1", fields).replace(KEY, &world.keys["deploy-bot"])).await;
    wire.read_until("\"fine\":true").await;
    let received = world.upstream.received();
    assert!(received[0].values("upgrade").is_empty() && received[0].values("http2-settings").is_empty());
}

#[tokio::test]
async fn http2_requests_are_held_to_the_same_rules() {
    let world = World::start();
    for (call, code) in [
        (world.get("/open/../closed").http2(), "bad-request"),
        (world.get("/open%2Fa").http2(), "bad-request"),
        (world.get("/open").http2().with("x_a", "b"), "bad-request"),
        (world.get("/open").http2().with("approval-id", "apr_1"), "bad-request"),
        (world.call(http::Method::TRACE, "/open").http2(), "bad-request"),
    ] {
        // A stream may also be reset by the HTTP/2 library, before it is a request.
        if let Ok(answer) = call.try_send().await {
            assert_eq!((answer.status, answer.code().as_str()), (400, code), "{}", answer.text());
        }
    }
    assert!(world.upstream.received().is_empty(), "{:?}", world.upstream.received());
}
