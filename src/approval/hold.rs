//! A caller that waits for an approval, and the one run that it may lead to.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::ApprovalId;
use crate::model::CallId;
use crate::model::Principal;
use crate::model::Sha256;

use super::error::ApprovalError;
use super::hub::Wake;
use super::machine::Command;
use super::machine::Ending;
use super::machine::closure;
use super::record::Approval;
use super::record::State;
use super::service::Approvals;

/// A caller that waits. Dropping it says that the caller has left; the approval stays open.
#[derive(Debug)]
pub struct Hold {
    approvals: Approvals,
    id: ApprovalId,
    call: CallId,
    woken: oneshot::Receiver<Wake>,
    /// Why the wait is over, once it is.
    over: Option<Verdict>,
    /// Whether the caller is told to come again, so that it does not hang up of itself.
    sent_away: bool,
    attached: bool,
}

/// Why a wait is over.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is approved and can be claimed.
    Approved(Arc<Approval>),
    /// It will never be approved: denied, expired, withdrawn, revoked or lapsed.
    Settled(Arc<Approval>),
    /// A reviewer asks something first.
    Asked(Arc<Approval>),
    /// It has waited for as long as it was to wait; the approval is still open.
    StillPending,
    /// This process is about to stop; the approval is still open.
    Draining,
}

impl Hold {
    pub(super) fn new(approvals: Approvals, id: ApprovalId, call: CallId, woken: oneshot::Receiver<Wake>) -> Self {
        Self { approvals, id, call, woken, over: None, sent_away: false, attached: true }
    }

    /// The wait is over before it begins.
    pub(super) fn ready(&mut self, approval: Arc<Approval>) {
        self.over = Some(verdict_on(approval));
    }

    /// The approval that is waited for.
    pub fn id(&self) -> ApprovalId {
        self.id
    }

    /// Whether there is nothing to wait for: it had been decided before the caller came.
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Waits for an end, at most for `patience`. Cancel safe: dropping the future loses nothing,
    /// dropping the `Hold` says that the caller has left. Once the wait is over, it stays so.
    pub async fn verdict(&mut self, patience: Option<Duration>) -> Verdict {
        if let Some(verdict) = &self.over {
            return verdict.clone();
        }
        self.sent_away = false;
        let woken = match patience {
            Some(patience) => tokio::time::timeout(patience, &mut self.woken).await.ok(),
            None => Some((&mut self.woken).await),
        };
        let verdict = match woken {
            None => {
                self.sent_away = true;
                return Verdict::StillPending;
            }
            Some(Ok(Wake::Changed(approval))) => verdict_on(approval),
            // A later attempt at the same call waits in its place.
            Some(Err(_)) => Verdict::StillPending,
            Some(Ok(Wake::Draining)) => Verdict::Draining,
        };
        self.sent_away = matches!(verdict, Verdict::StillPending | Verdict::Asked(_) | Verdict::Draining);
        self.over.insert(verdict).clone()
    }

    /// Says that the caller is told to come again, and returns once that is stored: it must find its
    /// place free when it does.
    pub async fn leave(mut self) {
        self.sent_away = true;
        self.approvals.0.hub.forget(self.id, self.call);
        let left = self.approvals.record(self.id, Command::SendAway { call: self.call }).await;
        // What could not be stored now is stored later, by the drop.
        self.attached = left.is_err();
    }

    /// Claims the approval for this call: from now on no other run can have it. To be called
    /// immediately before the first byte is sent, while the caller is still there. `exact` is the hash
    /// of the bytes that will be, for the log: an approval binds to what they mean. `caller` is the
    /// principal as it is known now: whoever has come to stand behind it since does not count.
    ///
    /// # Errors
    /// [`ApprovalError::NotClaimable`] if it was revoked or lapsed meanwhile,
    /// [`ApprovalError::Forged`] if its record was not sealed by us. Then the caller counts as
    /// having left.
    pub async fn claim(mut self, exact: Sha256, caller: &Principal) -> Result<Run, ApprovalError> {
        let (approvals, id, call) = (self.approvals.clone(), self.id, self.call);
        // Made first: should the caller leave while the claim is under way, or the claim be stored
        // and not get into the log, its drop gives it back and says that the caller has left.
        let run = Run { approvals: approvals.clone(), id, call, phase: Phase::Claimed };
        self.attached = false;
        self.approvals.0.hub.forget(self.id, self.call);
        let behind = closure(caller, &approvals.people());
        approvals.claim(id, call, exact, behind).await?;
        Ok(run)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.attached {
            let call = self.call;
            let command = if self.sent_away { Command::SendAway { call } } else { Command::Leave { call } };
            self.approvals.leaves(self.id, call, command);
        }
    }
}

fn verdict_on(approval: Arc<Approval>) -> Verdict {
    match approval.state {
        State::Approved { .. } => Verdict::Approved(approval),
        State::Pending => Verdict::Asked(approval),
        State::Forwarding { .. }
        | State::Completed { .. }
        | State::Failed { .. }
        | State::Unknown { .. }
        | State::Denied { .. }
        | State::Expired { .. }
        | State::Withdrawn { .. }
        | State::Revoked { .. }
        | State::Lapsed { .. } => Verdict::Settled(approval),
    }
}

/// The one run of an approved call. However it ends, the record says so: dropped before anything
/// was sent, the approval waits for its caller again; dropped later, the outcome is unknown.
#[must_use = "a run that is dropped is given back, or recorded as unknown"]
#[derive(Debug)]
pub struct Run {
    approvals: Approvals,
    id: ApprovalId,
    call: CallId,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Claimed,
    Sending,
    Over,
}

impl Run {
    /// The approval that is run.
    pub fn id(&self) -> ApprovalId {
        self.id
    }

    /// From here on bytes may have left.
    pub fn sending(&mut self) {
        self.phase = Phase::Sending;
    }

    /// Records how it ended.
    pub fn finish(mut self, ending: Ending) {
        self.phase = Phase::Over;
        self.approvals.later(self.id, Command::Finish { run: self.call, ending });
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let run = self.call;
        match self.phase {
            Phase::Claimed => self.approvals.leaves(self.id, run, Command::Unclaim { run }),
            Phase::Sending => {
                let reason = "the caller hung up before the upstream had answered".to_owned();
                self.approvals.later(self.id, Command::Finish { run, ending: Ending::Unknown { reason } });
            }
            Phase::Over => {}
        }
    }
}
