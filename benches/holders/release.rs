//! Very many callers who are let go at once, and those who only pass by meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use holdpoint::model::Clock;
use holdpoint::server;
use http::HeaderValue;
use http::Method;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::client::conn::http1;
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::Caller;
use super::micros;
use super::say;

type Sender = http1::SendRequest<Full<Bytes>>;

/// What the upstream has seen.
struct Seen {
    clock: Clock,
    /// When each path came, in microseconds since 1970.
    reached: Mutex<Vec<(String, i64)>>,
    in_flight: AtomicUsize,
    in_flight_max: AtomicUsize,
}

impl Seen {
    fn new() -> Self {
        Self {
            clock: server::system_clock(),
            reached: Mutex::default(),
            in_flight: AtomicUsize::default(),
            in_flight_max: AtomicUsize::default(),
        }
    }
}

/// An upstream that answers as soon as `open` is true.
async fn upstream(address: SocketAddr, seen: Arc<Seen>, open: watch::Receiver<bool>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&seen), open.clone()));
        }
    });
    Ok(())
}

async fn serve(mut stream: TcpStream, seen: Arc<Seen>, mut open: watch::Receiver<bool>) -> anyhow::Result<()> {
    let in_flight = seen.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    seen.in_flight_max.fetch_max(in_flight, Ordering::Relaxed);
    let mut buffer = vec![0; 16 * 1024];
    let read = stream.read(&mut buffer).await;
    if let Ok(bytes @ 1..) = read {
        let at = seen.clock.now().unix_micros();
        let head = String::from_utf8_lossy(buffer.get(..bytes).unwrap_or_default());
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        seen.reached.lock().push((path, at));
        open.wait_for(|open| *open).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
    seen.in_flight.fetch_sub(1, Ordering::Relaxed);
    Ok(())
}

/// The line that says to go on.
async fn told() -> anyhow::Result<()> {
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}

/// `count` callers, and a reviewer who approves all of them by so many connections.
pub(super) async fn release(
    agent: Arc<Caller>,
    reviewer: Arc<Caller>,
    address: SocketAddr,
    count: usize,
    reviewers: usize,
) -> anyhow::Result<()> {
    let (seen, (_open, is_open)) = (Arc::new(Seen::new()), watch::channel(true));
    upstream(address, Arc::clone(&seen), is_open).await?;
    let mut answers = call(&agent, count, |number| (format!("/customers/{number}"), None)).await?;
    say("sent")?;
    told().await?;
    let pending = pending(&mut reviewer.http1().await?, &reviewer).await?;
    anyhow::ensure!(pending.len() == count, "{} approvals are pending", pending.len());
    let begun = Instant::now();
    let queue = Arc::new(Mutex::new(pending));
    let mut deciding = JoinSet::new();
    for _ in 0..reviewers {
        deciding.spawn(approve_all(Arc::clone(&reviewer), Arc::clone(&queue)));
    }
    let mut decide_micros = Vec::new();
    while let Some(took) = deciding.join_next().await {
        decide_micros.append(&mut took??);
    }
    let decided = begun.elapsed();
    let (mut statuses, mut approvals) = (BTreeMap::<String, usize>::new(), BTreeMap::new());
    while let Some(answer) = answers.join_next().await {
        let Answered { path, status, approval, .. } = answer??;
        *statuses.entry(status).or_default() += 1;
        approvals.insert(path, approval);
    }
    let all = begun.elapsed();
    let reached: BTreeMap<String, String> = seen
        .reached
        .lock()
        .iter()
        .map(|(path, at)| (approvals.get(path).cloned().unwrap_or_default(), at.to_string()))
        .collect();
    say(&json!({
        "statuses": statuses, "decided_seconds": decided.as_secs_f64(), "all_seconds": all.as_secs_f64(),
        "decide": decide_micros, "reached": reached, "in_flight_max": seen.in_flight_max.load(Ordering::Relaxed),
    })
    .to_string())
}

/// Approves one after the other what is in the queue; answers with how long each took, in microseconds.
async fn approve_all(reviewer: Arc<Caller>, queue: Arc<Mutex<Vec<(String, String)>>>) -> anyhow::Result<Vec<f64>> {
    let mut admin = reviewer.http1().await?;
    let mut took = Vec::new();
    loop {
        let Some((id, digest)) = queue.lock().pop() else { return Ok(took) };
        let begun = Instant::now();
        approve(&mut admin, &reviewer, &id, &digest).await?;
        took.push(micros(begun.elapsed()));
    }
}

async fn approve(admin: &mut Sender, reviewer: &Caller, id: &str, digest: &str) -> anyhow::Result<()> {
    let body = json!({ "verdict": "approve", "digest": digest }).to_string();
    let decision = reviewer.request(Method::POST, &format!("/v1/approvals/{id}/decisions"), body.into())?;
    let decided = admin.send_request(decision).await?;
    let status = decided.status();
    let said = decided.into_body().collect().await?.to_bytes();
    anyhow::ensure!(status.is_success(), "a decision was refused with {status}: {}", String::from_utf8_lossy(&said));
    Ok(admin.ready().await?)
}

/// Id and digest of all that is pending.
async fn pending(admin: &mut Sender, reviewer: &Caller) -> anyhow::Result<Vec<(String, String)>> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let uri = format!("/v1/approvals?state=pending&limit=200{after}");
        let listed = admin.send_request(reviewer.request(Method::GET, &uri, Bytes::new())?).await?;
        let listed: Value = serde_json::from_slice(&listed.into_body().collect().await?.to_bytes())?;
        admin.ready().await?;
        for item in listed.get("items").and_then(Value::as_array).context("no page")? {
            let text = |name| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            found.push((text("id"), text("digest")));
        }
        match listed.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(found),
        }
    }
}

/// What a caller got, and when.
struct Answered {
    path: String,
    status: String,
    approval: String,
    at: Instant,
}

/// Sends `count` calls that are held, each on a connection of its own, and answers once all are sent.
async fn call(
    agent: &Arc<Caller>,
    count: usize,
    which: impl Fn(usize) -> (String, Option<&'static str>),
) -> anyhow::Result<JoinSet<anyhow::Result<Answered>>> {
    // Few handshakes at a time, so that none waits for too long.
    let handshakes = Arc::new(Semaphore::new(64));
    let mut answers = JoinSet::new();
    let (sent, mut all_sent) = mpsc::unbounded_channel::<()>();
    for number in 0..count {
        let (agent, handshakes, sent) = (Arc::clone(agent), Arc::clone(&handshakes), sent.clone());
        let (path, key) = which(number);
        answers.spawn(async move {
            let place = handshakes.acquire().await?;
            let mut sender = agent.http1().await?;
            let mut request = agent.request(Method::DELETE, &path, Bytes::new())?;
            if let Some(key) = key {
                request.headers_mut().insert("idempotency-key", HeaderValue::from_static(key));
            }
            let answer = sender.send_request(request);
            drop((place, sent));
            let answer = answer.await;
            let at = Instant::now();
            let status = answer.as_ref().map_or("broken".to_owned(), |answer| answer.status().as_u16().to_string());
            let approval = answer.as_ref().ok().and_then(|answer| answer.headers().get("approval-id")?.to_str().ok());
            let approval = approval.unwrap_or_default().to_owned();
            Ok(Answered { path, status, approval, at })
        });
    }
    drop(sent);
    while all_sent.recv().await.is_some() {}
    Ok(answers)
}

/// One call that runs, and `count` retries of it.
pub(super) async fn retry(
    agent: Arc<Caller>,
    reviewer: &Caller,
    address: SocketAddr,
    count: usize,
) -> anyhow::Result<()> {
    let (seen, (open, is_open)) = (Arc::new(Seen::new()), watch::channel(false));
    upstream(address, Arc::clone(&seen), is_open).await?;
    let same = |_| ("/customers/1".to_owned(), Some("one-and-the-same"));
    let mut first = call(&agent, 1, same).await?;
    let mut admin = reviewer.http1().await?;
    let (id, digest) = loop {
        if let Some(found) = pending(&mut admin, reviewer).await?.pop() {
            break found;
        }
    };
    approve(&mut admin, reviewer, &id, &digest).await?;
    while seen.in_flight.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut answers = call(&agent, count, same).await?;
    say("sent")?;
    told().await?;
    let begun = Instant::now();
    open.send(true)?;
    let (mut statuses, mut took) = (BTreeMap::<String, usize>::new(), Vec::new());
    first.join_next().await.context("the first call is gone")???;
    while let Some(answer) = answers.join_next().await {
        let Answered { status, at, .. } = answer??;
        *statuses.entry(status).or_default() += 1;
        took.push(micros(at - begun));
    }
    let runs = seen.reached.lock().len();
    say(&json!({ "statuses": statuses, "all_seconds": begun.elapsed().as_secs_f64(), "took": took, "runs": runs })
        .to_string())
}

/// Allowed calls at a steady rate.
pub(super) async fn probe(agent: Arc<Caller>, connections: usize, every: Duration) -> anyhow::Result<()> {
    let (measured, mut all) = mpsc::unbounded_channel();
    let mut lanes = Vec::new();
    for _ in 0..connections {
        let mut sender = agent.http1().await?;
        let (lane, mut due) = mpsc::unbounded_channel::<Instant>();
        lanes.push(lane);
        let (agent, measured) = (Arc::clone(&agent), measured.clone());
        tokio::spawn(async move {
            while let Some(at) = due.recv().await {
                let answer = sender.send_request(agent.request(Method::GET, "/probe/64", Bytes::new())?).await?;
                let status = answer.status();
                answer.into_body().collect().await?;
                sender.ready().await?;
                let _ = measured.send((micros(at.elapsed()), status.is_success()));
            }
            anyhow::Ok(())
        });
    }
    drop(measured);
    say("sent")?;
    let mut ticks = tokio::time::interval(every);
    // Each probe counts from when it was due, so that a stall is seen by all that it kept waiting.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut late, mut number) = (Vec::new(), 0);
    let mut stop = std::pin::pin!(told());
    loop {
        tokio::select! {
            _ = &mut stop => break,
            due = ticks.tick() => {
                let due = due.into_std();
                late.push(micros(due.elapsed()));
                if let Some(lane) = lanes.get(number % connections) {
                    let _ = lane.send(due);
                }
                number += 1;
            }
        }
    }
    drop(lanes);
    let (mut took, mut refused) = (Vec::new(), 0);
    while let Some((micros, good)) = all.recv().await {
        took.push(micros);
        refused += usize::from(!good);
    }
    anyhow::ensure!(took.len() == number, "{} of {number} probes were answered", took.len());
    say(&json!({ "took": took, "late": late, "refused": refused }).to_string())
}
