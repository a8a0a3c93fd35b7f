//! The one thread that writes. Whatever waits when it comes round goes into one transaction.

use std::fs::File;
use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::approval::error::ApprovalError;

use super::super::Answer;
use super::super::Entry;
use super::super::OnStored;

/// Hands work to the thread that writes.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Works inside the transaction, if there is one, then hears whether it was committed.
type Job = Box<dyn FnOnce(Result<&Connection, ApprovalError>) -> Finish + Send>;

/// Tells whoever waits, and answers with the events that are on disk.
type Finish = Box<dyn FnOnce(Result<(), ApprovalError>) -> Vec<Entry>>;

impl Writer {
    pub(super) fn start(connection: Connection, lock: File, on_stored: OnStored) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(JOBS_MAX);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            while let Ok(first) = queue.recv() {
                let batch = std::iter::once(first).chain(queue.try_iter().take(BATCH_MAX - 1)).collect();
                let stored = commit(&connection, batch);
                if !stored.is_empty() {
                    on_stored(stored);
                }
            }
            // Closed before anybody else may open it.
            drop(connection);
            drop(lock);
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` in a transaction and answers once it is on disk. An error of `work` undoes what
    /// it did and nothing else.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<(T, Vec<Entry>), ApprovalError> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let done = connection.and_then(|connection| within_savepoint(connection, work));
            Box::new(move |committed: Result<(), ApprovalError>| {
                // The first error is the one that says why.
                let (result, entries) = match done.and_then(|done| committed.map(|()| done)) {
                    Ok((value, entries)) => (Ok(value), entries),
                    Err(error) => (Err(error), Vec::new()),
                };
                // Nobody listens any more: the caller has hung up meanwhile.
                let _ = reply.send(result);
                entries
            })
        });
        let sent = match &self.jobs {
            None => Err(ended()),
            Some(jobs) => jobs.try_send(job).map_err(|error| match error {
                mpsc::TrySendError::Full(_) => ApprovalError::Store(format!("{JOBS_MAX} changes wait already")),
                mpsc::TrySendError::Disconnected(_) => ended(),
            }),
        };
        Box::pin(async move {
            sent?;
            answer.await.map_err(|_| ended())?
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let Some(thread) = self.thread.take() else { return };
        // A change may hold the last handle to the store, and then it is dropped on the thread itself.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread that writes the store had stopped; see the error before");
        }
    }
}

fn within_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, ApprovalError>,
) -> Result<T, ApprovalError> {
    connection.execute_batch("SAVEPOINT job").map_err(failed)?;
    let done = work(connection).and_then(|value| {
        connection.execute_batch("RELEASE job").map_err(failed)?;
        Ok(value)
    });
    if done.is_err() && connection.execute_batch("ROLLBACK TO job; RELEASE job").is_err() {
        // Half of the work may stand, so none of the transaction may. Some errors of SQLite, such
        // as a full disk, have ended it already.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}

/// Answers with the events that are now on disk, in order.
fn commit(connection: &Connection, batch: Vec<Job>) -> Vec<Entry> {
    let begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(failed);
    let mut finishers = Vec::with_capacity(batch.len());
    for job in batch {
        // Outside of a transaction, a savepoint would be one of its own and count at once.
        let inside = begun.clone().and_then(|()| within(connection));
        finishers.push(job(inside));
    }
    let committed = begun.and_then(|()| within(connection)?.execute_batch("COMMIT").map_err(failed));
    if let Err(error) = &committed {
        tracing::error!(%error, "the store cannot be written; nothing of this transaction counts");
        // Whether SQLite has rolled back by itself depends on the error; a second time does no harm.
        let _ = connection.execute_batch("ROLLBACK");
    }
    finishers.into_iter().flat_map(|finish| finish(committed.clone())).collect()
}

/// The connection, if it is still in the transaction.
fn within(connection: &Connection) -> Result<&Connection, ApprovalError> {
    if connection.is_autocommit() {
        return Err(ApprovalError::Store("another change of the same transaction has undone it".to_owned()));
    }
    Ok(connection)
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
fn failed(error: rusqlite::Error) -> ApprovalError {
    ApprovalError::Store(format!("SQLite says: {error}"))
}

fn ended() -> ApprovalError {
    ApprovalError::Store("its thread has ended".to_owned())
}

/// Changes that may wait. A drain of 10,000 held calls fits.
const JOBS_MAX: usize = 16_384;

/// Changes in one transaction: enough to make the flush cheap, few enough to answer soon.
const BATCH_MAX: usize = 256;
