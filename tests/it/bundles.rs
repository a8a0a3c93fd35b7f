//! Policies from a server of bundles: fetched, verified, polled, and never worse than the last good one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdpoint::policy::bundle;
use http::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::support::POLICY;
use crate::support::World;
use crate::support::eventually;

/// A server that gives one file, and what was asked of it.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Served>>);

#[derive(Default)]
struct Served {
    bytes: Vec<u8>,
    tag: String,
    asked: Vec<String>,
}

impl Server {
    async fn start(&self, folder: &Path) -> SocketAddr {
        let chain = CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let answer = server.answer(&String::from_utf8_lossy(&head));
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        });
        address
    }

    fn answer(&self, head: &str) -> Vec<u8> {
        let mut served = self.0.lock().unwrap();
        served.asked.push(head.to_ascii_lowercase());
        if head.contains(&format!("\"{}\"", served.tag)) {
            return b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_vec();
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\netag: \"{}\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            served.tag,
            served.bytes.len()
        );
        [head.as_bytes(), &served.bytes].concat()
    }

    fn give(&self, tag: &str, bytes: Vec<u8>) {
        let mut served = self.0.lock().unwrap();
        (served.tag, served.bytes) = (tag.to_owned(), bytes);
    }

    fn count(&self, text: &str) -> usize {
        self.0.lock().unwrap().asked.iter().filter(|head| head.contains(text)).count()
    }
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public_pem(pair: &Ed25519KeyPair) -> String {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let der = [&prefix[..], pair.public_key().as_ref()].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

fn bundle_of(rules: &str, revision: &str, key: Option<Ed25519KeyPair>) -> Vec<u8> {
    let data = br#"{"opened": true}"#.to_vec();
    let files =
        BTreeMap::from([("main.rego".to_owned(), rules.as_bytes().to_vec()), ("switches/data.json".to_owned(), data)]);
    bundle::build(files, revision, key.map(Into::into).as_ref()).unwrap()
}

fn with_rule(name: &str) -> String {
    format!("{POLICY}\nallow contains {{\"rule\": \"{name}\"}} if {{ under(\"/{name}\"); data.switches.opened }}\n")
}

/// A world whose policy is the bundle that `server` gives.
async fn world(server: &Server) -> World {
    let mut world = World::start();
    let address = server.start(world.folder.path()).await;
    world.replace("bundle.pub", &public_pem(&pair(1)));
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    let source = format!(
        "policy: {{ bundle: {{ url: 'https://{address}/b.tar.gz', public_key: 'file:bundle.pub', ca: 'file:ca.pem', poll: 1s }} }}"
    );
    let config = config.replace("policy: { path: policies }", &source);
    assert!(config.contains("bundle"));
    world.replace("holdpoint.yaml", &config);
    tokio::task::block_in_place(|| world.restart());
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_bundle_decides_and_a_bad_one_changes_nothing() {
    let server = Server::default();
    server.give("one", bundle_of(&with_rule("first"), "r1", Some(pair(1))));
    let world = world(&server).await;
    assert_eq!(world.get("/first").send().await.status, 200);
    let metrics = world.ask("ana", Method::GET, "/metrics", None).await.text();
    assert!(metrics.contains("revision=\"r1\"} 1"), "{metrics}");

    server.give("two", bundle_of(&with_rule("second"), "r2", Some(pair(1))));
    eventually("the second bundle", || async { (world.get("/second").send().await.status == 200).then_some(()) }).await;
    assert_eq!(world.get("/first").send().await.status, 403);
    let metrics = world.ask("ana", Method::GET, "/metrics", None).await.text();
    assert!(metrics.contains("revision=\"r2\"} 1") && !metrics.contains("revision=\"r1\""), "{metrics}");
    eventually("a question for another one", || async { (server.count("if-none-match: \"two\"") > 0).then_some(()) })
        .await;

    let bad = [
        (bundle_of(&with_rule("third"), "r3", None), "has to be signed"),
        (bundle_of(&with_rule("third"), "r3", Some(pair(2))), "does not verify"),
        (b"no archive".to_vec(), "is not a `tar.gz`"),
        (bundle_of("package holdpoint\n\nallow contains {", "r3", Some(pair(1))), "the policies cannot be used"),
    ];
    for (index, (bytes, expected)) in bad.into_iter().enumerate() {
        server.give(&format!("bad-{index}"), bytes);
        world.program.logged_text(expected, 0);
        assert_eq!(world.get("/second").send().await.status, 200, "{expected}");
        assert_eq!(world.get("/third").send().await.status, 403, "{expected}");
    }
    // Whatever else is loaded meanwhile, it is loaded with the last good one.
    let before = world.program.count_logged("\"reloaded");
    server.give("bad", b"no archive".to_vec());
    world.program.signal("HUP");
    world.program.logged_text("\"reloaded", before);
    assert_eq!(world.get("/second").send().await.status, 200);
    server.give("three", bundle_of(&with_rule("third"), "r3", Some(pair(1))));
    eventually("the third bundle", || async { (world.get("/third").send().await.status == 200).then_some(()) }).await;
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_this_machine_is_loaded_again_when_it_changes() {
    let mut world = World::start();
    world.replace("bundle.pub", &public_pem(&pair(1)));
    std::fs::write(world.path("b.tar.gz"), bundle_of(&with_rule("first"), "r1", Some(pair(1)))).unwrap();
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    let source = "policy: { bundle: { path: b.tar.gz, public_key: 'file:bundle.pub' } }";
    world.replace("holdpoint.yaml", &config.replace("policy: { path: policies }", source));
    tokio::task::block_in_place(|| world.restart());
    assert_eq!(world.get("/first").send().await.status, 200);
    std::fs::write(world.path("new"), bundle_of(&with_rule("second"), "r2", Some(pair(1)))).unwrap();
    std::fs::rename(world.path("new"), world.path("b.tar.gz")).unwrap();
    eventually("the second bundle", || async { (world.get("/second").send().await.status == 200).then_some(()) }).await;
    std::fs::write(world.path("new"), bundle_of(&with_rule("third"), "r3", None)).unwrap();
    std::fs::rename(world.path("new"), world.path("b.tar.gz")).unwrap();
    world.program.logged_text("has to be signed", 0);
    assert_eq!(world.get("/second").send().await.status, 200);
}
