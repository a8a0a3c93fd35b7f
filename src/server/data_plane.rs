//! The threads that carry calls: one for each core, each with a runtime and a listener of its own.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::proxy;
use crate::proxy::Core;
use crate::proxy::Limits;
use crate::proxy::Shared;
use crate::proxy::TlsTable;

/// One address that agents connect to, with its certificates.
pub(super) struct Door {
    /// What its connections come from.
    pub(super) sockets: Vec<TcpListener>,
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
    /// One for each core.
    runtimes: Vec<Handle>,
}

impl DataPlane {
    /// Starts the threads; each accepts from every door.
    ///
    /// # Errors
    /// The system's, if it has no more threads or file descriptors.
    pub(super) fn start(
        doors: Vec<Door>,
        cores: usize,
        connections_max: usize,
        shared: &Arc<Shared>,
        limits: &Limits,
    ) -> io::Result<Self> {
        let connections = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        let (drain, kill) = (CancellationToken::new(), CancellationToken::new());
        let mut per_core: Vec<Vec<(Core, TcpListener)>> = (0..cores).map(|_| Vec::new()).collect();
        for door in doors {
            for (index, (sockets, core)) in
                proxy::spread(door.sockets, cores)?.into_iter().zip(&mut per_core).enumerate()
            {
                core.extend(sockets.into_iter().map(|socket| {
                    let core = Core {
                        index,
                        tls: door.tls.clone(),
                        shared: Arc::clone(shared),
                        connections: Arc::clone(&connections),
                        limits: limits.clone(),
                        // A core's own, since it is asked for each answer.
                        drain: drain.child_token(),
                        tracker: TaskTracker::new(),
                    };
                    (core, socket)
                }));
            }
        }
        let (mut threads, mut runtimes) = (Vec::new(), Vec::new());
        for (index, listeners) in per_core.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtimes.push(runtime.handle().clone());
            let kill = kill.clone();
            let thread = std::thread::Builder::new().name(format!("core-{index}")).stack_size(STACK_BYTES);
            threads.push(thread.spawn(move || carry(&runtime, listeners, &kill))?);
        }
        Ok(Self { threads, drain, kill, runtimes })
    }

    /// Asks the cores whether they do their work.
    pub(super) fn turns(&self) -> Turns {
        Turns(self.runtimes.clone())
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

/// The cores, to be asked whether any is stuck.
pub(super) struct Turns(Vec<Handle>);

impl Turns {
    /// Answers once every core has had a turn. A core that has ended is not stuck.
    pub(super) async fn all(&self) {
        let turns = self.0.iter().map(|runtime| runtime.spawn(std::future::ready(())));
        let _ = futures_util::future::join_all(turns).await;
    }
}

fn carry(runtime: &Runtime, listeners: Vec<(Core, TcpListener)>, kill: &CancellationToken) {
    runtime.block_on(async {
        let trackers: Vec<TaskTracker> = listeners.iter().map(|(core, _)| core.tracker.clone()).collect();
        let all = async {
            let accepting = listeners.into_iter().map(|(core, socket)| core.run(socket));
            for ran in futures_util::future::join_all(accepting).await {
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
