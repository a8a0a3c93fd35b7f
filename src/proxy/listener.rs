//! One core of the data plane: a listener, a runtime of one thread, and connections up to a limit.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::TcpKeepalive;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::PollSemaphore;
use tokio_util::task::TaskTracker;

use crate::wire::Arrival;

use super::connection;
use super::connection::Limits;
use super::http::Shared;
use super::tls::TlsTable;

/// What one listener of one core needs.
#[derive(Debug)]
pub struct Core {
    /// Its number, from 0.
    pub index: usize,
    /// The certificates; `None` for plain connections.
    pub tls: Option<Arc<ArcSwap<TlsTable>>>,
    /// What all cores share.
    pub shared: Arc<Shared>,
    /// How many connections all cores together accept.
    pub connections: Arc<Semaphore>,
    /// Limits of each connection.
    pub limits: Limits,
    /// Cancelled to stop accepting and end connections once their calls are over.
    pub drain: CancellationToken,
    /// Every connection, so that whoever drains can wait for them.
    pub tracker: TaskTracker,
}

impl Core {
    /// Accepts from `listener` until the drain begins, and lets go of it then, whatever connections
    /// there still are. Runs on the core's own runtime.
    ///
    /// # Errors
    /// If the socket cannot be used at all.
    pub async fn run(self, listener: std::net::TcpListener) -> io::Result<()> {
        let core = Arc::new(self);
        let listener = TcpListener::from_std(listener)?;
        let mut places = PollSemaphore::new(Arc::clone(&core.connections));
        loop {
            // The place first, then the connection: what cannot be served stays in the backlog.
            // Where nobody waits to be accepted, the place goes back at once, since a core that
            // kept it for its next caller would keep it from the callers of the others.
            let arrival = poll_fn(|context| {
                let place = ready!(places.poll_acquire(context));
                let accepted = ready!(listener.poll_accept(context));
                Poll::Ready((place, accepted))
            });
            let (place, accepted) = tokio::select! {
                arrived = arrival => arrived,
                () = core.drain.cancelled() => return Ok(()),
            };
            let Some(place) = place else { return Ok(()) };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    core.shared.metrics.accept_errors.inc();
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of file descriptors, most likely: they come back as connections end.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let serving = Arc::clone(&core);
            core.tracker.spawn(async move {
                serving.shared.metrics.connections.inc();
                serving.serve(stream, peer).await;
                serving.shared.metrics.connections.dec();
                drop(place);
            });
        }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%error, "a connection cannot be set up");
            return;
        }
        let source_ip = peer.ip().to_canonical();
        let Some(table) = &self.tls else {
            let arrival = Arrival { tls: false, sni: None, source_ip };
            return connection::serve(self, stream, connection::Version::Http1, arrival).await;
        };
        let table = table.load_full();
        match table.accept(stream, self.limits.handshake_timeout).await {
            Ok((stream, sni)) => {
                let version = connection::Version::from_alpn(stream.get_ref().1.alpn_protocol());
                connection::serve(self, stream, version, Arrival { tls: true, sni, source_ip }).await;
            }
            Err(error) => {
                self.shared.metrics.handshake_errors.inc();
                tracing::debug!(%error, "a TLS handshake failed");
            }
        }
    }
}

/// A caller that is held says nothing for hours; keep-alive finds out that it is gone, and keeps
/// NAT entries, which often last 350 s, from being forgotten.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)).with_retries(3);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
