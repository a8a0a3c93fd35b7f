//! What happens to approvals by itself: they expire and lapse, and what a dead process left behind
//! is brought to an honest end. One timer serves them all.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;

use crate::model::ApprovalId;
use crate::model::Timestamp;

use super::error::ApprovalError;
use super::machine::Command;
use super::service::Approvals;

/// After a start: nobody waits any more, and whether a run that was under way has reached its
/// upstream is not known. All at once, so that ten thousand cost a few flushes of the disk.
///
/// # Errors
/// If the store or the log cannot be used.
pub(super) async fn recover(approvals: &Approvals) -> Result<(), ApprovalError> {
    for ids in approvals.0.store.attached().await?.chunks(AT_ONCE_MAX) {
        let ended = ids.iter().map(|id| approvals.change(*id, Command::Abandon));
        for (id, ended) in ids.iter().zip(join_all(ended).await) {
            if let Err(error) = ended {
                tracing::error!(approval.id = %id, %error, "an approval that was left behind cannot be brought to an end");
            }
        }
    }
    Ok(())
}

/// Ends what is over, until the service stops.
pub(super) async fn run(approvals: Approvals) {
    let mut forged = HashSet::new();
    loop {
        let now = approvals.0.clock.now();
        let wait = match sweep(&approvals, now, &mut forged).await {
            Ok(next) => next.map_or(LONGEST_SLEEP, |next| next.since(now).min(LONGEST_SLEEP)),
            Err(error) => {
                tracing::warn!(%error, "approvals that are over cannot be ended; trying again");
                RETRY_AFTER
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = approvals.0.deadline_set.notified() => {}
            () = approvals.0.stop.cancelled() => return,
        }
    }
}

/// `forged` are records that cannot be ended and were reported; they must not keep others alive.
async fn sweep(
    approvals: &Approvals,
    now: Timestamp,
    forged: &mut HashSet<ApprovalId>,
) -> Result<Option<Timestamp>, ApprovalError> {
    let mut due = approvals.0.store.due(now).await?;
    due.retain(|id| !forged.contains(id));
    let ended = join_all(due.iter().map(|id| approvals.change(*id, Command::Tick))).await;
    for ended in ended {
        match ended {
            Ok(_) => {}
            Err(ApprovalError::Forged(id)) => drop(forged.insert(id)),
            Err(error) => return Err(error),
        }
    }
    let next = approvals.0.store.next_deadline().await?;
    // A record that cannot be ended stays due; it must not make this loop spin.
    Ok(next.map(|next| if next <= now { now.plus(RETRY_AFTER) } else { next }))
}

/// The clock may be set, so no sleep is longer than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How soon a sweep that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Records that are brought to an end together after a start.
const AT_ONCE_MAX: usize = 1_024;
