//! One connection: HTTP/1.1 or HTTP/2 within its limits, until it or the process ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::wire::Arrival;

use super::answer::Answer;
use super::drain;
use super::http;
use super::listener::Core;
use super::sse::HeldFlag;
use super::watched::Watched;

/// Limits of each connection of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a request's head may take to arrive, and an idle connection may wait for one.
    pub header_timeout: Duration,
    /// The longest head of a request, in bytes.
    pub header_bytes_max: usize,
    /// How long a body may pause while it is read.
    pub body_timeout: Duration,
    /// Calls at once on one HTTP/2 connection.
    pub streams_max: u32,
}

/// The HTTP version that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

impl Version {
    pub(super) fn from_alpn(protocol: Option<&[u8]>) -> Self {
        if protocol == Some(b"h2") { Self::Http2 } else { Self::Http1 }
    }
}

/// Serves `stream` until it ends, or until its calls are over once the drain begins.
pub(super) async fn serve<S>(core: &Core, stream: S, version: Version, arrival: Arrival)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let arrival = Arc::new(arrival);
    let (shared, index) = (Arc::clone(&core.shared), core.index);
    let draining = core.drain.clone();
    let held = HeldFlag::default();
    let watched = held.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (version, draining, watched) = (request.version(), draining.clone(), watched.clone());
        watched.set(false);
        let handled = http::handle(Arc::clone(&shared), index, Arc::clone(&arrival), request, watched.clone());
        handled.map_ok(move |mut answer| {
            drain::last_answer(&draining, &mut answer, version);
            // An event stream can begin while its call is still held.
            if !matches!(answer.body(), Answer::Events(_)) {
                watched.set(false);
            }
            answer
        })
    });
    let limits = &core.limits;
    let served = match version {
        Version::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_timeout)
                .max_buf_size(limits.header_bytes_max.max(HTTP1_BUFFER_MIN))
                .serve_connection(TokioIo::new(Watched::new(stream, held)), service)
                .with_upgrades();
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                served = connection.as_mut() => served,
                () = drain::unused(&core.drain) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
        Version::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.streams_max)
                .max_pending_accept_reset_streams(20)
                .max_local_error_reset_streams(100)
                .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
                .keep_alive_interval(KEEP_ALIVE_EVERY)
                .keep_alive_timeout(KEEP_ALIVE_WITHIN)
                .initial_stream_window_size(HTTP2_STREAM_WINDOW)
                .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                served = connection.as_mut() => served,
                () = drain::unused(&core.drain) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = served {
        // The client's doing, nearly always: it hung up, or sent what is not HTTP.
        tracing::debug!(%error, "a connection ended");
    }
}

/// What hyper asks for at least.
const HTTP1_BUFFER_MIN: usize = 8_192;

/// A held caller must answer a PING, or it is thought to be gone.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(15);

/// Small, since many streams may wait with a body half sent.
const HTTP2_STREAM_WINDOW: u32 = 65_535;
const HTTP2_CONNECTION_WINDOW: u32 = 1_048_576;
