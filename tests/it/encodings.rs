//! Bodies in content codings: looked at without, sent with, and refused where two readers could
//! differ.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use flate2::write::ZlibEncoder;
use http::Method;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use ruzstd::encoding::CompressionLevel;

use crate::support::POLICY;
use crate::support::World;

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

fn encode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoded = Vec::new();
            let settings = brotli::enc::BrotliEncoderParams { quality: 4, ..Default::default() };
            brotli::BrotliCompress(&mut &*bytes, &mut encoded, &settings).unwrap();
            encoded
        }
        "zstd" => ruzstd::encoding::compress_to_vec(bytes, CompressionLevel::Fastest),
        _ => bytes.to_vec(),
    }
}

/// Allows a call exactly if its body, as the policy sees it, is the JSON that a field tells.
const COMPARES: &str = r#"package holdpoint

expected := json.unmarshal(base64.decode(input.request.headers["x-expected"][0]))

allow contains {"rule": "same"} if input.request.body == expected

hold contains {"rule": "large", "reviewers": [{"group": "owners", "count": 1}]} if input.request.body.amount > 100
"#;

#[test]
fn a_policy_sees_what_the_coding_stands_for_and_the_upstream_what_was_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let world = World::start_with(COMPARES, "");
    let leaf = prop_oneof![any::<i64>().prop_map(serde_json::Value::from), "\\PC{0,40}".prop_map(Into::into)];
    let json = leaf.prop_recursive(4, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..8).prop_map(|fields| serde_json::json!(fields)),
        ]
    });
    let mut runner = TestRunner::new(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() });
    let cases = (json, 0..5_usize, any::<bool>());
    let property = runner.run(&cases, |(json, coding, http2)| {
        let coding = ["gzip", "deflate", "br", "zstd", "identity"][coding];
        let text = json.to_string();
        let sent = encode(coding, text.as_bytes());
        let call = world.call(Method::POST, "/a").with("content-type", "application/json");
        let call = call.with("content-encoding", coding).with("x-expected", &STANDARD.encode(&text)).body(sent.clone());
        let answer = runtime.block_on(if http2 { call.http2() } else { call }.send());
        prop_assert_eq!(answer.status, 200, "{}", answer.text());
        let received = world.upstream.received().pop().unwrap();
        prop_assert_eq!(received.values("content-encoding"), vec![coding]);
        prop_assert!(received.body == sent);
        Ok(())
    });
    property.unwrap();
}

#[tokio::test]
async fn a_reviewer_sees_what_the_coding_stands_for() {
    let world = World::start_with(COMPARES, "");
    for coding in CODINGS {
        let text = r#"{"amount": 101, "to": "acme"}"#;
        let sent = encode(coding, text.as_bytes());
        let call = world.call(Method::POST, "/pay").with("content-type", "application/json").body(sent.clone());
        let held = call.with("content-encoding", coding).with("x-expected", "MQ==").spawn();
        let item = world.held("/pay").await;
        let detail = world.approval(item["id"].as_str().unwrap()).await;
        assert_eq!(detail["request"]["body_text"], text);
        assert_eq!((&detail["body"]["coding"], &detail["body"]["bytes"]), (&coding.into(), &sent.len().into()));
        world.approve("ana", &item).await;
        assert_eq!(held.await.unwrap().status, 200);
        let received = world.upstream.received().pop().unwrap();
        assert!(received.body == sent && received.values("content-encoding") == [coding]);
    }
    // One that is long without its coding is read whole as well.
    let long = format!("{{\"amount\": 101, \"rows\": \"{}\"}}", STANDARD.encode(noise(100_000)));
    let call = world.call(Method::POST, "/long").with("content-type", "application/json").with("x-expected", "MQ==");
    let held = call.with("content-encoding", "gzip").body(encode("gzip", long.as_bytes())).spawn();
    let item = world.held("/long").await;
    let path = format!("/v1/approvals/{}/body", item["id"].as_str().unwrap());
    assert!(world.ask("bo", Method::GET, &path, None).await.text() == long);
    held.abort();
    world.verify();
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(at).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// What is wrong with a body, its coding, its bytes, and the answer.
type Wrong = (&'static str, &'static str, Vec<u8>, (u16, &'static str));

fn wrong() -> Vec<Wrong> {
    let unsupported = (415, "unsupported-content-coding");
    let undecodable = (400, "body-undecodable");
    let too_large = (413, "body-too-large");
    let text = br#"{"amount": 1}"#;
    let gzip = encode("gzip", text);
    let twice = encode("gzip", &gzip);
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, 0b0000_1001, 0, 0, b'x'].to_vec();
    let mut cases = vec![
        ("stacked", "gzip, gzip", twice, unsupported),
        ("a weight", "identity;q=0", text.to_vec(), unsupported),
        ("another name", "x-gzip", gzip.clone(), unsupported),
        ("another case", "GZIP", gzip.clone(), unsupported),
        ("no name", "", text.to_vec(), unsupported),
        ("unknown", "compress", text.to_vec(), unsupported),
        ("cut off", "gzip", gzip[..gzip.len() - 4].to_vec(), undecodable),
        ("two members", "gzip", [gzip.clone(), gzip.clone()].concat(), undecodable),
        ("something behind it", "gzip", [&gzip[..], text].concat(), undecodable),
        ("nothing at all", "gzip", Vec::new(), undecodable),
        ("garbage", "br", noise(500), undecodable),
        ("a large window", "zstd", window, undecodable),
    ];
    for coding in CODINGS {
        cases.push(("not encoded", coding, text.to_vec(), undecodable));
        cases.push(("a bomb", coding, encode(coding, &vec![b' '; 900_000]), too_large));
        let long = STANDARD.encode(noise(1 << 20));
        cases.push(("too long", coding, encode(coding, long.as_bytes()), too_large));
    }
    cases
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_where_somebody_looks_and_passes_where_nobody_does() {
    let looking = format!("{POLICY}\nallow contains {{\"rule\": \"looks\"}} if input.request.body.amount == 1\n");
    let (looks, holds) = (World::start_with(&looking, ""), World::start());
    let mut passed = 0;
    for (what, coding, body, (status, code)) in wrong() {
        for (world, path, refused) in [(&looks, "/open/a", true), (&holds, "/held/a", true), (&holds, "/open/a", false)]
        {
            let key = &world.keys["deploy-bot"];
            let mut wire = world.wire().await;
            // In chunks, so that there is a body even where there is nothing in it.
            let mut request = format!(
                "POST {path} HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\n\
                 Content-Type: application/json\r\nContent-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            .into_bytes();
            if !body.is_empty() {
                request.extend(format!("{:x}\r\n", body.len()).bytes());
                request.extend_from_slice(&body);
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\n\r\n");
            wire.write(request).await;
            if refused {
                let answer = wire.read_until(code).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what} {coding} {path}: {answer}");
            } else {
                wire.read_until("\"fine\":true").await;
                passed += 1;
                let received = holds.upstream.received().pop().unwrap();
                assert_eq!(received.values("content-encoding"), [coding], "{what}");
                let sent = memchr::memmem::find(&received.body, &body).is_some();
                assert!(sent || received.body.len() > body.len(), "{what}");
            }
        }
    }
    assert_eq!((looks.upstream.received().len(), holds.upstream.received().len()), (0, passed));
    assert!(looks.approvals("").await.is_empty() && holds.approvals("").await.is_empty());
    looks.verify();
}

#[tokio::test]
async fn a_body_that_would_be_refused_is_not_asked_for() {
    let world = World::start();
    let key = &world.keys["deploy-bot"];
    let head = |coding: &str| {
        format!(
            "POST /held/a HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\nContent-Length: 5\r\n\
             Content-Encoding: {coding}\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut wire = world.wire().await;
    wire.write(head("compress")).await;
    let answer = wire.read_until("unsupported-content-coding").await;
    assert!(answer.starts_with("HTTP/1.1 415 ") && !answer.contains("100 Continue"), "{answer}");
    assert!(answer.to_lowercase().contains("accept-encoding: gzip, deflate, br, zstd\r\n"), "{answer}");
    // Two fields are refused whoever looks.
    let mut wire = world.wire().await;
    wire.write(head("gzip\r\nContent-Encoding: gzip").replace("/held", "/open")).await;
    assert!(wire.read_until("more than once").await.starts_with("HTTP/1.1 400 "));
    // One that is too long to be decoded is refused by its length alone.
    let mut wire = world.wire().await;
    wire.write(head("gzip").replace("Content-Length: 5", "Content-Length: 5000000")).await;
    let answer = wire.read_until("body-too-large").await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && !answer.contains("100 Continue"), "{answer}");
    // One that may be held is asked for, before anybody has decided.
    let mut wire = world.wire().await;
    wire.write(head("identity")).await;
    assert_eq!(wire.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    wire.write("hello").await;
    world.held("/held/a").await;
}
