//! The thread that writes: it sleeps until there is something to do, writes all that waits in one
//! go, signs checkpoints, and keeps trying when the disk says no.

use std::error::Error;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::model::Clock;
use crate::model::EventId;
use crate::model::IdSource;

use super::event::Actor;
use super::event::Event;
use super::event::EventKind;
use super::event::Fields;
use super::files;
use super::files::Files;
use super::files::WriteError;
use super::key::SigningKey;
use super::leaf::Leaf;
use super::log::CloseError;
use super::log::Entry;
use super::log::Receipt;
use super::log::Settings;
use super::log::Shared;
use super::log::Unavailable;
use super::note::Checkpoint;
use super::open::Found;
use super::open::OpenError;
use super::open::Opened;

/// The state of the thread.
pub(super) struct Thread {
    shared: Arc<Shared>,
    settings: Settings,
    key: SigningKey,
    clock: Clock,
    ids: IdSource,
    files: Files,
    _lock: File,
    found: Found,
    unsigned: u64,
    /// The size that the last checkpoint covers.
    covered: u64,
    /// When the first leaf that no checkpoint covers was written.
    uncovered_since: Option<Instant>,
    /// When the queue has to be written at latest.
    flush_at: Option<Instant>,
    /// Leaves that were taken and could not be written yet, oldest first.
    kept: Vec<Leaf>,
    /// How many leaves were given back to whoever waited for them, in this outage.
    given_back: u64,
    outage: Option<Outage>,
}

/// A time in which the log cannot be written.
struct Outage {
    since: Instant,
    retry_at: Instant,
    wait: Duration,
    attempts: u64,
    cause: Arc<str>,
}

/// What is to be done next.
enum Work {
    Flush,
    Checkpoint,
    Close,
}

impl Thread {
    pub(super) fn new(
        shared: Arc<Shared>,
        settings: Settings,
        key: SigningKey,
        clock: Clock,
        ids: IdSource,
        opened: Opened,
    ) -> Self {
        let Opened { files, lock, found, unsigned } = opened;
        Self {
            shared,
            settings,
            key,
            clock,
            ids,
            files,
            _lock: lock,
            found,
            unsigned,
            covered: 0,
            uncovered_since: None,
            flush_at: None,
            kept: Vec::new(),
            given_back: 0,
            outage: None,
        }
    }

    /// Records that the log was opened, and how it was found, under a first checkpoint.
    pub(super) fn begin(&mut self) -> Result<(), OpenError> {
        let data = Fields::new()
            .with("vkey", self.shared.vkey.to_string())
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("closed_before", matches!(self.found, Found::Fresh | Found::Closed))
            .with("unsigned", self.unsigned);
        let opened = self.leaf(EventKind::LogOpened, &data);
        let mut leaves = vec![opened];
        if let Found::Unclosed(Some(cut)) = &self.found {
            let data = Fields::new()
                .with("reason", "unfinished write")
                .with("bytes", cut.bytes)
                .with("sha256", cut.sha256)
                .with("disclosures", cut.disclosures);
            tracing::warn!(bytes = cut.bytes, "the audit log ended in an unfinished write, which was cut off and kept");
            leaves.push(self.leaf(EventKind::LogRecovered, &data));
        }
        self.files.append(&leaves.iter().collect::<Vec<_>>())?;
        self.sign()?;
        Ok(())
    }

    /// Works until the log is closed.
    pub(super) fn run(mut self) -> Result<(), CloseError> {
        let _alarm = Alarm(Arc::clone(&self.shared));
        loop {
            match self.wait() {
                Work::Flush => self.flush(),
                Work::Checkpoint => self.checkpoint(),
                Work::Close => return self.close(),
            }
            self.shared.queue.lock().writing = None;
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self) -> Work {
        let mut queue = self.shared.queue.lock();
        loop {
            let now = Instant::now();
            let deadline = if queue.closing {
                return Work::Close;
            } else if let Some(outage) = &self.outage {
                if outage.retry_at <= now {
                    queue.writing = Some(now);
                    return Work::Flush;
                }
                Some(outage.retry_at)
            } else {
                let waiting = !queue.entries.is_empty();
                let flush = waiting.then(|| *self.flush_at.get_or_insert(now + self.settings.flush_every));
                if queue.urgent || flush.is_some_and(|at| at <= now) {
                    queue.writing = Some(now);
                    return Work::Flush;
                }
                let checkpoint = self.uncovered_since.map(|since| since + self.settings.checkpoint_every);
                if checkpoint.is_some_and(|at| at <= now) {
                    queue.writing = Some(now);
                    return Work::Checkpoint;
                }
                flush.into_iter().chain(checkpoint).min()
            };
            match deadline {
                Some(deadline) => drop(self.shared.wake.wait_until(&mut queue, deadline)),
                None => self.shared.wake.wait(&mut queue),
            }
        }
    }

    /// Writes all that waits, or retries what could not be written.
    fn flush(&mut self) {
        let entries = self.take();
        if let Err(error) = self.write(entries) {
            self.fail(&error);
        }
    }

    fn take(&mut self) -> Vec<Entry> {
        self.flush_at = None;
        let mut queue = self.shared.queue.lock();
        queue.urgent = false;
        queue.bytes = 0;
        let entries = std::mem::take(&mut queue.entries);
        drop(queue);
        self.shared.room.notify_waiters();
        entries
    }

    /// Writes what is kept, then `entries`, and tells everybody who waits.
    fn write(&mut self, entries: Vec<Entry>) -> Result<(), WriteError> {
        let started = Instant::now();
        if self.outage.is_some() {
            self.recover()?;
        }
        let first = self.files.size();
        let leaves = entries.iter().filter_map(|entry| match entry {
            Entry::Leaf { leaf, .. } | Entry::Ending { leaf } => Some(leaf),
            Entry::Barrier(_) => None,
        });
        let leaves: Vec<&Leaf> = leaves.collect();
        let written = if leaves.is_empty() { Ok(()) } else { self.append(&leaves) };
        let answer = written.as_ref().map(drop).map_err(|error| Unavailable::Failing(chain(error).into()));
        let mut index = first;
        for entry in entries {
            match (entry, &answer) {
                (Entry::Barrier(waiter), answer) => drop(waiter.send(answer.clone())),
                (Entry::Leaf { leaf, waiter }, Ok(())) => {
                    if let Some(waiter) = waiter {
                        let _ = waiter.send(Ok(Receipt { index, hash: leaf.hash() }));
                    }
                    index += 1;
                }
                (Entry::Ending { .. }, Ok(())) => index += 1,
                (Entry::Leaf { waiter: Some(waiter), .. }, Err(unavailable)) => {
                    self.given_back += 1;
                    let _ = waiter.send(Err(unavailable.clone()));
                }
                (Entry::Leaf { leaf, waiter: None } | Entry::Ending { leaf }, Err(_)) => self.kept.push(leaf),
            }
        }
        written?;
        self.shared.metrics.appended(started.elapsed());
        self.standing();
        Ok(())
    }

    fn append(&mut self, leaves: &[&Leaf]) -> Result<(), WriteError> {
        self.files.append(leaves)?;
        self.uncovered_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Writes what was kept, and ends the outage only once both entries and checkpoints can be
    /// written again. The last leaf proves it, and records that there was a time in which the log
    /// could not be written.
    fn recover(&mut self) -> Result<(), WriteError> {
        while !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            let (batch, rest) = kept.split_at(kept.len().min(files::BATCH_MAX));
            let written = self.append(&batch.iter().collect::<Vec<_>>());
            self.kept = if written.is_ok() { rest.to_vec() } else { kept };
            written?;
        }
        self.sign()?;
        let Some(outage) = &self.outage else { return Ok(()) };
        let data = Fields::new()
            .with("reason", "writing failed")
            .with("cause", outage.cause.as_ref())
            .with("attempts", outage.attempts)
            .with("milliseconds", u64::try_from(outage.since.elapsed().as_millis()).unwrap_or(u64::MAX))
            .with("given_back", self.given_back);
        let leaf = self.leaf(EventKind::LogRecovered, &data);
        self.append(&[&leaf])?;
        tracing::info!("the audit log can be written again");
        self.outage = None;
        self.given_back = 0;
        self.shared.queue.lock().failing = None;
        Ok(())
    }

    fn checkpoint(&mut self) {
        if let Err(error) = self.sign() {
            self.fail(&error);
        }
    }

    /// Signs for everything that is durable.
    fn sign(&mut self) -> Result<(), WriteError> {
        let vkey = &self.shared.vkey;
        let size = self.files.size();
        let checkpoint = Checkpoint { origin: vkey.name().to_owned(), size, root: self.files.root_hash() };
        let note = checkpoint.sign(&self.key, vkey);
        self.files.write_checkpoint(&note)?;
        self.covered = size;
        self.uncovered_since = None;
        *self.shared.checkpoint.lock() = Arc::from(note);
        self.standing();
        Ok(())
    }

    fn standing(&self) {
        let size = self.files.size();
        self.shared.metrics.standing(size, size - self.covered + self.kept.len() as u64, self.uncovered_since);
    }

    /// From now on nobody gets anything in, until a retry succeeds.
    fn fail(&mut self, error: &WriteError) {
        let now = Instant::now();
        let cause: Arc<str> = chain(error).into();
        let mut queue = self.shared.queue.lock();
        queue.failing = Some(Arc::clone(&cause));
        let entries = std::mem::take(&mut queue.entries);
        queue.urgent = false;
        queue.bytes = 0;
        drop(queue);
        self.shared.room.notify_waiters();
        for entry in entries {
            let unavailable = Unavailable::Failing(Arc::clone(&cause));
            match entry {
                Entry::Leaf { leaf, waiter: None } | Entry::Ending { leaf } => self.kept.push(leaf),
                Entry::Leaf { waiter: Some(waiter), .. } => {
                    self.given_back += 1;
                    let _ = waiter.send(Err(unavailable));
                }
                Entry::Barrier(waiter) => drop(waiter.send(Err(unavailable))),
            }
        }
        let (first, max) = (self.settings.retry_first, self.settings.retry_max);
        let outage = self.outage.get_or_insert_with(|| {
            tracing::error!(%cause, "the audit log cannot be written; calls are refused until it can");
            Outage { since: now, retry_at: now, wait: first, attempts: 0, cause }
        });
        outage.attempts += 1;
        outage.retry_at = now + outage.wait;
        outage.wait = (outage.wait * 2).min(max);
        self.standing();
    }

    /// Writes what is left, and that this is the end.
    fn close(&mut self) -> Result<(), CloseError> {
        let entries = self.take();
        let written = self.write(entries).and_then(|()| {
            let leaf = self.leaf(EventKind::LogClosed, &Fields::new());
            self.files.append(&[&leaf])?;
            self.sign()?;
            self.files.close()
        });
        written.map_err(|source| CloseError::Write { lost: self.kept.len(), source })
    }

    /// A leaf about the log itself.
    fn leaf(&self, kind: EventKind, data: &Fields<'_>) -> Leaf {
        let time = self.clock.now();
        let event = Event {
            id: EventId::new(&self.ids, time),
            time,
            kind,
            subject: None,
            prev: None,
            policy: None,
            actor: Actor::System,
            data: data.clone(),
            private: Vec::new(),
        };
        // Nothing is private here, so no salt is drawn.
        event.seal(&self.settings.instance, || [0; 16]).expect("a few short fields fit into a leaf")
    }
}

/// The error and what is behind it, on one line.
fn chain(error: &WriteError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Says that the log is no longer written, should its thread ever end in another way than it
/// should.
struct Alarm(Arc<Shared>);

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.closing = true;
        if std::thread::panicking() {
            queue.failing = Some("its thread stopped; see the error before".into());
        }
        // Whoever still waits is told by the loss of their sender.
        queue.entries.clear();
        drop(queue);
        self.0.room.notify_waiters();
    }
}
