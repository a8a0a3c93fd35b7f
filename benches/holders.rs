//! Callers that are held, and a reviewer who lets them go.
//!
//! `bench-holders hold PROXY CA KEY_FILE COUNT 1|2` sends COUNT calls that each have to be held,
//! over HTTP/1.1 (a connection each) or HTTP/2 (100 on a connection), says `sent`, waits for all
//! answers, and prints how many of each status came, and how many callers were told when to come again.
//!
//! `bench-holders decide PROXY CA KEY_FILE ADMIN TOKEN_FILE UPSTREAM COUNT` is everybody at once:
//! the agent, the reviewer and, at UPSTREAM, the upstream. It prints the microseconds from the
//! moment at which the reviewer sends an approval to the moments at which the call has reached the
//! upstream and the reviewer has the answer.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.as_slice() {
        ["hold", proxy, ca, key, count, version] => {
            let caller = Arc::new(Caller::new(proxy, ca, key, *version == "2")?);
            runtime.block_on(hold(caller, count.parse()?))
        }
        ["decide", proxy, ca, key, admin, token, upstream, count] => {
            let agent = Caller::new(proxy, ca, key, false)?;
            let reviewer = Caller::new(admin, ca, token, false)?;
            runtime.block_on(decide(&agent, &reviewer, upstream.parse()?, count.parse()?))
        }
        _ => anyhow::bail!("the arguments are described at the top of benches/holders.rs"),
    }
}

/// Somebody with a key.
struct Caller {
    address: SocketAddr,
    tls: TlsConnector,
    authorization: String,
}

impl Caller {
    fn new(address: &str, ca: &str, key_file: &str, http2: bool) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let key = std::fs::read_to_string(key_file).with_context(|| format!("`{key_file}` cannot be read"))?;
        Ok(Self {
            address: address.parse()?,
            tls: TlsConnector::from(Arc::new(config)),
            authorization: format!("Bearer {}", key.trim()),
        })
    }

    async fn connect(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(self.tls.connect(ServerName::try_from("localhost")?, stream).await?)
    }

    async fn http1(&self) -> anyhow::Result<http1::SendRequest<Full<Bytes>>> {
        let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(self.connect().await?)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// `uri` is a path, or for HTTP/2 a whole URL.
    fn request(&self, method: Method, uri: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::builder().method(method).uri(uri).header(header::AUTHORIZATION, &self.authorization);
        let request = if uri.starts_with('/') { request.header(header::HOST, "localhost") } else { request };
        let request = if body.is_empty() { request } else { request.header(header::CONTENT_TYPE, "application/json") };
        Ok(request.body(Full::new(body))?)
    }
}

async fn hold(caller: Arc<Caller>, count: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    let http2 = caller.tls.config().alpn_protocols.iter().any(|protocol| protocol == b"h2");
    // Few handshakes at a time, so that none waits for too long.
    let handshakes = Arc::new(Semaphore::new(64));
    let mut answers = JoinSet::new();
    let (sent, mut all_sent) = mpsc::unbounded_channel();
    let on_one = if http2 { STREAMS } else { 1 };
    for first in (0..count).step_by(on_one) {
        let (caller, handshakes, sent) = (Arc::clone(&caller), Arc::clone(&handshakes), sent.clone());
        let numbers = first..count.min(first + on_one);
        answers.spawn(async move {
            let place = handshakes.acquire().await?;
            let mut statuses = Vec::new();
            if http2 {
                let io = TokioIo::new(caller.connect().await?);
                let (sender, connection) = http2::Builder::new(TokioExecutor::new()).handshake(io).await?;
                tokio::spawn(connection);
                let mut streams = JoinSet::new();
                for number in numbers {
                    let uri = format!("https://localhost/customers/{number}");
                    let request = caller.request(Method::DELETE, &uri, Bytes::new())?;
                    let mut sender = sender.clone();
                    streams.spawn(async move { sender.send_request(request).await });
                    sent.send(())?;
                }
                drop((place, sent));
                while let Some(answer) = streams.join_next().await {
                    statuses.push(answer?.as_ref().map_or_else(|_| broken(), told));
                }
            } else {
                let mut sender = caller.http1().await?;
                let uri = format!("/customers/{}", numbers.start);
                let answer = sender.send_request(caller.request(Method::DELETE, &uri, Bytes::new())?);
                sent.send(())?;
                drop((place, sent));
                statuses.push(answer.await.as_ref().map_or_else(|_| broken(), told));
            }
            anyhow::Ok(statuses)
        });
    }
    drop(sent);
    while all_sent.recv().await.is_some() {}
    say(&format!("sent {:.1}", started.elapsed().as_secs_f64()))?;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let (mut first_at, mut to_come_again) = (None, 0);
    while let Some(statuses) = answers.join_next().await {
        first_at.get_or_insert_with(Instant::now);
        for (status, is_told) in statuses?? {
            *seen.entry(status).or_default() += 1;
            to_come_again += usize::from(is_told);
        }
    }
    let took = first_at.map_or(Duration::ZERO, |at| at.elapsed());
    say(&json!({ "statuses": seen, "told": to_come_again, "first_to_last_seconds": took.as_secs_f64() }).to_string())
}

/// The status, and whether the caller is told when to come again and for which approval.
fn told<B>(answer: &Response<B>) -> (String, bool) {
    let is_told = answer.headers().contains_key(header::RETRY_AFTER) && answer.headers().contains_key("approval-id");
    (answer.status().as_u16().to_string(), is_told)
}

fn broken() -> (String, bool) {
    ("broken".to_owned(), false)
}

async fn decide(agent: &Caller, reviewer: &Caller, upstream: SocketAddr, count: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind(upstream).await?;
    let (reached, mut has_reached) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, reached.clone()));
        }
    });
    let mut call = agent.http1().await?;
    let mut admin = reviewer.http1().await?;
    let (mut upstream_micros, mut reviewer_micros) = (Vec::new(), Vec::new());
    for number in 0..count + WARM_UP {
        let uri = format!("/customers/{number}");
        let answer = tokio::spawn(call.send_request(agent.request(Method::DELETE, &uri, Bytes::new())?));
        let (id, digest) = loop {
            let listed = reviewer.request(Method::GET, "/v1/approvals?state=pending&limit=1", Bytes::new())?;
            let listed = admin.send_request(listed).await?.into_body().collect().await?.to_bytes();
            let listed: Value = serde_json::from_slice(&listed)?;
            let item = listed.pointer("/items/0");
            let text = |name| item.and_then(|item| item.get(name)).and_then(Value::as_str).map(str::to_owned);
            if let (Some(id), Some(digest)) = (text("id"), text("digest")) {
                break (id, digest);
            }
        };
        let body = json!({ "verdict": "approve", "digest": digest }).to_string();
        let decision = reviewer.request(Method::POST, &format!("/v1/approvals/{id}/decisions"), body.into())?;
        let sent_at = Instant::now();
        let decided = tokio::spawn({
            let decided = admin.send_request(decision);
            async move { (decided.await, Instant::now()) }
        });
        let reached_at = has_reached.recv().await.context("the upstream is gone")?;
        let (decided, decided_at) = decided.await?;
        let decided = decided?;
        anyhow::ensure!(decided.status().is_success(), "the decision was refused with {}", decided.status());
        decided.into_body().collect().await?;
        let answer = answer.await??;
        anyhow::ensure!(answer.status() == StatusCode::OK, "the call was refused with {}", answer.status());
        answer.into_body().collect().await?;
        call.ready().await?;
        admin.ready().await?;
        if number >= WARM_UP {
            upstream_micros.push(micros(reached_at - sent_at));
            reviewer_micros.push(micros(decided_at - sent_at));
        }
    }
    say(&json!({ "upstream": upstream_micros, "reviewer": reviewer_micros }).to_string())
}

/// Answers one request, as soon as its first bytes are there.
async fn serve(mut stream: TcpStream, reached: mpsc::UnboundedSender<Instant>) -> anyhow::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    while stream.read(&mut buffer).await? > 0 {
        reached.send(Instant::now())?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
    Ok(())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// On one HTTP/2 connection.
const STREAMS: usize = 100;
const WARM_UP: usize = 20;
