//! The thread that reads, beside the one that writes.

use std::io;
use std::sync::mpsc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::approval::error::ApprovalError;

use super::super::Answer;

/// Hands questions to the thread that reads.
#[derive(Debug)]
pub(super) struct Reader {
    jobs: mpsc::SyncSender<Job>,
}

type Job = Box<dyn FnOnce(&Connection) + Send>;

impl Reader {
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(JOBS_MAX);
        std::thread::Builder::new().name("store-reader".to_owned()).spawn(move || {
            for job in queue {
                job(&connection);
            }
        })?;
        Ok(Self { jobs })
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, ApprovalError> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        // Nobody listens any more: whoever asked has left.
        let job: Job = Box::new(move |connection| drop(reply.send(work(connection))));
        let sent = self.jobs.try_send(job).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => ApprovalError::Store(format!("{JOBS_MAX} questions wait already")),
            mpsc::TrySendError::Disconnected(_) => ApprovalError::Store("its thread has ended".to_owned()),
        });
        Box::pin(async move {
            sent?;
            answer.await.map_err(|_| ApprovalError::Store("its thread has ended".to_owned()))?
        })
    }
}

/// Questions that may wait: everybody who joins again after a restart asks one.
const JOBS_MAX: usize = 16_384;
