//! Starts the rooms in order, waits for the signal to stop, and drains them in the reverse order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval;
use crate::approval::Approvals;
use crate::approval::store::Embedded;
use crate::approval::store::OpenError as StoreError;
use crate::approval::store::Shelf;
use crate::audit;
use crate::audit::Log;
use crate::audit::SigningKey;
use crate::config;
use crate::config::Config;
use crate::config::ConfigError;
use crate::gate;
use crate::gate::Gate;
use crate::gate::Spool;
use crate::identity::AuthMetrics;
use crate::identity::Directory;
use crate::identity::Trusted;
use crate::identity::oidc;
use crate::identity::oidc::Provider;
use crate::model::Clock;
use crate::model::IdSource;
use crate::proxy;
use crate::proxy::Limits;
use crate::proxy::Shared;
use crate::review;
use crate::review::SignIn;
use crate::telemetry::Guard;
use crate::telemetry::metrics;
use crate::wire::WireMetrics;

use super::admin::Admin;
use super::build;
use super::build::Upstreams;
use super::bundles;
use super::bundles::Bundles;
use super::data_plane::DataPlane;
use super::data_plane::Door;
use super::error::ServerError;
use super::hand_over::Offer;
use super::hand_over::Predecessor;
use super::hand_over::Successor;
use super::reload;
use super::reload::Journal;
use super::reload::Reload;
use super::sockets::Inherited;
use super::sockets::Place;
use super::sockets::Sockets;
use super::systemd;

/// Where the configuration comes from; asked again for each reload.
pub type Source = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Where a server that is ready can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The agents' addresses.
    pub proxy: Vec<SocketAddr>,
    /// The admin address.
    pub admin: SocketAddr,
}

/// Where a server gets its sockets from, beside those that it makes.
#[derive(Debug, Default)]
pub struct Launch {
    /// Those that were passed to this process.
    pub inherited: Inherited,
    /// Whether to take the place of the process that has the store now, if one has.
    pub take_over: bool,
}

/// Serves until SIGTERM or SIGINT, or until another process takes over. `on_ready` hears of the
/// addresses once calls can come.
///
/// # Errors
/// [`ServerError`] if it cannot start, or could not stop in good order.
pub fn serve(
    source: Source,
    launch: Launch,
    clock: Clock,
    telemetry: &Guard,
    on_ready: impl FnOnce(&Ready),
) -> Result<(), ServerError> {
    let config = source().map_err(ServerError::Config)?;
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()?;
    let registry = Registry::new();
    metrics::register(&registry)?;
    telemetry.register(&registry)?;
    let successor = control.block_on(run(source, launch, config, clock, registry, on_ready));
    // Store and log are let go of before the successor, if there is one, hears that we have ended.
    drop(control);
    successor.map(drop)
}

async fn run(
    source: Source,
    launch: Launch,
    config: Config,
    clock: Clock,
    registry: Registry,
    on_ready: impl FnOnce(&Ready),
) -> Result<Option<Successor>, ServerError> {
    let mut stop_signals = StopSignals::new()?;
    let reload_metrics = reload::Metrics::new(&registry)?;
    let cores = cores(&config)?;
    let proxy_metrics = proxy::Metrics::new(&registry)?;
    let mut upstreams = Upstreams::new();
    let (bundles, bundle_metrics) = (Bundles::default(), bundles::Metrics::new(&registry)?);
    let loaded = build::load_with(&config, cores, &proxy_metrics, &mut upstreams, &bundles)?;
    let mut sockets = Sockets::new(&config, launch.inherited)?;
    let config::Store::Embedded(embedded) = &config.store;
    let freed =
        if launch.take_over { take_over(&config, &embedded.path, cores, &mut sockets).await? } else { Freed::Not };
    bundles.settle(true);
    bundle_metrics.in_force(loaded.policy.digest(), loaded.revision.as_deref());

    // What keeps: the log first, since nothing may happen without it, then the approvals.
    let ids = Arc::new(IdSource::new(random()?));
    let instance = instance();
    let audit_metrics = audit::Metrics::new(&registry)?;
    let open_log = || open_log(&config, &instance, &clock, &audit_metrics);
    let (log, writer) =
        freed.wait_for(open_log, |error| matches!(error, ServerError::Audit(audit::OpenError::Locked(_)))).await?;
    let key = Arc::new(SigningKey::load(config.audit.key.path())?);
    let (stored, from_store) = mpsc::unbounded_channel();
    let open_store = || {
        let stored = stored.clone();
        Ok(Embedded::open(&embedded.path, Box::new(move |entries| drop(stored.send(entries))))?)
    };
    let in_use = |error: &ServerError| matches!(error, ServerError::Store(StoreError::InUse { .. }));
    let store = freed.wait_for(open_store, in_use).await?;
    drop(stored);
    let parts = approval::Parts {
        store: Arc::new(store),
        stored: from_store,
        log: log.clone(),
        key,
        people: loaded.people,
        clock: clock.clone(),
        ids: Arc::clone(&ids),
        instance: instance.clone(),
        metrics: approval::Metrics::new(&registry)?,
        settings: loaded.approvals,
        runtime: Handle::current(),
    };
    let approvals = Approvals::start(parts).await?;
    let journal = Journal { log: log.clone(), clock: clock.clone(), ids: Arc::clone(&ids), instance: instance.clone() };
    journal.policy_loaded(loaded.policy.digest());

    // What decides, then what listens.
    let gate_metrics = gate::Metrics::new(&registry)?;
    let spool = Spool::open(&config.spool_path(), config.limits.spooled_bytes_total_max.as_usize(), &gate_metrics)?;
    let gate = Arc::new(Gate::new(gate::Parts {
        policy: loaded.policy,
        approvals: approvals.clone(),
        log: log.clone(),
        clock: clock.clone(),
        ids: Arc::clone(&ids),
        instance,
        metrics: gate_metrics,
        settings: loaded.gate,
        held_calls_max: to_usize(config.limits.held_calls_max.get()),
        held_bytes_total_max: config.limits.held_bytes_total_max.as_usize(),
        spool,
    }));
    let limits = limits(&config);
    let shared = Arc::new(Shared {
        snapshot: ArcSwap::from_pointee(loaded.snapshot),
        gate: Arc::clone(&gate),
        clock: clock.clone(),
        ids,
        metrics: proxy_metrics,
        wire_metrics: WireMetrics::new(&registry)?,
        auth_metrics: AuthMetrics::new(&registry)?,
        limits: limits.clone(),
    });
    let tls: Vec<_> = loaded.tls.into_iter().map(|table| table.map(ArcSwap::from_pointee).map(Arc::new)).collect();
    let admin_tls = loaded.admin_tls.map(ArcSwap::from_pointee).map(Arc::new);
    let tokens = Arc::new(ArcSwap::from_pointee(loaded.tokens));
    let sign_in = sign_in(&approvals, loaded.oidc, loaded.groups_valid_for, &clock).await?;
    let (draining, stop) = (CancellationToken::new(), CancellationToken::new());
    let tracker = TaskTracker::new();
    let ready_log = log.clone();
    let is_draining = draining.clone();
    let review_metrics = review::Metrics::new(&registry)?;
    let (facts_gate, facts_shared) = (Arc::clone(&gate), Arc::clone(&shared));
    let facts = Arc::new(move || review::Facts {
        rules: facts_gate.policy().rules(),
        agents: facts_shared.snapshot.load().agents.list(),
    });
    let state = review::AdminState {
        approvals: approvals.clone(),
        tokens: Arc::clone(&tokens),
        sign_in: sign_in.clone(),
        registry,
        auth_metrics: shared.auth_metrics.clone(),
        metrics: review_metrics,
        clock: clock.clone(),
        log,
        ready: Arc::new(move || {
            if is_draining.is_cancelled() {
                return Err("this process is about to stop".to_owned());
            }
            ready_log.healthy()
        }),
        facts,
        drain: stop.clone(),
        settings: review::Settings::default(),
    };
    sockets.bind_missing(cores)?;
    let copies = sockets.copies()?;
    let listening = sockets.listen()?;
    let ready = listening.addresses()?;
    let admin = Admin {
        tls: admin_tls.clone(),
        router: review::router(state),
        handshake_timeout: limits.handshake_timeout,
        header_timeout: limits.header_timeout,
        stop: stop.clone(),
        tracker: tracker.clone(),
        by_address: Arc::default(),
    };
    let doors = listening.agents.into_iter().zip(&tls).map(|(sockets, tls)| Door { sockets, tls: tls.clone() });
    let connections_max = to_usize(config.limits.connections_max.get());
    let data_plane = DataPlane::start(doors.collect(), cores, connections_max, &shared, &limits)?;
    let admin_listeners = listening.admin.into_iter().map(TcpListener::from_std).collect::<Result<_, _>>()?;
    tracker.spawn(admin.run(admin_listeners));
    let reload = Reload {
        source,
        cores,
        upstreams,
        bundles,
        bundle_metrics,
        bundle: config.policy.bundle.clone(),
        shared,
        gate,
        approvals: approvals.clone(),
        tokens,
        sign_in: sign_in.clone(),
        tls,
        admin_tls,
        metrics: reload_metrics,
        journal,
    };
    let drain_timeout: Duration = config.limits.drain_timeout.get();
    let (reasons, reloading) = (reload::Reasons::new(&config)?, stop.clone());
    tracker.spawn(reload.run(reasons, reloading));
    tracker.spawn(sweep_groups(sign_in.directory, clock, stop.clone()));
    let offer = offer(&embedded.path, copies, drain_timeout);
    tracing::info!(proxy = ?ready.proxy, admin = %ready.admin, cores, "ready");
    on_ready(&ready);
    systemd::ready();
    let watchdog = tokio::spawn(systemd::watchdog(data_plane.turns()));

    let successor = until_told_to_end(&mut stop_signals, offer).await;
    systemd::stopping();
    draining.cancel();
    drain(data_plane, &approvals, drain_timeout, &mut stop_signals).await;
    stop.cancel();
    tracker.close();
    // Reviewers' connections have no say in when this ends.
    let _ = tokio::time::timeout(ADMIN_STOPS_WITHIN, tracker.wait()).await;
    approvals.stop().await;
    let closed = tokio::task::spawn_blocking(move || writer.close()).await;
    closed.map_err(|_| std::io::Error::other("the thread that closes the audit log has panicked"))??;
    watchdog.abort();
    tracing::info!("stopped");
    Ok(successor)
}

/// Takes the sockets of the process that has the store in `folder`, binds what is missing, and has
/// that process end. Before it ends, everything that could go wrong here has been tried.
async fn take_over(config: &Config, folder: &Path, cores: usize, sockets: &mut Sockets) -> Result<Freed, ServerError> {
    let asked = folder.to_owned();
    let asked = blocking(move || Predecessor::ask(&asked)).await?;
    let Some((predecessor, handed)) = asked? else {
        tracing::info!(folder = %folder.display(), "no process offers its sockets there; starting without");
        // It may be about to end.
        return Ok(Freed::Perhaps);
    };
    sockets.take(handed);
    sockets.bind_missing(cores)?;
    SigningKey::load(config.audit.key.path())?;
    Embedded::check(folder)?;
    tracing::info!(pid = predecessor.pid, "taking over: the running process drains, connections wait meanwhile");
    blocking(move || predecessor.replace()).await??;
    Ok(Freed::Now)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| std::io::Error::other("a thread has panicked"))
}

fn offer(folder: &Path, copies: Vec<Place>, drain_timeout: Duration) -> Option<Offer> {
    let offer = Offer::make(folder, copies, drain_timeout);
    let unusable = |error: &std::io::Error| {
        tracing::warn!(%error, folder = %folder.display(), "no other process can take over from this one");
    };
    offer.inspect_err(unusable).ok()
}

/// Waits for a signal, or for another process that has all the sockets.
async fn until_told_to_end(signals: &mut StopSignals, mut offer: Option<Offer>) -> Option<Successor> {
    let taken = async {
        match &mut offer {
            Some(offer) => offer.taken().await,
            None => std::future::pending().await,
        }
    };
    let successor = tokio::select! {
        () = signals.wait() => None,
        successor = taken => Some(successor),
    };
    if let Some(successor) = &successor {
        tracing::info!(pid = successor.pid, "another process takes over");
    }
    if let Some(offer) = offer {
        offer.withdraw();
    }
    successor
}

/// Whether another process has just let go of store and log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freed {
    /// None was asked to.
    Not,
    /// One may be about to.
    Perhaps,
    /// One has; the system may still be at it.
    Now,
}

impl Freed {
    /// Opens what one process at a time can have, and waits a while for the one before to let go.
    async fn wait_for<T>(
        self,
        mut open: impl FnMut() -> Result<T, ServerError>,
        in_use: impl Fn(&ServerError) -> bool,
    ) -> Result<T, ServerError> {
        let deadline = Instant::now() + LETS_GO_WITHIN;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            match open() {
                Err(error) if in_use(&error) => {
                    if self == Self::Not || Instant::now() >= deadline {
                        return Err(ServerError::Running(Box::new(error)));
                    }
                }
                opened => return opened,
            }
        }
    }
}

/// Held callers are told to come again, running calls end within the limit, the rest is cut off.
async fn drain(data_plane: DataPlane, approvals: &Approvals, within: Duration, again: &mut StopSignals) {
    tracing::info!(held = approvals.waiting(), within_seconds = within.as_secs(), "stopping: no new connections");
    data_plane.drain();
    approvals.drain();
    let deadline = Instant::now() + within;
    let mut look = tokio::time::interval(LOOK_EVERY);
    while !data_plane.is_over() {
        tokio::select! {
            _ = look.tick() => {}
            () = again.wait() => {
                tracing::warn!("told to stop a second time: cutting off what is left");
                break;
            }
        }
        if Instant::now() >= deadline {
            tracing::warn!("calls are still running after the time to drain; they are cut off");
            break;
        }
    }
    // Joining threads blocks, if only for the moment in which they drop what is left.
    let _ = tokio::task::spawn_blocking(move || data_plane.stop()).await;
}

/// What the last process knew of accounts and sessions, and the provider that this one asks.
async fn sign_in(
    approvals: &Approvals,
    oidc: Option<oidc::Settings>,
    groups_valid_for: Duration,
    clock: &Clock,
) -> Result<SignIn, ServerError> {
    let accounts = approvals.kept(Shelf::Accounts).await?;
    let accounts = accounts.iter().filter_map(|kept| {
        let unreadable =
            |error: &serde_json::Error| tracing::error!(%error, "what was kept of an account cannot be read");
        serde_json::from_str(&kept.text).inspect_err(unreadable).ok()
    });
    let told = approvals.clone();
    let trusted = oidc.clone().map(|settings| Trusted { settings, valid_for: groups_valid_for });
    let tell = Box::new(move |people| told.set_people(people));
    let directory = Directory::new(approvals.people(), trusted, accounts, tell);
    directory.sweep(clock.now());
    let provider = oidc.map(|oidc| Provider::new(oidc, clock.clone())).transpose()?;
    Ok(SignIn {
        provider: Arc::new(ArcSwapOption::new(provider.map(Arc::new))),
        directory: Arc::new(directory),
        kept: approvals.kept(Shelf::Sessions).await?,
    })
}

/// What the identity provider said of groups counts for a while only.
async fn sweep_groups(directory: Arc<Directory>, clock: Clock, stop: CancellationToken) {
    let mut often = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = often.tick() => directory.sweep(clock.now()),
            () = stop.cancelled() => return,
        }
    }
}

fn open_log(
    config: &Config,
    instance: &str,
    clock: &Clock,
    metrics: &audit::Metrics,
) -> Result<(Log, audit::Writer), ServerError> {
    let key = config.audit.key.path();
    let fresh = !key.exists() && !config.audit.path.join("checkpoint").exists();
    let key = if fresh { SigningKey::generate_file(key)? } else { SigningKey::load(key)? };
    let settings = audit::Settings::new(&config.audit.path, config.audit.origin.as_str(), instance);
    let (log, writer) = Log::open(settings, key, clock.clone(), metrics.clone())?;
    if fresh {
        tracing::info!(vkey = log.vkey(), "a signing key was made; keep its verifier key outside of this machine");
    }
    Ok((log, writer))
}

fn limits(config: &Config) -> Limits {
    Limits {
        handshake_timeout: config.limits.handshake_timeout.get(),
        header_timeout: config.limits.header_timeout.get(),
        header_bytes_max: config.limits.header_bytes_max.as_usize(),
        body_timeout: config.limits.body_timeout.get(),
        streams_max: config.limits.streams_max.get(),
    }
}

fn cores(config: &Config) -> Result<usize, ServerError> {
    match config.threads {
        Some(threads) => Ok(threads.get()),
        None => Ok(std::thread::available_parallelism()?.get()),
    }
}

/// Names this process in the audit log: one name for one life of one process.
fn instance() -> String {
    format!("holdpoint-{}", std::process::id())
}

fn random() -> Result<[u8; 10], ServerError> {
    let mut bytes = [0; 10];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| std::io::Error::other("the system gives no random numbers"))?;
    Ok(bytes)
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Store, audit, admin API: none of it is on the path of a call that is not held.
const CONTROL_THREADS: usize = 2;

const SWEEP_EVERY: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ADMIN_STOPS_WITHIN: Duration = Duration::from_secs(2);

/// How long a process that ends may take until its locks are free.
const LETS_GO_WITHIN: Duration = Duration::from_secs(10);
