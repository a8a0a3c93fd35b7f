//! Reloads: on SIGHUP and when a file of the configuration changes. All or nothing: on any error
//! what was there stays.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::RecursiveMode;
use notify::Watcher;
use prometheus::IntCounterVec;
use prometheus::Opts;
use prometheus::Registry;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::approval::Approvals;
use crate::audit::Actor;
use crate::audit::Event;
use crate::audit::EventKind;
use crate::audit::Fields;
use crate::audit::Log;
use crate::config;
use crate::config::Config;
use crate::gate::Gate;
use crate::identity::ReviewerTokens;
use crate::identity::Trusted;
use crate::identity::oidc::Provider;
use crate::model::Clock;
use crate::model::EventId;
use crate::model::IdSource;
use crate::model::PolicyDigest;
use crate::proxy::Shared;
use crate::proxy::TlsTable;
use crate::review::SignIn;

use super::build;
use super::build::Loaded;
use super::build::Upstreams;
use super::bundles;
use super::bundles::Bundles;
use super::error::ServerError;
use super::run::Source;
use super::systemd;

/// What a reload replaces.
pub(super) struct Reload {
    pub(super) source: Source,
    pub(super) cores: usize,
    pub(super) upstreams: Upstreams,
    pub(super) bundles: Bundles,
    pub(super) bundle_metrics: bundles::Metrics,
    /// The bundle that the configuration in force names.
    pub(super) bundle: Option<config::Bundle>,
    pub(super) shared: Arc<Shared>,
    pub(super) gate: Arc<Gate>,
    pub(super) approvals: Approvals,
    pub(super) tokens: Arc<ArcSwap<ReviewerTokens>>,
    pub(super) sign_in: SignIn,
    pub(super) tls: Vec<Option<Arc<ArcSwap<TlsTable>>>>,
    pub(super) admin_tls: Option<Arc<ArcSwap<TlsTable>>>,
    pub(super) metrics: Metrics,
    pub(super) journal: Journal,
}

/// How often reloads succeed and fail.
pub(super) struct Metrics {
    reloads: IntCounterVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let reloads = Opts::new("holdpoint_config_reloads_total", "Reloads of the configuration, by result.");
        let reloads = IntCounterVec::new(reloads, &["result"])?;
        registry.register(Box::new(reloads.clone()))?;
        for result in ["success", "failure"] {
            reloads.with_label_values(&[result]);
        }
        Ok(Self { reloads })
    }
}

/// Writes into the audit log which policies and configurations came into force.
pub(super) struct Journal {
    pub(super) log: Log,
    pub(super) clock: Clock,
    pub(super) ids: Arc<IdSource>,
    pub(super) instance: String,
}

impl Journal {
    /// Records that `policy` is in force from now on.
    pub(super) fn policy_loaded(&self, policy: PolicyDigest) {
        self.record(EventKind::PolicyLoaded, policy, Fields::new());
    }

    /// Records that another configuration is in force from now on.
    pub(super) fn config_changed(&self, policy: PolicyDigest, file: &Path) {
        let file = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.record(EventKind::ConfigChanged, policy, Fields::new().with("file", file));
    }

    fn record(&self, kind: EventKind, policy: PolicyDigest, data: Fields<'_>) {
        let now = self.clock.now();
        let event = Event {
            id: EventId::new(&self.ids, now),
            time: now,
            kind,
            subject: None,
            prev: None,
            policy: Some(policy),
            actor: Actor::System,
            data,
            private: Vec::new(),
        };
        // Nothing of it is private, so there is nothing to salt.
        let recorded = event.seal(&self.instance, || [0; 16]).map_err(|error| error.to_string());
        if let Err(error) = recorded.and_then(|leaf| self.log.append(leaf).map_err(|error| error.to_string())) {
            tracing::error!(error, kind = kind.as_str(), "a change is not in the audit log");
        }
    }
}

/// What calls for a reload. It is listened to before anybody is told that the server is ready: an
/// earlier SIGHUP would end the process, and an earlier change would not be noticed.
pub(super) struct Reasons {
    watch: Watch,
    changes: mpsc::Receiver<()>,
    hangup: Signal,
}

impl Reasons {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system's, if signals cannot be heard.
    pub(super) fn new(config: &Config) -> std::io::Result<Self> {
        let (changed, changes) = mpsc::channel(1);
        let mut watch = Watch::new(changed);
        watch.files(&build::watched(config));
        Ok(Self { watch, changes, hangup: signal(SignalKind::hangup())? })
    }
}

impl Reload {
    /// Waits for reasons to reload, until `stop`.
    pub(super) async fn run(mut self, reasons: Reasons, stop: CancellationToken) {
        let Reasons { mut watch, mut changes, mut hangup } = reasons;
        let mut asked = Instant::now();
        loop {
            // Counted from the last question: files may change all the time.
            let pause = bundles::pause(self.bundle.as_ref());
            let due = async {
                match pause {
                    Some(pause) => tokio::time::sleep_until(asked + pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = hangup.recv() => {
                    // What is read from here on has been looked at before.
                    watch.has_changed();
                    tracing::info!("SIGHUP: reloading");
                }
                _ = changes.recv() => {
                    // Editors write in several steps; wait until they are quiet, but not for ever:
                    // neighbours of these files may change all the time.
                    let quiet = async { while tokio::time::timeout(QUIET, changes.recv()).await.is_ok() {} };
                    let _ = tokio::time::timeout(QUIET_WITHIN, quiet).await;
                    if !watch.has_changed() {
                        continue;
                    }
                    tracing::info!("a file of the configuration has changed: reloading");
                }
                () = due => {
                    asked = Instant::now();
                    if !self.poll().await {
                        continue;
                    }
                    tracing::info!("the server has another bundle: reloading");
                }
                () = stop.cancelled() => return,
            }
            systemd::reloading();
            match self.reload() {
                Ok(config) => {
                    self.metrics.reloads.with_label_values(&["success"]).inc();
                    watch.files(&build::watched(&config));
                }
                Err(error) => {
                    self.metrics.reloads.with_label_values(&["failure"]).inc();
                    let error = anyhow::Error::from(error);
                    tracing::error!(error = format!("{error:#}"), "the reload has no effect; what was in force stays");
                }
            }
            systemd::ready();
        }
    }

    /// Asks for another bundle. True if there is one to be loaded.
    async fn poll(&self) -> bool {
        let Some(bundle) = &self.bundle else { return false };
        match self.bundles.poll(bundle).await {
            Ok(is_new) => {
                self.bundle_metrics.polled(if is_new { "updated" } else { "unchanged" });
                is_new
            }
            Err(error) => {
                self.bundle_metrics.polled("failure");
                let error = anyhow::Error::from(error);
                tracing::error!(error = format!("{error:#}"), "no other bundle can be had; the one in force stays");
                false
            }
        }
    }

    fn reload(&mut self) -> Result<Config, ServerError> {
        let loaded = self.load();
        self.bundles.settle(loaded.is_ok());
        let (config, loaded) = loaded?;
        self.bundle_metrics.in_force(loaded.policy.digest(), loaded.revision.as_deref());
        self.bundle.clone_from(&config.policy.bundle);
        for upstream in build::shadow_upstreams(&config) {
            tracing::warn!(upstream = %upstream.name,
                "calls of this upstream pass although the policy denies or holds them: it is in shadow mode");
        }
        let policy = loaded.policy.digest();
        let policy_changed = policy != self.gate.policy().digest();
        let clock = &self.journal.clock;
        let valid_for = loaded.groups_valid_for;
        let trusted = loaded.oidc.clone().map(|settings| Trusted { settings, valid_for });
        let provider = loaded.oidc.map(|oidc| Provider::new(oidc, clock.clone())).transpose()?;
        self.approvals.reconfigure(loaded.approvals);
        self.sign_in.directory.configure(loaded.people, trusted, clock.now());
        self.sign_in.provider.store(provider.map(Arc::new));
        self.gate.reconfigure(loaded.policy, loaded.gate);
        self.shared.snapshot.store(Arc::new(loaded.snapshot));
        self.tokens.store(Arc::new(loaded.tokens));
        for (table, new) in self.tls.iter().zip(loaded.tls) {
            replace(table.as_ref(), new);
        }
        replace(self.admin_tls.as_ref(), loaded.admin_tls);
        if policy_changed {
            self.journal.policy_loaded(policy);
        }
        self.journal.config_changed(policy, config.file());
        tracing::info!(policy = %policy, "reloaded; addresses, threads and connection limits change at the next start only");
        Ok(config)
    }
}

impl Reload {
    fn load(&mut self) -> Result<(Config, Loaded), ServerError> {
        let config = (self.source)().map_err(ServerError::Config)?;
        let metrics = &self.shared.metrics;
        let loaded = build::load_with(&config, self.cores, metrics, &mut self.upstreams, &self.bundles)?;
        Ok((config, loaded))
    }
}

fn replace(table: Option<&Arc<ArcSwap<TlsTable>>>, new: Option<TlsTable>) {
    if let (Some(table), Some(new)) = (table, new) {
        table.store(Arc::new(new));
    }
}

/// Watches the folders of files: editors and ConfigMaps replace files, and whoever watches only
/// the file watches the old one from then on.
struct Watch {
    watcher: Option<notify::RecommendedWatcher>,
    changed: mpsc::Sender<()>,
    folders: BTreeSet<PathBuf>,
    /// The files, each as it was at the last look, which was before it was read.
    seen: BTreeMap<PathBuf, u64>,
}

impl Watch {
    fn new(changed: mpsc::Sender<()>) -> Self {
        let teller = changed.clone();
        let told = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // Full means that a reload is due already.
                let _ = teller.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(told).inspect_err(|error| {
            tracing::warn!(%error, "files cannot be watched; send SIGHUP to reload");
        });
        Self { watcher: watcher.ok(), changed, folders: BTreeSet::new(), seen: BTreeMap::new() }
    }

    /// Watches `files` from now on. Those that were watched before are not looked at again: they
    /// may have changed since they were read, and that change is still to be noticed.
    fn files(&mut self, files: &[PathBuf]) {
        let seen = |file: &PathBuf| self.seen.get(file).copied().unwrap_or_else(|| fingerprint(file));
        self.seen = files.iter().map(|file| (file.clone(), seen(file))).collect();
        let folders: BTreeSet<PathBuf> = files.iter().flat_map(|file| folders(file)).collect();
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.folders.difference(&folders) {
            // It may not exist any more.
            let _ = watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, folder = %new.display(), "a folder cannot be watched; send SIGHUP to reload");
            }
            // Whatever happened there before it was watched.
            let _ = self.changed.try_send(());
        }
        self.folders = folders;
    }

    /// Whether any of the files is another one than at the last look. Audit log and store may be
    /// neighbours of the configuration, and they change all the time.
    fn has_changed(&mut self) -> bool {
        let now: BTreeMap<_, _> = self.seen.keys().map(|file| (file.clone(), fingerprint(file))).collect();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

/// What tells a file, or all files in a folder, from how they were.
fn fingerprint(file: &Path) -> u64 {
    use std::hash::Hash;
    use std::hash::Hasher;
    use std::os::unix::fs::MetadataExt;
    let mut hasher = std::hash::DefaultHasher::new();
    for path in contents(file) {
        let facts = std::fs::metadata(&path).ok();
        // Two changes within one tick of the clock differ in the inode, where files are replaced.
        (&path, facts.as_ref().map(|facts| (facts.len(), facts.ino()))).hash(&mut hasher);
        facts.and_then(|facts| facts.modified().ok()).hash(&mut hasher);
    }
    hasher.finish()
}

/// A folder of policies and all folders in it, or the folder of a file.
fn folders(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return path.parent().map(Path::to_owned).into_iter().collect();
    }
    let inner = contents(path).into_iter().filter(|path| path.is_dir());
    std::iter::once(path.to_owned()).chain(inner).collect()
}

/// A file, or all files and folders in a folder.
fn contents(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() && found.len() < FILES_MAX {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path()));
        }
        found.push(path);
    }
    found.sort();
    found
}

/// How long nothing must change before a reload.
const QUIET: Duration = Duration::from_millis(300);

/// After which time there is a reload in any case.
const QUIET_WITHIN: Duration = Duration::from_secs(2);

/// Files that are looked at after a change.
const FILES_MAX: usize = 10_000;
