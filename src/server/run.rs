//! Starts the rooms in order, waits for the signal to stop, and drains them in the reverse order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwap;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval;
use crate::approval::Approvals;
use crate::approval::store::Embedded;
use crate::audit;
use crate::audit::Log;
use crate::audit::SigningKey;
use crate::config;
use crate::config::Config;
use crate::config::ConfigError;
use crate::gate;
use crate::gate::Gate;
use crate::identity::AuthMetrics;
use crate::model::Clock;
use crate::model::IdSource;
use crate::proxy;
use crate::proxy::Limits;
use crate::proxy::Shared;
use crate::review;
use crate::telemetry::Guard;
use crate::telemetry::metrics;
use crate::wire::WireMetrics;

use super::admin;
use super::admin::Admin;
use super::build;
use super::build::Upstreams;
use super::bundles;
use super::bundles::Bundles;
use super::data_plane::DataPlane;
use super::data_plane::Door;
use super::data_plane::StartError;
use super::error::ServerError;
use super::reload;
use super::reload::Journal;
use super::reload::Reload;

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

/// Serves until SIGTERM or SIGINT. `on_ready` hears of the addresses once calls can come.
///
/// # Errors
/// [`ServerError`] if it cannot start, or could not stop in good order.
pub fn serve(
    source: Source,
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
    control.block_on(run(source, config, clock, registry, on_ready))
}

async fn run(
    source: Source,
    config: Config,
    clock: Clock,
    registry: Registry,
    on_ready: impl FnOnce(&Ready),
) -> Result<(), ServerError> {
    let mut stop_signals = StopSignals::new()?;
    let reload_metrics = reload::Metrics::new(&registry)?;
    let cores = cores(&config)?;
    let proxy_metrics = proxy::Metrics::new(&registry)?;
    let mut upstreams = Upstreams::new();
    let (bundles, bundle_metrics) = (Bundles::default(), bundles::Metrics::new(&registry)?);
    let loaded = build::load_with(&config, cores, &proxy_metrics, &mut upstreams, &bundles)?;
    bundles.settle(true);
    bundle_metrics.in_force(loaded.policy.digest(), loaded.revision.as_deref());

    // What keeps: the log first, since nothing may happen without it, then the approvals.
    let ids = Arc::new(IdSource::new(random()?));
    let instance = instance();
    let (log, writer) = open_log(&config, &instance, &clock, &registry)?;
    let key = Arc::new(SigningKey::load(config.audit.key.path())?);
    let (stored, from_store) = mpsc::unbounded_channel();
    let config::Store::Embedded(embedded) = &config.store;
    let store = Embedded::open(&embedded.path, Box::new(move |entries| drop(stored.send(entries))))?;
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
    let gate = Arc::new(Gate::new(gate::Parts {
        policy: loaded.policy,
        approvals: approvals.clone(),
        log: log.clone(),
        clock: clock.clone(),
        ids: Arc::clone(&ids),
        instance,
        metrics: gate::Metrics::new(&registry)?,
        settings: loaded.gate,
        held_calls_max: to_usize(config.limits.held_calls_max.get()),
        held_bytes_total_max: config.limits.held_bytes_total_max.as_usize(),
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
    let (draining, stop) = (CancellationToken::new(), CancellationToken::new());
    let tracker = TaskTracker::new();
    let ready_log = log.clone();
    let is_draining = draining.clone();
    let review_metrics = review::Metrics::new(&registry)?;
    let state = review::AdminState {
        approvals: approvals.clone(),
        tokens: Arc::clone(&tokens),
        registry,
        auth_metrics: shared.auth_metrics.clone(),
        metrics: review_metrics,
        clock,
        log,
        ready: Arc::new(move || {
            if is_draining.is_cancelled() {
                return Err("this process is about to stop".to_owned());
            }
            ready_log.healthy()
        }),
        drain: stop.clone(),
        settings: review::Settings::default(),
    };
    let listener = admin::listen(config.admin.address)?;
    let admin_address = listener.local_addr()?;
    let admin = Admin {
        listener,
        tls: admin_tls.clone(),
        router: review::router(state),
        handshake_timeout: limits.handshake_timeout,
        header_timeout: limits.header_timeout,
        stop: stop.clone(),
        tracker: tracker.clone(),
    };
    let doors: Vec<Door> = config
        .listen
        .iter()
        .zip(&tls)
        .map(|(listener, tls)| Door { address: listener.address, tls: tls.clone() })
        .collect();
    let connections_max = to_usize(config.limits.connections_max.get());
    let data_plane =
        DataPlane::start(&doors, cores, connections_max, &shared, &limits).map_err(|error| match error {
            StartError::Bind(error) => ServerError::Bind(error),
            StartError::System(error) => ServerError::System(error),
        })?;
    tracker.spawn(admin.run());
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
        tls,
        admin_tls,
        metrics: reload_metrics,
        journal,
    };
    let drain_timeout: Duration = config.limits.drain_timeout.get();
    let (reasons, reloading) = (reload::Reasons::new(&config)?, stop.clone());
    tracker.spawn(reload.run(reasons, reloading));
    let ready = Ready { proxy: data_plane.addresses.clone(), admin: admin_address };
    tracing::info!(proxy = ?ready.proxy, admin = %ready.admin, cores, "ready");
    on_ready(&ready);

    stop_signals.wait().await;
    draining.cancel();
    drain(data_plane, &approvals, drain_timeout, &mut stop_signals).await;
    stop.cancel();
    tracker.close();
    // Reviewers' connections have no say in when this ends.
    let _ = tokio::time::timeout(ADMIN_STOPS_WITHIN, tracker.wait()).await;
    approvals.stop().await;
    let closed = tokio::task::spawn_blocking(move || writer.close()).await;
    closed.map_err(|_| std::io::Error::other("the thread that closes the audit log has panicked"))??;
    tracing::info!("stopped");
    Ok(())
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

fn open_log(
    config: &Config,
    instance: &str,
    clock: &Clock,
    registry: &Registry,
) -> Result<(Log, audit::Writer), ServerError> {
    let key = config.audit.key.path();
    let fresh = !key.exists() && !config.audit.path.join("checkpoint").exists();
    let key = if fresh { SigningKey::generate_file(key)? } else { SigningKey::load(key)? };
    let settings = audit::Settings::new(&config.audit.path, config.audit.origin.as_str(), instance);
    let (log, writer) = Log::open(settings, key, clock.clone(), audit::Metrics::new(registry)?)?;
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

const LOOK_EVERY: Duration = Duration::from_millis(20);
const ADMIN_STOPS_WITHIN: Duration = Duration::from_secs(2);
