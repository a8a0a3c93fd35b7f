//! Who waits for which approval, on this replica. A settled approval is one message to one waiter.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::oneshot;

use crate::model::ApprovalId;
use crate::model::CallDigest;
use crate::model::CallId;

use super::record::Approval;
use super::record::State;

/// What ends a wait.
#[derive(Clone, Debug)]
pub(super) enum Wake {
    /// The approval has come to where the caller must hear of it.
    Changed(Arc<Approval>),
    /// This process is about to stop.
    Draining,
}

/// The waiters of this process.
#[derive(Debug, Default)]
pub(super) struct Hub {
    waiters: Mutex<Waiters>,
    /// Told whenever a waiter leaves.
    left: Notify,
}

#[derive(Debug, Default)]
struct Waiters {
    by_approval: HashMap<ApprovalId, Waiter>,
    /// How many wait with the same call.
    by_digest: HashMap<CallDigest, usize>,
    /// Callers that have gone, though their records do not say so yet.
    leaving: HashSet<(ApprovalId, CallId)>,
    draining: bool,
}

#[derive(Debug)]
struct Waiter {
    call: CallId,
    digest: CallDigest,
    /// The version of the record that it came to wait for. News of earlier ones are not for it: they
    /// may still be on their way into the log.
    since: u64,
    wake: oneshot::Sender<Wake>,
}

impl Waiters {
    fn insert(&mut self, id: ApprovalId, waiter: Waiter) {
        self.remove(id);
        *self.by_digest.entry(waiter.digest).or_default() += 1;
        self.by_approval.insert(id, waiter);
    }

    fn remove(&mut self, id: ApprovalId) -> Option<Waiter> {
        let waiter = self.by_approval.remove(&id)?;
        if let Entry::Occupied(mut count) = self.by_digest.entry(waiter.digest) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(waiter)
    }

    fn is_for(&self, id: ApprovalId, call: CallId) -> bool {
        self.by_approval.get(&id).is_some_and(|waiter| waiter.call == call)
    }
}

impl Hub {
    /// Waits for `id`, whose record has the version `since`, on behalf of `call`. An approval has one
    /// waiter; whoever came to a later version takes its place, in whatever order they get here.
    pub(super) fn register(
        &self,
        id: ApprovalId,
        call: CallId,
        digest: CallDigest,
        since: u64,
    ) -> oneshot::Receiver<Wake> {
        let (wake, woken) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        if waiters.draining {
            // The receiver is ours and waits, so this cannot fail.
            let _ = wake.send(Wake::Draining);
        } else if waiters.by_approval.get(&id).is_none_or(|waiter| waiter.since < since) {
            waiters.insert(id, Waiter { call, digest, since, wake });
        }
        woken
    }

    /// Waits no more.
    pub(super) fn forget(&self, id: ApprovalId, call: CallId) {
        let mut waiters = self.waiters.lock();
        if waiters.is_for(id, call) {
            waiters.remove(id);
        }
    }

    /// The caller has gone; until [`Self::gone`], its record does not say so.
    pub(super) fn leave(&self, id: ApprovalId, call: CallId) {
        {
            let mut waiters = self.waiters.lock();
            if waiters.is_for(id, call) {
                waiters.remove(id);
            }
            waiters.leaving.insert((id, call));
        }
        self.left.notify_waiters();
    }

    /// The record says that the caller has gone.
    pub(super) fn gone(&self, id: ApprovalId, call: CallId) {
        self.waiters.lock().leaving.remove(&(id, call));
    }

    /// Whether the caller is known to have gone, whatever its record says.
    pub(super) fn has_left(&self, id: ApprovalId, call: CallId) -> bool {
        self.waiters.lock().leaving.contains(&(id, call))
    }

    /// Waits until nobody waits with the same call, at most for `patience`.
    pub(super) async fn until_alone(&self, digest: CallDigest, patience: Duration) {
        let alone = async {
            loop {
                let left = self.left.notified();
                if !self.waiters.lock().by_digest.contains_key(&digest) {
                    return;
                }
                left.await;
            }
        };
        // Whoever still waits then waits for a call of its own.
        let _ = tokio::time::timeout(patience, alone).await;
    }

    /// Tells the waiter of this approval, if it is one that it must hear of.
    pub(super) fn tell(&self, approval: &Arc<Approval>) {
        if !concerns_waiter(approval) {
            return;
        }
        let mut waiters = self.waiters.lock();
        if waiters.by_approval.get(&approval.id).is_some_and(|waiter| waiter.since > approval.version) {
            return;
        }
        if let Some(waiter) = waiters.remove(approval.id) {
            // The waiter may be leaving at this moment; then its guard says so.
            let _ = waiter.wake.send(Wake::Changed(Arc::clone(approval)));
        }
    }

    /// Sends every waiter away, and every later one too.
    pub(super) fn drain(&self) {
        let waiters = {
            let mut waiters = self.waiters.lock();
            waiters.draining = true;
            waiters.by_digest.clear();
            std::mem::take(&mut waiters.by_approval)
        };
        for waiter in waiters.into_values() {
            // As above.
            let _ = waiter.wake.send(Wake::Draining);
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiters.lock().by_approval.len()
    }
}

/// Whether a caller who waits for `approval` has to hear of where it stands.
pub(super) fn concerns_waiter(approval: &Approval) -> bool {
    match approval.state {
        State::Pending => approval.open_question().is_some(),
        State::Approved { .. }
        | State::Denied { .. }
        | State::Expired { .. }
        | State::Withdrawn { .. }
        | State::Revoked { .. }
        | State::Lapsed { .. } => true,
        // These are the doing of the caller itself.
        State::Forwarding { .. } | State::Completed { .. } | State::Failed { .. } | State::Unknown { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::approval::fixtures;
    use crate::approval::fixtures::Ids;
    use crate::approval::fixtures::people;

    /// Two attempts take each other's place in the store, and get here the other way round.
    #[test]
    fn the_one_that_the_record_names_waits_whoever_gets_here_last() {
        let (ids, hub) = (Ids::new(), Hub::default());
        let call = fixtures::call(&ids, "deploy-bot", "export");
        let (mut approval, _) = fixtures::record(&ids, &call, "owners=1", &people("owners: ana", &[]));
        let (id, digest) = (approval.id, approval.digest);
        let later = hub.register(id, ids.call(), digest, 3);
        let earlier = hub.register(id, ids.call(), digest, 2);
        assert!(matches!(earlier.now_or_never(), Some(Err(_))), "the place is taken");
        (approval.version, approval.state) = (4, State::Expired { at: approval.expires });
        hub.tell(&Arc::new(approval));
        assert!(matches!(later.now_or_never(), Some(Ok(Wake::Changed(_)))));
    }
}
