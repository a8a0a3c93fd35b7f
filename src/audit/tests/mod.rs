//! The room as a whole: real files, real threads.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use prometheus::Registry;

use crate::model::Clock;
use crate::model::EventId;
use crate::model::IdSource;
use crate::model::Timestamp;

use super::*;

mod crash;
mod failure;
mod life;
mod proof;
mod story;
mod tamper;

/// A directory for a log, a key, and what else opening takes.
struct Bench {
    dir: tempfile::TempDir,
    key: SigningKey,
    ids: IdSource,
    registry: Registry,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::generate_file(&dir.path().join("audit.key")).unwrap();
        Self { dir, key, ids: IdSource::new([3; 10]), registry: Registry::new() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn settings(&self) -> Settings {
        Settings::new(self.path(), "holdpoint.example/node-1", "node-1")
    }

    fn open_with(&self, settings: Settings) -> Result<(Log, Writer), OpenError> {
        let metrics = Metrics::new(&self.registry).or_else(|_| Metrics::new(&Registry::new())).unwrap();
        Log::open(settings, self.key.clone(), clock(), metrics)
    }

    fn open(&self) -> Result<(Log, Writer), OpenError> {
        self.open_with(self.settings())
    }

    fn vkey(&self) -> String {
        Vkey::new("holdpoint.example/node-1", self.key.public()).unwrap().to_string()
    }

    fn verify(&self) -> Report {
        verify(&self.path(), Some(&self.vkey()), None).unwrap()
    }

    /// A leaf that says `number`.
    fn leaf(&self, number: u64) -> Leaf {
        self.sealed(EventKind::RequestAllowed, Fields::new().with("number", number))
    }

    /// A leaf about no approval.
    fn sealed(&self, kind: EventKind, data: Fields<'_>) -> Leaf {
        self.event(kind, data).seal("node-1", || [0; 16]).unwrap()
    }

    fn event<'a>(&self, kind: EventKind, data: Fields<'a>) -> Event<'a> {
        let time = clock().now();
        Event {
            id: EventId::new(&self.ids, time),
            time,
            kind,
            subject: None,
            prev: None,
            policy: None,
            actor: Actor::Principal { id: "deploy-bot".into() },
            data,
            private: Vec::new(),
        }
    }

    fn entries(&self) -> Vec<String> {
        entries(&self.path(), Start::Index(0))
    }
}

fn entries(path: &Path, start: Start) -> Vec<String> {
    tail(path, start).unwrap().map(|entry| String::from_utf8(entry.unwrap().1).unwrap()).collect()
}

/// The numbers that the leaves of a log say, in their order.
fn numbers(path: &Path) -> Vec<u64> {
    let leaves = entries(path, Start::Index(0));
    let values = leaves.iter().map(|leaf| serde_json::from_str::<serde_json::Value>(leaf).unwrap());
    values.filter_map(|leaf| leaf["data"]["number"].as_u64()).collect()
}

fn kinds(path: &Path) -> Vec<String> {
    let leaves = entries(path, Start::Index(0));
    let values = leaves.iter().map(|leaf| serde_json::from_str::<serde_json::Value>(leaf).unwrap());
    values.map(|leaf| leaf["type"].as_str().unwrap().to_owned()).collect()
}

/// A clock that moves by a millisecond each time it is read.
fn clock() -> Clock {
    static NOW: AtomicI64 = AtomicI64::new(1_795_238_219_000_000);
    Clock::new(|| Timestamp::from_unix_micros(NOW.fetch_add(1_000, Ordering::Relaxed)))
}

/// Waits for something that another thread is about to bring about.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::yield_now();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Runs a future where a test needs one.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The same for a future that may wait for a time to pass.
fn wait_with_timer<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}
