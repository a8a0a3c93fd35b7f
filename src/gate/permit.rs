//! Proof that one exact call may leave, and the record of how that ended.

use std::sync::Arc;

use crate::approval::Approval;
use crate::approval::Ending;
use crate::approval::Hold;
use crate::approval::Run;
use crate::model::ApprovalId;
use crate::model::Call;
use crate::model::CallDigest;
use crate::model::CallId;
use crate::model::Decision;
use crate::model::DecisionId;
use crate::model::Effect;
use crate::model::Message;
use crate::model::Principal;
use crate::model::Refusal;
use crate::model::RefusalCode;

use super::admit::Gate;
use super::refuse;
use super::replay::Kept;
use super::replay::Recording;

/// What becomes of a call that is not refused.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would cost every call an allocation, for the rare other case")]
pub enum Admission {
    /// It may leave.
    Admitted(Admitted),
    /// It has run already; this is the answer that its caller never got.
    Replayed(Arc<Kept>),
}

/// A call that may leave, once its credential is at hand and it has been permitted.
#[derive(Debug)]
pub struct Admitted {
    gate: Arc<Gate>,
    call: Call,
    decision: Decision,
    approved: Option<Approved>,
}

#[derive(Debug)]
struct Approved {
    digest: CallDigest,
    approval: Arc<Approval>,
    hold: Hold,
}

impl Admitted {
    pub(super) fn allowed(gate: Arc<Gate>, call: Call, decision: Decision) -> Self {
        Self { gate, call, decision, approved: None }
    }

    pub(super) fn approved(
        gate: Arc<Gate>,
        call: Call,
        decision: Decision,
        digest: CallDigest,
        approval: Arc<Approval>,
        hold: Hold,
    ) -> Self {
        Self { gate, call, decision, approved: Some(Approved { digest, approval, hold }) }
    }

    /// The approval that permits it, if people had to approve it.
    pub fn approval(&self) -> Option<ApprovalId> {
        self.approved.as_ref().map(|approved| approved.approval.id)
    }

    /// The credential profile that the policy names instead of the upstream's, if any.
    pub fn credential(&self) -> Option<&str> {
        match &self.decision.effect {
            Effect::Allow(obligations) => obligations.credential.as_deref(),
            Effect::Hold(obligations) => obligations.credential.as_deref(),
            Effect::Deny(_) | Effect::NoMatch => None,
        }
    }

    /// It cannot be sent after all, and here is why. The log hears of it.
    pub fn refused(self, refusal: Refusal) -> Refusal {
        self.gate.note_refused(&self.call, &refusal);
        refusal
    }

    /// The last step, to be taken immediately before the first byte is sent. For an approved call
    /// it claims the one run; dropping the future gives it back. `caller` is the principal as it is
    /// known now.
    ///
    /// # Errors
    /// A refusal if the approval was revoked or lapsed meanwhile, or cannot be claimed.
    pub async fn permit(self, caller: &Principal) -> Result<Permitted, Refusal> {
        let Self { gate, call, decision, approved } = self;
        let run = match approved {
            None => None,
            Some(Approved { digest, approval, hold }) => {
                // The call cannot have changed: nobody but us could have touched it. This says so.
                if call.digest(&approval.policy) != digest || approval.digest != digest {
                    tracing::error!(call.id = %call.id, approval.id = %approval.id, "the call is not the one approved");
                    return Err(Refusal::new(RefusalCode::Internal, "the call is not the one that was approved"));
                }
                let claimed = hold.claim(call.exact_sha256(), caller).await;
                let refused = |error| refuse::not_claimed(approval.id, &error);
                Some(claimed.map_err(refused).inspect_err(|refusal| gate.note_refused(&call, refusal))?)
            }
        };
        let Message::Http(request) = &call.message;
        let recording = run.as_ref().filter(|_| !request.websocket).and_then(|run| gate.record_answer(run.id()));
        let permit = Permit { gate, call: call.id, decision: decision.id, ending: Some(Way::new(run)), recording };
        Ok(Permitted { call, permit })
    }
}

/// One call and the proof that it may leave, bound together. Only [`Admitted::permit`] makes one;
/// the upstream side of `proxy` takes it apart to send it.
#[must_use = "an unspent permit is a call that was allowed and never sent"]
#[derive(Debug)]
pub struct Permitted {
    call: Call,
    permit: Permit,
}

impl Permitted {
    /// The approval that permits it, if people had to approve it.
    pub fn approval(&self) -> Option<ApprovalId> {
        self.permit.approval()
    }

    /// The call as it will be sent.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Takes it apart, to be sent at once. From here on bytes may have left.
    pub fn spend(self) -> (Call, Permit) {
        let Self { call, mut permit } = self;
        if let Some(Way::Approved(run)) = &mut permit.ending {
            run.sending();
        }
        (call, permit)
    }
}

/// Records how the call ended. Dropped without a word, it records that this is not known.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    call: CallId,
    decision: DecisionId,
    /// Keeps the answer to an approved call. Dropped before the run is given back, which begins another.
    recording: Option<Recording>,
    ending: Option<Way>,
}

#[derive(Debug)]
enum Way {
    Allowed,
    Approved(Run),
}

impl Way {
    fn new(run: Option<Run>) -> Self {
        run.map_or(Self::Allowed, Self::Approved)
    }
}

impl Permit {
    /// The approval that permits it, if people had to approve it.
    pub fn approval(&self) -> Option<ApprovalId> {
        match &self.ending {
            Some(Way::Approved(run)) => Some(run.id()),
            Some(Way::Allowed) | None => None,
        }
    }

    /// The decision it comes from.
    pub fn decision(&self) -> DecisionId {
        self.decision
    }

    /// Records how it ended.
    pub fn end(mut self, ending: Ending) {
        self.record(ending);
    }

    /// Records that the upstream has answered. The answer itself is to be kept by what is returned,
    /// if anything is.
    pub fn answered(mut self, status: u16) -> Option<Recording> {
        self.record(Ending::Completed { status });
        self.recording.take()
    }

    fn record(&mut self, ending: Ending) {
        match self.ending.take() {
            Some(Way::Approved(run)) => run.finish(ending),
            Some(Way::Allowed) => self.gate.record_ended(self.call, self.decision, &ending),
            None => {}
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // An approved run knows by itself whether anything was sent.
        if matches!(self.ending, Some(Way::Allowed)) {
            let reason = "the caller hung up before the upstream had answered".to_owned();
            self.record(Ending::Unknown { reason });
        }
    }
}
