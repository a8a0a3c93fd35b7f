//! Connections: versions of TLS, protocols, names, certificates, and how long each part may take.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::Call;
use crate::support::DEADLINE;
use crate::support::POLICY;
use crate::support::Wire;
use crate::support::World;
use crate::support::connect;
use crate::support::trusting;
use crate::support::trusting_over;
use crate::support::write_certificates_for;

/// A GET of `deploy-bot` by a client that trusts as `tls` says.
fn get(world: &World, tls: &Arc<ClientConfig>) -> Call {
    let call = Call::new(world.proxy, tls, http::Method::GET, "/open/a").with("host", "proxy.test");
    call.with("authorization", &format!("Bearer {}", world.keys["deploy-bot"]))
}

#[tokio::test]
async fn both_versions_of_tls_and_of_http_are_spoken() {
    let world = World::start();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let tls = trusting_over(&world.path("ca.pem"), &[version]);
        for call in [get(&world, &tls), get(&world, &tls).http2()] {
            assert_eq!(call.send().await.status, 200, "{version:?}");
        }
    }
}

#[tokio::test]
async fn the_best_protocol_that_both_speak_is_chosen() {
    let world = World::start();
    for (offered, chosen) in [
        (vec!["h2", "http/1.1"], Some("h2")),
        (vec!["http/1.1", "h2"], Some("h2")),
        (vec!["http/1.1"], Some("http/1.1")),
        (vec![], None),
    ] {
        let protocols: Vec<&[u8]> = offered.iter().map(|name| name.as_bytes()).collect();
        let stream = connect(world.proxy, &world.tls, &protocols, "proxy.test").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
    }
    assert!(connect(world.proxy, &world.tls, &[b"h3"], "proxy.test").await.is_err());
}

#[tokio::test]
async fn a_name_has_the_certificate_that_is_for_it() {
    let world = World::start();
    let second = tempfile::tempdir().unwrap();
    write_certificates_for(second.path(), "second", &["second.test"]);
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    let at = |name: &str| format!("\"file:{}\"", second.path().join(name).display());
    let key = r#"key: "file:server.key""#;
    let also = format!("{key}, also: [{{ certificate: {}, key: {} }}]", at("server.pem"), at("server.key"));
    world.replace("holdpoint.yaml", &config.replacen(key, &also, 1));
    world.program.logged_text("reloaded", 0);
    let ours = Wire::connect(world.proxy, &world.tls, "proxy.test").await.certificate();
    // Whoever asks for no name gets the first one.
    assert_eq!(world.wire().await.certificate(), ours);
    let mut wire = Wire::connect(world.proxy, &trusting(&second.path().join("ca.pem")), "second.test").await;
    assert_ne!(wire.certificate(), ours);
    let key = &world.keys["deploy-bot"];
    let request = |host: &str| format!("GET /open/a HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n");
    wire.write(request("second.test")).await;
    wire.read_until("\"fine\":true").await;
    // A connection to one name is none to another, whatever `Host` says.
    wire.write(request("proxy.test")).await;
    assert!(wire.read_to_end().await.starts_with("HTTP/1.1 421 "));
    assert_eq!(world.upstream.received().len(), 1);
}

#[tokio::test]
async fn what_is_not_tls_is_hung_up_on() {
    let world = World::start_with(POLICY, "limits: { handshake_timeout: 300ms }\n");
    for bytes in [&b"GET / HTTP/1.1\r\nHost: proxy.test\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", b"", &[0; 4_096]] {
        let mut stream = TcpStream::connect(world.proxy).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // An alert, a reset, or nothing; and then the end.
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok() && !answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert_eq!(world.get("/open/a").send().await.status, 200);
    let metrics = world.ask("ana", http::Method::GET, "/metrics", None).await.text();
    assert!(metrics.contains("holdpoint_tls_handshake_errors_total 4"), "{metrics}");
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let world = World::start_with(POLICY, "limits: { header_timeout: 300ms }\n");
    for bytes in ["", "GET /open/a HTTP/1.1\r\nHost: proxy.te"] {
        let mut wire = world.wire().await;
        wire.write(bytes).await;
        let answer = wire.read_to_end().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert!(world.upstream.received().is_empty());
    // A call that is held is not idle.
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    // As long as it takes for one that is.
    assert_eq!(world.wire().await.read_to_end().await, "");
    assert!(!caller.is_finished());
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
}
