//! From the store to the audit log, and only then to those who wait: no audit, no action.
//!
//! One task takes every stored event in order, makes it durable in the log, and lets it have its
//! effects. While the log cannot be written nothing has effects, and nothing is lost: what is
//! stored waits here, and what a crash leaves behind is found by [`replay`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::audit::Log;
use crate::audit::Unavailable;
use crate::model::EventId;

use super::error::ApprovalError;
use super::hub::Hub;
use super::metrics::Metrics;
use super::store::Entry;
use super::store::Notice;
use super::store::Store;

pub(super) struct Publisher {
    pub(super) store: Arc<dyn Store>,
    pub(super) log: Log,
    pub(super) hub: Arc<Hub>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) notices: broadcast::Sender<Notice>,
    pub(super) progress: watch::Sender<Progress>,
    /// Cancelled once nothing more will come.
    pub(super) finish: CancellationToken,
}

/// How far the log has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Every event up to this one is in the log, and has had its effects.
    pub(super) seq: u64,
    /// Why the next one is not, if the log says no.
    pub(super) failing: Option<String>,
}

impl Progress {
    pub(super) fn until(seq: u64) -> Self {
        Self { seq, failing: None }
    }
}

impl Publisher {
    /// Runs until there is nothing more to come and all it got is published, or the log is closed.
    pub(super) async fn run(self, mut entries: mpsc::UnboundedReceiver<Vec<Entry>>) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                count = entries.recv_many(&mut batch, BATCHES_MAX) => if count == 0 { return },
                () = self.finish.cancelled() => return,
            }
            let entries: Vec<Entry> = batch.drain(..).flatten().collect();
            if !self.write(&entries).await {
                tracing::warn!("events of approvals are not in the audit log yet; the next start writes them");
                return;
            }
            self.publish(entries);
        }
    }

    /// Lets events that are in the log have their effects.
    fn publish(&self, entries: Vec<Entry>) {
        let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
        let last = seqs.last().copied();
        // Not waited for: until it is done, a crash means that `replay` finds them in the log.
        drop(self.store.mark_logged(seqs));
        for entry in &entries {
            if let Some(approval) = &entry.approval {
                self.hub.tell(approval);
                self.metrics.happened(&entry.event.kind, approval);
            }
        }
        if let Some(last) = last {
            self.progress.send_replace(Progress::until(last));
        }
        // Last: whoever hears of an event can read it.
        for Entry { seq, event, id, .. } in entries {
            // Nobody may be watching.
            let _ = self.notices.send(Notice { seq, kind: event.kind, approval: id, at: event.at });
        }
    }

    /// Writes all of `entries`, however long the log is away. Whether it could: not if the process
    /// stops meanwhile.
    async fn write(&self, entries: &[Entry]) -> bool {
        let mut written = 0;
        while let Err((count, error)) = append(&self.log, entries.get(written..).unwrap_or_default()).await {
            written += count;
            if error == Unavailable::Closed {
                return false;
            }
            let waiting = entries.len() - written;
            if self.progress.borrow().failing.is_none() {
                tracing::error!(%error, waiting, "approvals wait for the audit log");
            }
            self.progress.send_modify(|progress| progress.failing = Some(error.to_string()));
            tokio::select! {
                // The log mends itself in its own time, and says so only to who asks.
                () = tokio::time::sleep(RETRY_EVERY) => {}
                () = self.finish.cancelled() => return false,
            }
        }
        true
    }
}

/// Queues all but the last, and waits for the last: then all of them are on disk. Answers with how
/// many were taken, should one not be.
async fn append(log: &Log, entries: &[Entry]) -> Result<(), (usize, Unavailable)> {
    let Some((last, others)) = entries.split_last() else { return Ok(()) };
    for (index, entry) in others.iter().enumerate() {
        log.append(entry.event.leaf.clone()).map_err(|error| (index, error))?;
    }
    log.append_durably(last.event.leaf.clone()).await.map(drop).map_err(|error| (others.len(), error))
}

/// After a start: writes those events that were stored and did not reach the log.
///
/// # Errors
/// If the store or the log cannot be used.
pub(super) async fn replay(store: &dyn Store, log: &Log) -> Result<usize, ApprovalError> {
    let mut replayed = 0;
    loop {
        let entries = store.unlogged().await?;
        let Some(oldest) = entries.iter().map(|entry| entry.event.at).min() else { return Ok(replayed) };
        let ids: HashSet<EventId> = entries.iter().map(|entry| entry.event.leaf.id()).collect();
        let there = log.find(ids, oldest).await?;
        let missing: Vec<Entry> =
            entries.iter().filter(|entry| !there.contains(&entry.event.leaf.id())).cloned().collect();
        append(log, &missing).await.map_err(|(_, error)| error)?;
        replayed += missing.len();
        store.mark_logged(entries.iter().map(|entry| entry.seq).collect()).await?;
    }
}

/// Transactions whose events are written with one flush of the log.
const BATCHES_MAX: usize = 256;

/// How often a log that cannot be written is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(250);
