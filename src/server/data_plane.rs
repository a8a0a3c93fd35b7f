//! The threads that carry calls: one for each core, each with a runtime and a listener of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::proxy;
use crate::proxy::BindError;
use crate::proxy::Core;
use crate::proxy::Limits;
use crate::proxy::Shared;
use crate::proxy::TlsTable;

/// One address that agents connect to, with its certificates.
pub(super) struct Door {
    /// The address as configured; port 0 takes a free one.
    pub(super) address: SocketAddr,
    /// The certificates; `None` for plain connections.
    pub(super) tls: Option<Arc<ArcSwap<TlsTable>>>,
}

/// The running data plane.
pub(super) struct DataPlane {
    threads: Vec<JoinHandle<()>>,
    /// Cancelled to stop accepting and let connections end.
    drain: CancellationToken,
    /// Cancelled to end what has not ended by itself.
    kill: CancellationToken,
    /// The addresses that are listened on.
    pub(super) addresses: Vec<SocketAddr>,
}

impl DataPlane {
    /// Listens on every door with every core, then starts the threads.
    pub(super) fn start(
        doors: &[Door],
        cores: usize,
        connections_max: usize,
        shared: &Arc<Shared>,
        limits: &Limits,
    ) -> Result<Self, StartError> {
        let connections = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        let (drain, kill) = (CancellationToken::new(), CancellationToken::new());
        let mut addresses = Vec::new();
        let mut per_core: Vec<Vec<Core>> = (0..cores).map(|_| Vec::new()).collect();
        for door in doors {
            let mut address = door.address;
            for (index, listeners) in per_core.iter_mut().enumerate() {
                let listener = proxy::bind(address)?;
                // A free port is found once; the other cores listen on the same.
                address = listener.local_addr()?;
                listeners.push(Core {
                    index,
                    listener,
                    tls: door.tls.clone(),
                    shared: Arc::clone(shared),
                    connections: Arc::clone(&connections),
                    limits: limits.clone(),
                    drain: drain.clone(),
                    tracker: TaskTracker::new(),
                });
            }
            addresses.push(address);
        }
        let threads = per_core.into_iter().enumerate().map(|(index, listeners)| {
            let kill = kill.clone();
            std::thread::Builder::new()
                .name(format!("core-{index}"))
                .stack_size(STACK_BYTES)
                .spawn(move || carry(listeners, &kill))
        });
        let threads = threads.collect::<io::Result<_>>()?;
        Ok(Self { threads, drain, kill, addresses })
    }

    /// Stops accepting; connections end once their calls are over.
    pub(super) fn drain(&self) {
        self.drain.cancel();
    }

    /// Whether every connection has ended.
    pub(super) fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Ends what is left and waits for the threads.
    pub(super) fn stop(self) {
        self.drain.cancel();
        self.kill.cancel();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the data plane has panicked");
            }
        }
    }
}

/// Why the data plane does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    System(#[from] io::Error),
}

fn carry(listeners: Vec<Core>, kill: &CancellationToken) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a core has no runtime"),
    };
    runtime.block_on(async {
        let trackers: Vec<TaskTracker> = listeners.iter().map(|core| core.tracker.clone()).collect();
        let all = async {
            for ran in futures_util::future::join_all(listeners.into_iter().map(Core::run)).await {
                if let Err(error) = ran {
                    tracing::error!(%error, "a core cannot accept connections");
                }
            }
            for tracker in trackers {
                tracker.close();
                tracker.wait().await;
            }
        };
        tokio::select! {
            () = all => {}
            () = kill.cancelled() => {}
        }
    });
    // Whatever is left is dropped with the runtime, and each call's guard says how it ended.
}

/// Policies recurse as deep as the loader lets them.
const STACK_BYTES: usize = 4 * 1024 * 1024;
