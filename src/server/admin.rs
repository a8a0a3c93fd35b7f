//! The admin listener: apart from the agents' one, always, and on the control plane.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use futures_util::future::join_all;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::proxy;
use crate::proxy::TlsTable;
use crate::review::Peer;

/// What the admin listener needs.
pub(super) struct Admin {
    pub(super) tls: Option<Arc<ArcSwap<TlsTable>>>,
    pub(super) router: Router,
    pub(super) handshake_timeout: Duration,
    pub(super) header_timeout: Duration,
    pub(super) stop: CancellationToken,
    pub(super) tracker: TaskTracker,
    /// How many connections each address has.
    pub(super) by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Admin {
    /// Serves what comes to `listeners` until it is told to stop.
    pub(super) async fn run(self, listeners: Vec<TcpListener>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let admin = Arc::new(self);
        join_all(listeners.into_iter().map(|listener| admin.accept(listener, &places))).await;
    }

    async fn accept(self: &Arc<Self>, listener: TcpListener, places: &Arc<Semaphore>) {
        loop {
            let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin listener could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(share) = Share::take(&self.by_address, address.ip()) else {
                tracing::debug!(client.address = %address.ip(), "too many connections to the admin listener from one address");
                continue;
            };
            let serving = Arc::clone(self);
            self.tracker.spawn(async move {
                if let Err(error) = serving.serve(stream, address).await {
                    tracing::debug!(%error, "a connection to the admin listener ended");
                }
                drop((place, share));
            });
        }
    }

    async fn serve(
        &self,
        stream: tokio::net::TcpStream,
        address: SocketAddr,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        let Some(table) = &self.tls else { return self.speak(stream, address, false).await };
        let (stream, _) = table.load_full().accept(stream, self.handshake_timeout).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.speak(stream, address, http2).await
    }

    async fn speak<S>(
        &self,
        stream: S,
        address: SocketAddr,
        http2: bool,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Peer { address: address.ip(), tls: self.tls.is_some() };
        let service = TowerToHyperService::new(self.router.clone().layer(axum::Extension(peer)));
        let io = TokioIo::new(stream);
        if http2 {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .keep_alive_interval(KEEP_ALIVE_EVERY)
                .keep_alive_timeout(KEEP_ALIVE_WITHIN)
                .serve_connection(io, service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                served = connection.as_mut() => return Ok(served?),
                () = proxy::unused(&self.stop) => connection.as_mut().graceful_shutdown(),
            }
            return Ok(connection.await?);
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            served = connection.as_mut() => return Ok(served?),
            () = proxy::unused(&self.stop) => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }
}

/// One connection of an address, counted until it is dropped.
struct Share {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Share {
    fn take(counts: &Arc<Mutex<HashMap<IpAddr, usize>>>, address: IpAddr) -> Option<Self> {
        let mut all = counts.lock();
        let count = all.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Self { counts: Arc::clone(counts), address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.counts.lock();
        if let Some(count) = all.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

/// Reviewers, their browsers, and what collects metrics.
const CONNECTIONS_MAX: usize = 1_024;
/// From one address, so that none takes all the places.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
const STREAMS_MAX: u32 = 64;
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(15);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
