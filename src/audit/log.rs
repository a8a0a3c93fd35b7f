//! The log as other rooms use it: leaves go in at any time, and come to rest on a thread of
//! their own.
//!
//! Leaves are queued and written together: at latest `flush_every` after the first one came, and
//! at once where somebody waits for durability or for room. A quarter of the queue is kept for how
//! calls ended, so that what was let through can be recorded however many others want to. When a write fails, the log is unavailable until
//! a retry succeeds, and says so to everybody: no audit, no action. Leaves that were queued stay
//! queued; leaves that somebody waited for are given back as failed and will not be written, so
//! that whoever is told "no" can rely on it and try again.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use aws_lc_rs::rand;
use parking_lot::Condvar;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::oneshot;

use crate::model::Clock;
use crate::model::EventId;
use crate::model::IdSource;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::files;
use super::files::WriteError;
use super::key::SigningKey;
use super::key::Vkey;
use super::leaf::Leaf;
use super::metrics::Metrics;
use super::open;
use super::open::OpenError;
use super::pseudonym::Pseudonyms;
use super::tail;
use super::writer::Thread;

/// Where a log is and how it behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory of the log. Nothing else may write in it.
    pub path: PathBuf,
    /// Names the log in its checkpoints: a URL without scheme, such as `holdpoint.example.com/node-1`.
    pub origin: String,
    /// Names this replica in its own leaves about the log.
    pub instance: String,
    /// The most leaves that may wait to be written, 16,384 at most: some 400 ms of 20,000 calls a
    /// second. Beyond three quarters of it, calls wait, and beyond `room_wait_max` are refused.
    pub queue_max: usize,
    /// How long a call waits at most for room in the queue (250 ms): longer than a flush takes,
    /// and shorter than callers notice.
    pub room_wait_max: Duration,
    /// The most bytes that may wait to be written (16 MiB): what a burst of long leaves may take.
    pub queue_bytes_max: usize,
    /// How long a leaf waits at most before it is written (50 ms; DESIGN 11).
    pub flush_every: Duration,
    /// How long a leaf waits at most before a checkpoint covers it (250 ms; EDGES G).
    pub checkpoint_every: Duration,
    /// How long one write may take before the log counts as unavailable (2 s; THREATS 7.3).
    pub stall_max: Duration,
    /// How long to wait after a failed write before the next attempt, doubled each time (100 ms).
    pub retry_first: Duration,
    /// How long to wait at most between two attempts (5 s).
    pub retry_max: Duration,
}

impl Settings {
    /// The usual limits.
    pub fn new(path: impl Into<PathBuf>, origin: impl Into<String>, instance: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            origin: origin.into(),
            instance: instance.into(),
            queue_max: files::BATCH_MAX,
            queue_bytes_max: 16 * 1024 * 1024,
            room_wait_max: Duration::from_millis(250),
            flush_every: Duration::from_millis(50),
            checkpoint_every: Duration::from_millis(250),
            stall_max: Duration::from_secs(2),
            retry_first: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
        }
    }
}

/// The audit log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

/// Owns the thread that writes; whoever stops the process closes it last.
#[must_use = "a log that is not closed looks as if the process had crashed"]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), CloseError>>>,
}

/// Where a leaf has come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the log, from 0.
    pub index: u64,
    /// Its leaf hash.
    pub hash: Sha256,
}

/// Why the log does not take a leaf. Whatever depends on it must not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// A write failed, and no retry has succeeded yet.
    #[error("the audit log cannot be written: {0}")]
    Failing(Arc<str>),
    /// Too much waits to be written.
    #[error("the audit log takes leaves more slowly than they come: its queue is full")]
    Full,
    /// A write takes too long.
    #[error("the audit log's disk has not answered for {0:?}")]
    Stalled(Duration),
    /// The log was closed.
    #[error("the audit log is closed, because this process is about to stop")]
    Closed,
}

impl Unavailable {
    /// Every word that [`Self::reason`] can say.
    pub const REASONS: [&'static str; 4] = ["failing", "full", "stalled", "closed"];

    /// The reason as a metric label, from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Failing(_) => "failing",
            Self::Full => "full",
            Self::Stalled(_) => "stalled",
            Self::Closed => "closed",
        }
    }

    /// What the caller is told.
    pub fn refusal(&self) -> Refusal {
        let detail = "this call cannot be recorded right now, so it was not carried out; try again later";
        Refusal::new(RefusalCode::AuditUnavailable, detail).retry_after(RETRY_AFTER)
    }
}

/// Why a log could not be closed in good order.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The last write failed.
    #[error("the audit log could not be closed in good order; {lost} leaves were not written")]
    Write {
        /// How many leaves were queued and are lost.
        lost: usize,
        /// Why.
        source: WriteError,
    },
    /// The thread that writes had stopped before.
    #[error("the audit log's thread had stopped; what was queued then is lost")]
    Stopped,
}

impl Log {
    /// Opens the log in `settings.path`, which is made if there is none, and starts its thread.
    ///
    /// # Errors
    /// [`OpenError`] if it is in use, is not this key's, is not whole, or cannot be written.
    pub fn open(
        settings: Settings,
        key: SigningKey,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<(Self, Writer), OpenError> {
        let vkey = Vkey::new(&settings.origin, key.public());
        let vkey = vkey.ok_or_else(|| OpenError::Origin(settings.origin.clone()))?;
        let opened = open::open(&settings.path, &vkey, clock.now())?;
        let path = settings.path.join("pseudonym.key");
        let pseudonyms = Pseudonyms::open(&path).map_err(|source| OpenError::Read { path, source })?;
        let mut seed = [0; 10];
        rand::fill(&mut seed).map_err(|_| OpenError::System(io::Error::other("the system gives no random numbers")))?;
        let shared = Arc::new(Shared {
            path: settings.path.clone(),
            vkey,
            pseudonyms,
            limits: Limits {
                leaves: settings.queue_max.min(files::BATCH_MAX),
                bytes: settings.queue_bytes_max,
                room_wait: settings.room_wait_max,
                stall: settings.stall_max,
            },
            metrics,
            queue: Mutex::new(Queue::default()),
            wake: Condvar::new(),
            room: Notify::new(),
            checkpoint: Mutex::new(Arc::from("")),
        });
        let mut thread = Thread::new(Arc::clone(&shared), settings, key, clock, IdSource::new(seed), opened);
        thread.begin()?;
        let name = std::thread::Builder::new().name("audit-log".into());
        let thread = name.spawn(move || thread.run()).map_err(OpenError::System)?;
        Ok((Self { shared: Arc::clone(&shared) }, Writer { shared, thread: Some(thread) }))
    }

    /// Queues `leaf`, to be durable within `flush_every`.
    ///
    /// # Errors
    /// [`Unavailable`] if the log does not take it: it will not be written.
    pub fn append(&self, leaf: Leaf) -> Result<(), Unavailable> {
        self.shared.push(Entry::Leaf { leaf, waiter: None })
    }

    /// The same, but waits for room in the queue, up to `room_wait_max`. Whoever stops waiting
    /// takes the leaf along.
    ///
    /// # Errors
    /// [`Unavailable`] if the log does not take it: it will not be written.
    pub async fn append_waiting(&self, leaf: Leaf) -> Result<(), Unavailable> {
        let mut entry = Some(Entry::Leaf { leaf, waiter: None });
        match self.shared.offer(&mut entry) {
            // Boxed, so that calls that need not wait do not carry its size.
            Err(Unavailable::Full) => Box::pin(self.shared.push_waiting(entry)).await,
            taken => taken.map_err(|unavailable| self.shared.refused(unavailable)),
        }
    }

    /// Queues a leaf that tells how something ended whose beginning is in the log. Room is kept
    /// for these.
    ///
    /// # Errors
    /// [`Unavailable`] if the log does not take it: it will not be written.
    pub fn append_ending(&self, leaf: Leaf) -> Result<(), Unavailable> {
        self.shared.push(Entry::Ending { leaf })
    }

    /// Writes `leaf` and returns once it is durable. Whoever stops waiting leaves the leaf in the
    /// queue, so it may or may not be written.
    ///
    /// # Errors
    /// [`Unavailable`] if it could not be written, and will not be. (Only if the process dies
    /// right then may it stand in the log all the same; [`Self::find`] tells.)
    pub async fn append_durably(&self, leaf: Leaf) -> Result<Receipt, Unavailable> {
        let (waiter, answer) = oneshot::channel();
        self.shared.push(Entry::Leaf { leaf, waiter: Some(waiter) })?;
        answer.await.unwrap_or(Err(Unavailable::Closed))
    }

    /// Which of `ids` are in the log, looking back until `not_before`: for outboxes that must not
    /// write an event twice. Whatever was queued before is written first.
    ///
    /// # Errors
    /// [`Unavailable`] if that fails, or the log cannot be read.
    pub async fn find(&self, ids: HashSet<EventId>, not_before: Timestamp) -> Result<HashSet<EventId>, Unavailable> {
        let (waiter, answer) = oneshot::channel();
        self.shared.push(Entry::Barrier(waiter))?;
        answer.await.unwrap_or(Err(Unavailable::Closed))?;
        let path = self.shared.path.clone();
        let found = tokio::task::spawn_blocking(move || tail::find(&path, &ids, not_before)).await;
        match found {
            Ok(found) => found.map_err(|error| Unavailable::Failing(error.to_string().into())),
            Err(_) => Err(Unavailable::Failing("its entries could not be searched".into())),
        }
    }

    /// Whether the log takes leaves.
    ///
    /// # Errors
    /// Why not.
    pub fn healthy(&self) -> Result<(), String> {
        let queue = self.shared.queue.lock();
        queue.open(&self.shared.limits).map_err(|unavailable| unavailable.to_string())
    }

    /// The latest signed checkpoint.
    pub fn checkpoint(&self) -> Option<String> {
        let note = self.shared.checkpoint.lock();
        (!note.is_empty()).then(|| note.to_string())
    }

    /// The folder that it is in.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The text that verifies the log's checkpoints: pin it somewhere else.
    pub fn vkey(&self) -> String {
        self.shared.vkey.to_string()
    }

    /// The opaque name of a person: `prs_…`, the same for the same name for as long as the log's
    /// secret is kept. Give it the one name that aliases of a person come down to.
    pub fn pseudonym(&self, person: &str) -> String {
        self.shared.pseudonyms.of(person)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({})", self.shared.vkey)
    }
}

impl Writer {
    /// Writes what is queued, records that the log is closed, signs a last checkpoint and ends the
    /// thread. From then on every append is refused. Blocks while it writes.
    ///
    /// # Errors
    /// [`CloseError`] if not everything could be written.
    pub fn close(mut self) -> Result<(), CloseError> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), CloseError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.shared.queue.lock().closing = true;
        self.shared.wake.notify_one();
        thread.join().unwrap_or(Err(CloseError::Stopped))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "the audit log was not closed in good order");
        }
    }
}

/// What the handles and the thread share.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) vkey: Vkey,
    pseudonyms: Pseudonyms,
    limits: Limits,
    pub(super) metrics: Metrics,
    pub(super) queue: Mutex<Queue>,
    /// Wakes the thread: something came into an empty queue, somebody waits, or it is to close.
    pub(super) wake: Condvar,
    /// Wakes whoever waits for room in the queue.
    pub(super) room: Notify,
    pub(super) checkpoint: Mutex<Arc<str>>,
}

struct Limits {
    leaves: usize,
    bytes: usize,
    room_wait: Duration,
    stall: Duration,
}

/// What waits to be written, and whether anything may come.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) entries: Vec<Entry>,
    pub(super) bytes: usize,
    /// Somebody waits.
    pub(super) urgent: bool,
    pub(super) closing: bool,
    /// Since when the thread has been writing.
    pub(super) writing: Option<Instant>,
    pub(super) failing: Option<Arc<str>>,
}

/// Tells whoever waits how it went.
pub(super) type Waiter = oneshot::Sender<Result<Receipt, Unavailable>>;

/// One thing that waits to be written.
pub(super) enum Entry {
    /// A leaf.
    Leaf { leaf: Leaf, waiter: Option<Waiter> },
    /// A leaf that room was kept for.
    Ending { leaf: Leaf },
    /// Nothing: somebody wants all that came before to be durable.
    Barrier(oneshot::Sender<Result<(), Unavailable>>),
}

impl Shared {
    fn push(&self, entry: Entry) -> Result<(), Unavailable> {
        self.offer(&mut Some(entry)).map_err(|unavailable| self.refused(unavailable))
    }

    async fn push_waiting(&self, mut entry: Option<Entry>) -> Result<(), Unavailable> {
        self.metrics.waited();
        let taken = tokio::time::timeout(self.limits.room_wait, async {
            loop {
                // Listening first: room that is made after we asked must not go unnoticed.
                let mut room = pin!(self.room.notified());
                room.as_mut().enable();
                match self.offer(&mut entry) {
                    Err(Unavailable::Full) => room.await,
                    taken => return taken,
                }
            }
        });
        taken.await.unwrap_or(Err(Unavailable::Full)).map_err(|unavailable| self.refused(unavailable))
    }

    /// Counts why a leaf was not taken.
    fn refused(&self, unavailable: Unavailable) -> Unavailable {
        self.metrics.refused(&unavailable);
        unavailable
    }

    /// Takes the entry out of `offered` and queues it, or leaves it there.
    fn offer(&self, offered: &mut Option<Entry>) -> Result<(), Unavailable> {
        let Some(entry) = offered else { return Ok(()) };
        let mut queue = self.queue.lock();
        queue.open(&self.limits)?;
        let full = !queue.has_room(entry, &self.limits);
        // A full queue is written at once, and so is what somebody waits for. Otherwise the thread
        // needs waking only for what changes when it has to move next.
        let urgent = full || matches!(entry, Entry::Leaf { waiter: Some(_), .. } | Entry::Barrier(_));
        let wake = queue.entries.is_empty() || (urgent && !queue.urgent);
        queue.urgent |= urgent;
        if !full {
            queue.bytes += entry.bytes();
            queue.entries.extend(offered.take());
        }
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
        if full { Err(Unavailable::Full) } else { Ok(()) }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Leaf { leaf, .. } | Self::Ending { leaf } => leaf.bytes().len(),
            Self::Barrier(_) => 0,
        }
    }
}

impl Queue {
    fn open(&self, limits: &Limits) -> Result<(), Unavailable> {
        if let Some(cause) = &self.failing {
            return Err(Unavailable::Failing(Arc::clone(cause)));
        }
        if self.closing {
            return Err(Unavailable::Closed);
        }
        match self.writing.map(|since| since.elapsed()) {
            Some(elapsed) if elapsed > limits.stall => Err(Unavailable::Stalled(elapsed)),
            _ => Ok(()),
        }
    }

    fn has_room(&self, entry: &Entry, limits: &Limits) -> bool {
        let share = |limit: usize| match entry {
            Entry::Ending { .. } => limit,
            Entry::Leaf { .. } | Entry::Barrier(_) => limit - limit / ENDINGS_PART,
        };
        self.entries.len() < share(limits.leaves) && self.bytes + entry.bytes() <= share(limits.bytes)
    }
}

/// The part of the queue that is kept for how calls ended: a quarter.
const ENDINGS_PART: usize = 4;
/// A disk that is full is seldom free again sooner.
const RETRY_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_does_not_answer_makes_the_log_unavailable() {
        let limits = Limits { leaves: 9, bytes: 9, room_wait: Duration::ZERO, stall: Duration::from_secs(2) };
        let writing = |ago| Queue { writing: Instant::now().checked_sub(Duration::from_secs(ago)), ..Queue::default() };
        assert_eq!(writing(1).open(&limits), Ok(()));
        assert!(matches!(writing(3).open(&limits), Err(Unavailable::Stalled(_))));
    }

    #[test]
    fn room_is_kept_for_how_calls_ended() {
        let leaf = || Leaf::restore(br#"{"id":"evt_01a1fc894d7371018101010101010101"}"#, Vec::new()).unwrap();
        let limits = Limits { leaves: 8, bytes: 1_000, room_wait: Duration::ZERO, stall: Duration::ZERO };
        let mut queue = Queue::default();
        let room = |queue: &Queue| {
            let entries = [Entry::Leaf { leaf: leaf(), waiter: None }, Entry::Ending { leaf: leaf() }];
            entries.map(|entry| queue.has_room(&entry, &limits))
        };
        for _ in 0..6 {
            assert_eq!(room(&queue), [true, true]);
            queue.entries.push(Entry::Leaf { leaf: leaf(), waiter: None });
        }
        for _ in 6..8 {
            assert_eq!(room(&queue), [false, true]);
            queue.entries.push(Entry::Ending { leaf: leaf() });
        }
        assert_eq!(room(&queue), [false, false]);
        queue.entries.clear();
        for (bytes, expected) in [(0, [true, true]), (749, [false, true]), (999, [false, false])] {
            queue.bytes = bytes;
            assert_eq!(room(&queue), expected, "{bytes}");
        }
    }
}
