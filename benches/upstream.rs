//! The upstream of the measurements: as little work as a server can do.
//!
//! `bench-upstream ADDRESS THREADS` answers `GET /customers/N` with N bytes, and `GET /count` with
//! how many other requests it has answered so far, so that the rate can be read at any moment.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use anyhow::Context;
use bytes::Bytes;
use holdpoint::proxy;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

static COUNT: AtomicU64 = AtomicU64::new(0);
static CONTENT: [u8; CONTENT_BYTES] = [b'x'; CONTENT_BYTES];
const CONTENT_BYTES: usize = 64 * 1024;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, threads] = arguments.as_slice() else { anyhow::bail!("usage: bench-upstream ADDRESS THREADS") };
    let address: SocketAddr = address.parse().context("ADDRESS is none")?;
    let threads: usize = threads.parse().context("THREADS is no number")?;
    let mut running = Vec::new();
    for _ in 0..threads {
        let listener = proxy::listen(proxy::bind(address, proxy::Sharing::Cores)?)?;
        running.push(std::thread::spawn(move || serve(listener)));
    }
    for thread in running {
        thread.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))??;
    }
    Ok(())
}

fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A connection that breaks is the caller's business.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let content = if path == "/count" {
        Bytes::from(COUNT.load(Ordering::Relaxed).to_string())
    } else {
        let bytes = path.rsplit('/').next().and_then(|last| last.parse::<usize>().ok()).unwrap_or(1024);
        Bytes::from_static(CONTENT.get(..bytes).unwrap_or(&CONTENT))
    };
    if path != "/count" {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
    if !request.body().is_end_stream() {
        // A body that breaks off breaks the connection too.
        let _ = request.into_body().collect().await;
    }
    let mut answer = Response::new(Full::new(content));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}
