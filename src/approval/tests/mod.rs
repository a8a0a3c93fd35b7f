//! The room as a whole: a real store, a real audit log, and a clock that the tests set.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus::Registry;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tokio::sync::mpsc;

use crate::audit;
use crate::audit::Log;
use crate::audit::Report;
use crate::audit::SigningKey;
use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::Call;
use crate::model::Clock;
use crate::model::HoldObligations;
use crate::model::IdSource;
use crate::model::OnDisconnect;

use super::fixtures;
use super::fixtures::Ids;
use super::fixtures::at;
use super::fixtures::people;
use super::fixtures::person;
use super::store::Embedded;
use super::store::Entry;
use super::store::Notice;
use super::store::Query;
use super::store::Store;
use super::*;

mod bodies;
mod crash;
mod forged;
mod holding;
mod outage;
mod running;
mod timing;

const GROUPS: &str = "owners: ana bo olga@example.com; security: bo cy";

/// Where a deployment keeps its files, and its clock. Processes come and go.
struct Bench {
    dir: TempDir,
    key: SigningKey,
    seconds: Arc<AtomicI64>,
    ids: Arc<Ids>,
    processes: u8,
}

/// One process of it, from start to stop or crash.
struct Process {
    runtime: Runtime,
    approvals: Approvals,
    store: Arc<dyn Store>,
    registry: Registry,
    events: broadcast::Receiver<Notice>,
    /// Hears of what was stored while the way to the log is cut.
    cut_off: mpsc::UnboundedReceiver<Vec<Entry>>,
    cut: Arc<AtomicBool>,
    log: Log,
    writer: audit::Writer,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::generate_file(&dir.path().join("audit.key")).unwrap();
        Self { dir, key, seconds: Arc::new(AtomicI64::new(0)), ids: Arc::new(Ids::new()), processes: 0 }
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn set_clock(&self, seconds: i64) {
        self.seconds.store(seconds, Ordering::SeqCst);
    }

    fn start(&mut self) -> Process {
        self.start_with(fixtures::settings())
    }

    fn start_with(&mut self, settings: Settings) -> Process {
        self.processes += 1;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let registry = Registry::new();
        let seconds = Arc::clone(&self.seconds);
        let clock = Clock::new(move || at(seconds.load(Ordering::SeqCst)));
        let log = audit::Settings {
            retry_first: Duration::from_millis(1),
            retry_max: Duration::from_millis(4),
            ..audit::Settings::new(self.log_path(), "holdpoint.example/node-1", "node-1")
        };
        let metrics = audit::Metrics::new(&registry).unwrap();
        let (log, writer) = Log::open(log, self.key.clone(), clock.clone(), metrics).unwrap();
        let (tell, stored) = mpsc::unbounded_channel();
        let (tell_cut, cut_off) = mpsc::unbounded_channel();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        let on_stored = Box::new(move |entries| {
            let way = if is_cut.load(Ordering::SeqCst) { &tell_cut } else { &tell };
            let _ = way.send(entries);
        });
        let store: Arc<dyn Store> = Arc::new(Embedded::open(&self.dir.path().join("store"), on_stored).unwrap());
        let parts = Parts {
            store: Arc::clone(&store),
            stored,
            log: log.clone(),
            key: Arc::new(self.key.clone()),
            people: Arc::new(people(GROUPS, &[("U0LGA", "olga@example.com")])),
            clock,
            ids: Arc::new(IdSource::new([self.processes; 10])),
            instance: "node-1".to_owned(),
            metrics: Metrics::new(&registry).unwrap(),
            settings,
            runtime: runtime.handle().clone(),
        };
        let approvals = runtime.block_on(Approvals::start(parts)).unwrap();
        let events = approvals.subscribe();
        Process { runtime, approvals, store, registry, events, cut_off, cut, log, writer }
    }

    fn call(&self) -> Call {
        fixtures::call(&self.ids, "deploy-bot", "export")
    }

    /// What an auditor finds, who has only the files and the key.
    fn verify(&self) -> Report {
        let vkey = fs::read_to_string(self.log_path().join("vkey")).unwrap();
        let report = audit::verify(&self.log_path(), Some(vkey.trim()), None).unwrap();
        assert!(report.ok, "{report}");
        report
    }

    /// How many events of each kind about approvals the log has.
    fn logged(&self) -> BTreeMap<&'static str, u64> {
        let events = self.verify().events;
        events.into_iter().filter(|(kind, _)| kind.starts_with("approval.")).collect()
    }

    fn sql(&self, text: &str) {
        let changed = rusqlite::Connection::open(self.dir.path().join("store/approvals.db")).unwrap();
        assert_eq!(changed.execute(text, []).unwrap(), 1, "{text}");
    }
}

impl Process {
    /// Runs this process until `work` is done, and no longer than any of it can take.
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let work = async { tokio::time::timeout(TOO_LONG, work).await.expect("it took too long") };
        self.runtime.block_on(work)
    }

    fn open(&self, call: &Call) -> Hold {
        self.wait(self.approvals.open(fixtures::new_approval(call, fixtures::obligations("owners=1")))).unwrap().held()
    }

    /// The approval that `call` comes too late for, and where that stands.
    fn repeats(&self, call: &Call) -> (ApprovalId, String) {
        let new = fixtures::new_approval(call, fixtures::obligations("owners=1"));
        match self.wait(self.approvals.open(new)).unwrap() {
            Opened::Repeats(before) => (before.id, before.state.name().to_owned()),
            Opened::Held(hold) => panic!("it waits for {}", hold.id()),
        }
    }

    fn open_under(&self, call: &Call, obligations: HoldObligations) -> Result<Hold, ApprovalError> {
        self.wait(self.approvals.open(fixtures::new_approval(call, obligations))).map(Opened::held)
    }

    fn say(&self, id: ApprovalId, name: &str, verdict: Verdict, text: Option<&str>) -> Result<Approval, ApprovalError> {
        self.wait(self.decide(id, name, verdict, text))
    }

    async fn decide(
        &self,
        id: ApprovalId,
        name: &str,
        verdict: Verdict,
        text: Option<&str>,
    ) -> Result<Approval, ApprovalError> {
        let digest = self.approvals.get(id).await?.ok_or(ApprovalError::NotFound(id))?.digest;
        let (person, reason) = (person(name), text.map(ToOwned::to_owned));
        let decide =
            Decide { id, digest, person, verdict, channel: Channel::Api, assurance: Assurance::Session, reason };
        self.approvals.decide(decide).await
    }

    fn approve(&self, id: ApprovalId) {
        self.say(id, "ana", Verdict::Approve, None).unwrap();
    }

    /// The outcome of a wait in one word.
    fn verdict(&self, hold: &mut Hold) -> String {
        match self.wait(hold.verdict(None)) {
            HoldVerdict::Approved(_) => "approved".to_owned(),
            HoldVerdict::Settled(approval) => approval.state.name().to_owned(),
            HoldVerdict::Asked(approval) => format!("asked: {}", approval.open_question().unwrap().text),
            HoldVerdict::StillPending => "still pending".to_owned(),
            HoldVerdict::Draining => "draining".to_owned(),
        }
    }

    fn get(&self, id: ApprovalId) -> Approval {
        self.wait(self.approvals.get(id)).unwrap().unwrap()
    }

    fn state(&self, id: ApprovalId) -> &'static str {
        self.get(id).state.name()
    }

    /// Waits until it is told of an event of this kind.
    fn until(&mut self, kind: &str) -> ApprovalId {
        self.until_all(&[kind])
    }

    /// Waits until it is told of an event of each kind, in whatever order. Answers with the approval
    /// that the last one was about.
    fn until_all(&mut self, kinds: &[&str]) -> ApprovalId {
        let Self { runtime, events, .. } = self;
        let mut kinds = kinds.to_vec();
        let found = async {
            loop {
                let notice = events.recv().await.unwrap();
                kinds.retain(|kind| *kind != notice.kind);
                if kinds.is_empty() {
                    return notice.approval;
                }
            }
        };
        let found = runtime.block_on(async { tokio::time::timeout(TOO_LONG, found).await.ok() });
        found.unwrap_or_else(|| panic!("no {kinds:?} came"))
    }

    /// Waits until something is stored while the way to the log is cut.
    fn until_cut_off(&mut self) -> Vec<Entry> {
        let Self { runtime, cut_off, .. } = self;
        runtime.block_on(async { tokio::time::timeout(TOO_LONG, cut_off.recv()).await.unwrap().unwrap() })
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let values = family.get_metric().iter();
        values.map(|metric| metric.get_gauge().get_value() + metric.get_counter().get_value()).sum()
    }

    /// Ends in good order.
    fn stop(self) {
        self.wait(self.approvals.stop());
        let Self { runtime, approvals, store, log, writer, .. } = self;
        drop((approvals, store, log));
        drop(runtime);
        writer.close().unwrap();
    }

    /// Ends at once: nothing that is under way goes any further, and no guard of `callers` has any
    /// effect.
    fn crash<T>(self, callers: T) {
        let Self { runtime, approvals, store, log, writer, .. } = self;
        drop(runtime);
        drop(callers);
        drop((approvals, store, log));
        writer.close().unwrap();
    }
}

/// By far longer than anything here takes, and shorter than the sweep sleeps: what only the sweep's
/// next round would mend is a failure.
const TOO_LONG: Duration = Duration::from_secs(25);
