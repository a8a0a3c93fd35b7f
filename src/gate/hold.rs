//! The second half of the path, for calls that people have to approve.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::approval::Approval;
use crate::approval::ApprovalError;
use crate::approval::Hold;
use crate::approval::HoldVerdict;
use crate::model::Body;
use crate::model::Call;
use crate::model::CallDigest;
use crate::model::Decision;
use crate::model::DecisionId;
use crate::model::Effect;
use crate::model::HoldObligations;
use crate::model::Message;
use crate::model::Refusal;

use super::admit::Gate;
use super::admit::set_body;
use super::body::BodySource;
use super::permit::Admission;
use super::permit::Admitted;
use super::refuse;
use super::refuse::overloaded;
use super::repeat::Place;

impl Gate {
    /// Holds `call` until people have decided on it.
    pub(super) async fn hold(
        self: &Arc<Self>,
        mut call: Box<Call>,
        decision: &Decision,
        body: &mut impl BodySource,
    ) -> Result<Admission, Refusal> {
        let Effect::Hold(obligations) = &decision.effect else { return Err(self.deny(&call, decision)) };
        let slot = self.held_calls.try_acquire().map_err(|_| overloaded("too many calls wait for approval"));
        let _slot = slot.inspect_err(|refusal| self.note_refused(&call, refusal))?;
        let Message::Http(request) = &call.message;
        if matches!(request.body, Body::Unread) {
            let read =
                Box::pin(self.keep(&call, body)).await.inspect_err(|refusal| self.note_refused(&call, refusal))?;
            set_body(&mut call, read);
        }
        let budget = self.held_bytes.try_acquire_many(held_bytes(&call));
        let budget = budget.map_err(|_| overloaded("the bodies of calls that wait for approval take too much memory"));
        let _budget = budget.inspect_err(|refusal| self.note_refused(&call, refusal))?;
        let digest = call.digest(&decision.policy);
        // What is over soon is boxed, so that a call that waits for hours does not carry its size.
        Box::pin(self.check_resumption(&call, digest))
            .await
            .inspect_err(|refusal| self.note_refused(&call, refusal))?;
        // From here on it may wait, for people or for a run: a caller that hangs up has to be seen.
        body.holding(true);
        let hold = match Box::pin(self.open(&call, decision, obligations, digest)).await? {
            Place::Waits(hold) => hold,
            Place::HasRun(kept) => return Ok(Admission::Replayed(kept)),
        };
        self.metrics.held.inc();
        self.record_shadow(&call, decision);
        tracing::info!(call.id = %call.id, decision.id = %decision.id, approval.id = %hold.id(), digest = %digest.short(),
            principal.id = %call.principal.id, upstream = %call.upstream.name, action = %call.actions.first().name,
            "held for approval");
        if call.respond_async && !hold.is_over() {
            let accepted = refuse::accepted(hold.id()).decided(decision.id);
            Box::pin(hold.leave()).await;
            return Err(accepted);
        }
        call.detach();
        let waited = self.wait(&call, decision, obligations, hold).await;
        body.holding(false);
        let (hold, approval) = waited?;
        Box::pin(self.decide_again(call, digest, approval, hold)).await.map(Admission::Admitted)
    }

    /// A caller that names an approval must be the one that it was opened for, with the very same
    /// call.
    async fn check_resumption(&self, call: &Call, digest: CallDigest) -> Result<(), Refusal> {
        let Some(id) = call.resumes else { return Ok(()) };
        let found = self.approvals.get(id).await.map_err(|error| self.not_held_because(&error))?;
        match found.filter(|found| found.principal.id == call.principal.id && found.digest == digest) {
            Some(_) => Ok(()),
            None => {
                tracing::warn!(call.id = %call.id, principal.id = %call.principal.id, approval.id = %id,
                    "a caller names an approval that is not about its call");
                Err(refuse::mismatch(id))
            }
        }
    }

    /// How long the call is held before its caller is told to come again. The operator's word first:
    /// the rule's, the way's, that for all. Else a client that would give up is told a moment before,
    /// so that whoever drives it reads why; one that gives up almost at once is left to its own retry,
    /// which joins.
    pub(super) fn patience(&self, call: &Call, obligations: &HoldObligations) -> Option<Duration> {
        let own = call.patience.filter(|patience| *patience >= PATIENCE_MIN);
        obligations.hold_for.or(call.hold_for).or(self.settings.load().hold_for).or(own)
    }

    async fn wait(
        &self,
        call: &Call,
        decision: &Decision,
        obligations: &HoldObligations,
        mut hold: Hold,
    ) -> Result<(Hold, Arc<Approval>), Refusal> {
        let patience = self.patience(call, obligations);
        let id = hold.id();
        // Dropped with this future when the caller hangs up; then it counts as `disconnected`.
        let waiting = self.metrics.waiting();
        let (outcome, refusal) = match hold.verdict(patience).await {
            HoldVerdict::Approved(approval) => {
                waiting.over("approved");
                return Ok((hold, approval));
            }
            HoldVerdict::Settled(approval) => (approval.state.name(), refuse::settled(&approval)),
            HoldVerdict::Asked(approval) => ("asked", refuse::asked(&approval)),
            // A later attempt waits in its place. Told to come again, the two would take turns.
            HoldVerdict::StillPending if hold.is_over() => ("still-pending", refuse::still_pending(id)),
            HoldVerdict::StillPending => ("still-pending", refuse::come_again(id)),
            HoldVerdict::Draining => ("draining", refuse::draining(id)),
        };
        waiting.over(outcome);
        if matches!(outcome, "asked" | "still-pending") {
            Box::pin(hold.leave()).await;
        }
        tracing::info!(call.id = %call.id, approval.id = %id, code = refusal.code.as_str(), "the wait is over");
        Err(refusal.decided(decision.id))
    }

    /// Policy has the last word: it is asked again with the approval in hand, as it is now.
    async fn decide_again(
        self: &Arc<Self>,
        call: Box<Call>,
        digest: CallDigest,
        approval: Arc<Approval>,
        hold: Hold,
    ) -> Result<Admitted, Refusal> {
        let now = self.clock.now();
        let id = DecisionId::new(&self.ids, now);
        let policy = self.policy.load_full();
        // Where it cannot be told, a policy that asks fails, and the call is refused.
        let asks = policy.reads_history() || policy.shadow_reads_history();
        let history = if asks { self.approved_before(&policy, &call, now).await.ok().flatten() } else { None };
        let decided = policy.decide_knowing(&call, Some(&approval_input(&approval)), history, id, now);
        let stands = match &decided {
            Ok(Decision { effect: Effect::Allow(_), .. }) => true,
            Ok(Decision { effect: Effect::Hold(now_asked), .. }) => {
                approval.meets(now_asked, &self.approvals.people(), now)
            }
            Ok(Decision { effect: Effect::Deny(_) | Effect::NoMatch, .. }) | Err(_) => false,
        };
        let decision = match decided {
            Ok(decision) if stands => decision,
            Ok(decision) => {
                let why = "the policy does not stand by it any more".to_owned();
                Box::pin(self.revoke(&approval, why)).await;
                return Err(self.deny(&call, &decision).about(approval.id));
            }
            Err(error) => {
                tracing::error!(call.id = %call.id, approval.id = %approval.id, %error,
                    "the policy cannot be evaluated; the approved call is refused");
                self.metrics.failed.inc();
                let refusal = refuse::policy_error(id).about(approval.id);
                self.note_refused(&call, &refusal);
                return Err(refusal);
            }
        };
        Ok(Admitted::approved(Arc::clone(self), call, decision, digest, approval, hold))
    }

    async fn revoke(&self, approval: &Approval, reason: String) {
        if let Err(error) = self.approvals.revoke(approval.id, reason).await {
            tracing::warn!(approval.id = %approval.id, %error, "an approval that does not stand is still open");
        }
    }

    pub(super) fn not_held(&self, call: &Call, decision: &Decision, error: &ApprovalError) -> Refusal {
        tracing::warn!(call.id = %call.id, decision.id = %decision.id, principal.id = %call.principal.id, %error,
            "the call cannot be held, so it is refused");
        let refusal = self.not_held_because(error).decided(decision.id);
        self.note_refused(call, &refusal);
        refusal
    }
}

fn held_bytes(call: &Call) -> u32 {
    let Message::Http(request) = &call.message;
    u32::try_from(request.body.memory_bytes()).unwrap_or(u32::MAX)
}

/// `input.approval` of the second evaluation.
fn approval_input(approval: &Approval) -> Value {
    let reviews: Vec<Value> = approval
        .approving()
        .map(|review| {
            json!({
                "person": review.person,
                "groups": review.groups,
                "assurance": review.assurance,
                "channel": review.channel,
                "time": review.at,
            })
        })
        .collect();
    json!({ "id": approval.id, "state": approval.state.name(), "reviews": reviews })
}

/// Nobody decides faster than this, so to answer any sooner would only be noise.
const PATIENCE_MIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Keep;

    struct NoBody;

    impl BodySource for NoBody {
        fn is_present(&self) -> bool {
            false
        }

        fn holding(&mut self, _: bool) {}

        async fn read(&mut self, _: u64) -> Result<Body, Refusal> {
            Ok(Body::Absent)
        }

        async fn keep(&mut self, _: Keep) -> Result<Body, Refusal> {
            Ok(Body::Absent)
        }
    }

    fn hold(
        gate: &'static Arc<Gate>,
        call: Box<Call>,
        decision: &'static Decision,
        body: &'static mut NoBody,
    ) -> impl Future<Output = Result<Admission, Refusal>> {
        gate.hold(call, decision, body)
    }

    fn size<A, B, C, D, F: Future>(_: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_call_that_waits_is_small() {
        assert!(size(hold) <= 768, "{} bytes", size(hold));
    }
}
