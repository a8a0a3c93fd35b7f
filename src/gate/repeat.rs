//! A call that may be an attempt at an earlier one: it comes to wait for that one's approval, is
//! told what became of it, or is given its answer.

use std::sync::Arc;
use std::time::Duration;

use crate::approval::Approval;
use crate::approval::Hold;
use crate::approval::NewApproval;
use crate::approval::Opened;
use crate::approval::State;
use crate::model::ApprovalId;
use crate::model::Call;
use crate::model::CallDigest;
use crate::model::Decision;
use crate::model::HoldObligations;
use crate::model::Refusal;
use crate::model::RefusalCode;

use super::admit::Gate;
use super::refuse;
use super::replay::Kept;
use super::replay::Recording;

/// Where a call that is to be held finds itself.
pub(super) enum Place {
    /// It waits for an approval.
    Waits(Hold),
    /// It has run; this is the answer.
    HasRun(Arc<Kept>),
}

impl Gate {
    /// Opens an approval for `call`, or finds the one that it belongs to.
    ///
    /// # Errors
    /// A refusal, which has been recorded: that nothing can be held, or what became of the call of
    /// which this is a retry.
    pub(super) async fn open(
        &self,
        call: &Call,
        decision: &Decision,
        obligations: &HoldObligations,
        digest: CallDigest,
    ) -> Result<Place, Refusal> {
        for _ in 0..GIVEN_BACK_MAX {
            let (policy, obligations) = (decision.policy, obligations.clone());
            let new = NewApproval { call, digest, policy, decision: decision.id, obligations };
            let opened = self.approvals.open(new).await.map_err(|error| self.not_held(call, decision, &error))?;
            let before = match opened {
                Opened::Held(hold) => return Ok(Place::Waits(hold)),
                Opened::Repeats(before) => *before,
            };
            let patience = self.patience(call, &before.obligations);
            let told = self.repeat(call, decision, before, patience).await;
            if let Some(kept) = told.inspect_err(|refusal| self.note_refused(call, refusal))? {
                return Ok(Place::HasRun(kept));
            }
        }
        let refusal = Refusal::new(RefusalCode::Internal, "the approval of this call finds no rest; nothing was sent");
        self.note_refused(call, &refusal);
        Err(refusal)
    }

    /// What a retry gets whose call has been denied, has run, or runs now; nothing if the run was
    /// given back meanwhile, so that it can be waited for once more.
    async fn repeat(
        &self,
        call: &Call,
        decision: &Decision,
        mut before: Approval,
        patience: Option<Duration>,
    ) -> Result<Option<Arc<Kept>>, Refusal> {
        if matches!(before.state, State::Forwarding { .. }) {
            before =
                self.approvals.after_run(before.id, patience).await.map_err(|error| self.not_held_because(&error))?;
        }
        if before.state.is_open() {
            return Ok(None);
        }
        let told = || refuse::over(&before).decided(decision.id);
        if !matches!(before.state, State::Completed { .. }) {
            return Err(told());
        }
        let kept = self.replays.kept(before.id);
        let patience = patience.unwrap_or(ANSWER_MAX).min(ANSWER_MAX);
        let kept = tokio::time::timeout(patience, kept).await.ok().flatten().ok_or_else(told)?;
        self.record_replayed(call, decision, before.id).await?;
        tracing::info!(call.id = %call.id, approval.id = %before.id, principal.id = %call.principal.id,
            "a retry is given the answer that its call had");
        Ok(Some(kept))
    }

    /// Keeps the answer of the run that `id` is about to have.
    pub(super) fn record_answer(&self, id: ApprovalId) -> Option<Recording> {
        self.replays.begin(id, self.settings.load().replay_for)
    }
}

/// How long the rest of an answer may take that the caller before has begun to get. Somebody who
/// reads it slowly must not keep its own retry waiting for ever.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How often a run may be given back under a call that waits for its end.
const GIVEN_BACK_MAX: usize = 8;
