//! What a caller is told in each case: what happened, and what to do about it.

use std::time::Duration;

use crate::approval::Approval;
use crate::approval::ApprovalError;
use crate::approval::State;
use crate::model::ApprovalId;
use crate::model::Decision;
use crate::model::DecisionId;
use crate::model::Effect;
use crate::model::Refusal;
use crate::model::RefusalCode;

pub(super) fn policy_error(decision: DecisionId) -> Refusal {
    let detail = format!(
        "the policy could not be evaluated, so nothing was sent; the operator finds the cause in the log under {decision}"
    );
    Refusal::new(RefusalCode::PolicyError, detail).decided(decision)
}

pub(super) fn denied_by_policy(decision: &Decision) -> Refusal {
    let detail = match &decision.effect {
        Effect::Deny(rules) => match rules.first() {
            Some(rule) => match &rule.reason {
                Some(reason) => format!("denied by the rule `{}`: {reason}", rule.rule),
                None => format!("denied by the rule `{}`", rule.rule),
            },
            None => "denied by the policy".to_owned(),
        },
        Effect::NoMatch | Effect::Allow(_) | Effect::Hold(_) => {
            "no rule of the policy allows this call; ask the operator for one if it should be allowed".to_owned()
        }
    };
    let detail = format!("{detail}. Nothing was sent, and sending it again changes nothing.");
    Refusal::new(RefusalCode::PolicyDenied, detail).decided(decision.id)
}

pub(super) fn audit_unavailable() -> Refusal {
    Refusal::new(RefusalCode::AuditUnavailable, "the audit log cannot be written, so nothing was sent; try again later")
        .retry_after(RETRY_SOON)
}

pub(super) fn settled(approval: &Approval) -> Refusal {
    let id = approval.id;
    let because = |reason: &Option<String>| match reason {
        Some(reason) if !reason.is_empty() => format!(": {reason}"),
        Some(_) | None => String::new(),
    };
    let (code, detail) = match &approval.state {
        State::Denied { reason, .. } => (
            RefusalCode::ApprovalDenied,
            format!("a reviewer denied this call{}. Nothing was sent; do not send it again unchanged.", because(reason)),
        ),
        State::Expired { .. } => (
            RefusalCode::ApprovalExpired,
            "nobody decided on this call in time. Nothing was sent; sending it again asks the reviewers anew.".to_owned(),
        ),
        State::Lapsed { .. } => (
            RefusalCode::ApprovalExpired,
            "this call was approved, and nobody came to run it in time. Nothing was sent; sending it again asks the reviewers anew."
                .to_owned(),
        ),
        State::Withdrawn { reason, .. } => {
            (RefusalCode::ApprovalWithdrawn, format!("this call was withdrawn{}. Nothing was sent.", because(reason)))
        }
        State::Revoked { .. } => {
            (RefusalCode::ApprovalWithdrawn, "the approval of this call was revoked. Nothing was sent.".to_owned())
        }
        State::Unknown { .. } => (
            RefusalCode::OutcomeUnknown,
            "this call was sent, and whether it ran is not known; check before you send it again.".to_owned(),
        ),
        State::Pending
        | State::Approved { .. }
        | State::Forwarding { .. }
        | State::Completed { .. }
        | State::Failed { .. } => (RefusalCode::ApprovalPending, "this call cannot be run right now.".to_owned()),
    };
    Refusal::new(code, detail).about(id)
}

/// What to tell a caller who comes back for an approval that is over.
pub(super) fn over(approval: &Approval) -> Refusal {
    match &approval.state {
        State::Completed { status, .. } => {
            let detail = format!("this call has run already; the upstream answered {status}. Nothing was sent now.");
            Refusal::new(RefusalCode::AlreadyRun, detail).about(approval.id)
        }
        State::Forwarding { .. } => {
            let detail = "this call is under way already. Nothing was sent now.";
            Refusal::new(RefusalCode::AlreadyRun, detail).about(approval.id)
        }
        State::Failed { .. } => {
            let detail =
                "this call could not be sent, and its approval is used up; send it without `Approval-Id` to ask anew.";
            Refusal::new(RefusalCode::ApprovalExpired, detail).about(approval.id)
        }
        State::Pending
        | State::Approved { .. }
        | State::Unknown { .. }
        | State::Denied { .. }
        | State::Expired { .. }
        | State::Withdrawn { .. }
        | State::Revoked { .. }
        | State::Lapsed { .. } => settled(approval),
    }
}

pub(super) fn mismatch(id: ApprovalId) -> Refusal {
    let detail = format!(
        "{id} is not an approval of this very call by this caller, or the policy has changed since. Nothing was sent; \
         send the call without `Approval-Id` to ask anew."
    );
    Refusal::new(RefusalCode::ApprovalMismatch, detail)
}

pub(super) fn accepted(id: ApprovalId) -> Refusal {
    let detail = "the reviewers have been asked. Send the same call again with this `Approval-Id` once it is approved; `Location` shows what became of it.";
    Refusal::new(RefusalCode::ApprovalAccepted, detail).about(id)
}

pub(super) fn asked(approval: &Approval) -> Refusal {
    let question = approval.open_question().map_or("", |message| message.text.as_str());
    let detail = format!(
        "a reviewer asks: {question} Send the same call again with your answer in `Approval-Reason`; it keeps its place ({}).",
        approval.id
    );
    Refusal::new(RefusalCode::ClarificationRequired, detail).about(approval.id)
}

pub(super) fn still_pending(id: ApprovalId) -> Refusal {
    let detail =
        format!("nobody has decided yet. Nothing was sent. Send the same call again to go on waiting for {id}.");
    Refusal::new(RefusalCode::ApprovalPending, detail).about(id)
}

/// As [`still_pending`], and a client that does what `Retry-After` says may do so by itself.
pub(super) fn come_again(id: ApprovalId) -> Refusal {
    still_pending(id).retry_after(AT_ONCE)
}

pub(super) fn draining(id: ApprovalId) -> Refusal {
    let detail = format!("this server is about to stop. Send the same call again to go on waiting for {id}.");
    Refusal::new(RefusalCode::Draining, detail).about(id).retry_after(AT_ONCE)
}

pub(super) fn not_held(error: &ApprovalError) -> Refusal {
    match error {
        ApprovalError::NoReviewer(_) => Refusal::new(
            RefusalCode::NoReviewer,
            "nobody could ever approve this call: too few reviewers stand outside of the caller's own people. Ask the operator.",
        ),
        ApprovalError::NotSearchable => Refusal::new(RefusalCode::BodyUndecodable, error.to_string()),
        ApprovalError::TooManyPending { .. } => {
            Refusal::new(RefusalCode::TooManyPending, format!("{error}; wait until some are decided"))
                .retry_after(RETRY_LATER)
        }
        ApprovalError::BodiesFull { .. } => {
            overloaded("the long bodies of calls that wait for approval take up all the room there is for them")
        }
        ApprovalError::Audit(_) => audit_unavailable(),
        ApprovalError::Store(_)
        | ApprovalError::BodyNotStored(_)
        | ApprovalError::BodyGone(_)
        | ApprovalError::NotFound(_)
        | ApprovalError::DigestMismatch { .. }
        | ApprovalError::OwnRequest { .. }
        | ApprovalError::NotReviewer { .. }
        | ApprovalError::NeedsAssurance { .. }
        | ApprovalError::ReasonRequired
        | ApprovalError::QuestionRequired
        | ApprovalError::TextTooLong { .. }
        | ApprovalError::ThreadFull { .. }
        | ApprovalError::AlreadyDecided { .. }
        | ApprovalError::Expired(_)
        | ApprovalError::NotRequester { .. }
        | ApprovalError::NotClaimable { .. }
        | ApprovalError::NotRunning { .. }
        | ApprovalError::Forged(_) => Refusal::new(
            RefusalCode::StoreUnavailable,
            "this call needs an approval, and approvals cannot be kept right now. Nothing was sent; try again later.",
        )
        .retry_after(RETRY_SOON),
    }
}

pub(super) fn not_claimed(id: ApprovalId, error: &ApprovalError) -> Refusal {
    tracing::warn!(approval.id = %id, %error, "an approved call cannot be run");
    match error {
        ApprovalError::Store(_) | ApprovalError::Audit(_) => not_held(error).about(id),
        // Another attempt at the same call has taken the place of this one.
        ApprovalError::NotClaimable { state: "approved" | "forwarding" | "completed", .. } => still_pending(id),
        _ => Refusal::new(RefusalCode::ApprovalWithdrawn, format!("{error}. Nothing was sent.")).about(id),
    }
}

/// Too much is held already.
pub(super) fn overloaded(what: &str) -> Refusal {
    Refusal::new(RefusalCode::Overloaded, format!("{what}; try again later")).retry_after(RETRY_WHEN_DECIDED)
}

/// Some are decided by then.
const RETRY_WHEN_DECIDED: Duration = Duration::from_secs(30);
/// As soon as the field can say.
const AT_ONCE: Duration = Duration::from_secs(1);
const RETRY_SOON: Duration = Duration::from_secs(5);
const RETRY_LATER: Duration = Duration::from_secs(60);
