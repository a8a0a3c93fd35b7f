//! Calls that come at a fixed rate, evenly, whether or not the earlier ones have been answered.
//!
//! `bench-pacer ADDRESS CA KEY_FILE h1|h2|plain PATH RATE SECONDS` prints the median and the 99th
//! percentile in microseconds, from the moment at which each call was due. The first half second is
//! left out.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::client::conn::http1;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

mod caller;

use caller::Caller;
use caller::Version;
use caller::say;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, ca, key, version, path, rate, seconds] = arguments.as_slice() else {
        anyhow::bail!("usage: bench-pacer ADDRESS CA KEY_FILE h1|h2|plain PATH RATE SECONDS");
    };
    let caller = Arc::new(Caller::new(address, ca, key, version.parse()?)?);
    let (rate, seconds): (f64, f64) = (rate.parse()?, seconds.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut micros = runtime.block_on(pace(caller, path.as_str(), rate, seconds))?;
    micros.sort_by(f64::total_cmp);
    let at = |part: usize| micros.get(micros.len() * part / 100).copied();
    say(&json!({ "p50": at(50), "p99": at(99), "calls": micros.len() }).to_string())
}

async fn pace(caller: Arc<Caller>, path: &str, rate: f64, seconds: f64) -> anyhow::Result<Vec<f64>> {
    let path: Arc<str> = path.into();
    let mut streams = Vec::new();
    let idle = Arc::new(Mutex::new(Vec::new()));
    if caller.version == Version::Http2 {
        for _ in 0..HTTP2_CONNECTIONS {
            streams.push(caller.http2().await?);
        }
    } else {
        for _ in 0..HTTP1_CONNECTIONS {
            idle.lock().push(caller.http1().await?);
        }
    }
    let free = Arc::new(Semaphore::new(HTTP1_CONNECTIONS));
    let mut due = clock(rate, seconds);
    let begin = Instant::now() + WARM_UP;
    let mut calls = JoinSet::new();
    let mut number = 0;
    while let Some(due_at) = due.recv().await {
        number += 1;
        let (caller, path) = (Arc::clone(&caller), Arc::clone(&path));
        let stream = streams.get(number % HTTP2_CONNECTIONS).cloned();
        let (idle, free) = (Arc::clone(&idle), Arc::clone(&free));
        calls.spawn(async move {
            let request = caller.request(Method::GET, &path, Bytes::new())?;
            let answer = match stream {
                Some(mut stream) => stream.send_request(request).await?,
                None => {
                    let _place = free.acquire().await?;
                    let connection: Option<http1::SendRequest<Full<Bytes>>> = idle.lock().pop();
                    let mut connection = match connection {
                        Some(connection) => connection,
                        None => caller.http1().await?,
                    };
                    let answer = connection.send_request(request).await?;
                    let (parts, body) = answer.into_parts();
                    let status = parts.status;
                    body.collect().await?;
                    connection.ready().await?;
                    idle.lock().push(connection);
                    anyhow::ensure!(status.is_success(), "a call was answered with {status}");
                    return Ok((due_at, Instant::now()));
                }
            };
            let status = answer.status();
            answer.into_body().collect().await?;
            anyhow::ensure!(status.is_success(), "a call was answered with {status}");
            anyhow::Ok((due_at, Instant::now()))
        });
    }
    let mut micros = Vec::new();
    while let Some(call) = calls.join_next().await {
        let (due_at, answered_at) = call??;
        if due_at > begin {
            micros.push((answered_at - due_at).as_secs_f64() * 1e6);
        }
    }
    Ok(micros)
}

/// Says when each call is due, when it is. A runtime's timer would be a millisecond late.
fn clock(rate: f64, seconds: f64) -> mpsc::UnboundedReceiver<Instant> {
    let (tick, ticks) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let (start, every) = (Instant::now(), 1.0 / rate);
        let mut number = 0.0;
        while number * every < seconds {
            let due = start + Duration::from_secs_f64(number * every);
            #[expect(clippy::disallowed_methods, reason = "here the event that is waited for is a point in time")]
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if tick.send(due).is_err() {
                return;
            }
            number += 1.0;
        }
    });
    ticks
}

const HTTP1_CONNECTIONS: usize = 32;
const HTTP2_CONNECTIONS: usize = 4;
const WARM_UP: Duration = Duration::from_millis(500);
