//! What has happened to an approval, event by event, each with its proof.

use crate::approval::Approval;
use crate::approval::MessageKind;
use crate::approval::Review;
use crate::approval::State;
use crate::approval::store::Notice;
use crate::model::Timestamp;

use super::inert::Inert;
use super::moment::Moment;

/// One thing that has happened.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) at: Moment,
    /// Such as `Approved by bo@example.com`.
    pub(super) words: String,
    pub(super) who: Option<Inert>,
    /// More about it, from us.
    pub(super) more: String,
    /// What somebody said.
    pub(super) said: Option<Inert>,
    /// Whether an agent said it.
    pub(super) by_agent: bool,
    /// A word for its look.
    pub(super) tone: &'static str,
    /// Where its proof is.
    pub(super) proof: String,
}

/// The steps of `approval`, whose events are `notices`.
pub(super) fn steps(approval: &Approval, notices: &[Notice], now: Timestamp) -> Vec<Step> {
    let (mut reviews, mut messages) = (approval.reviews.iter(), approval.messages.iter());
    let mut steps = Vec::with_capacity(notices.len());
    for notice in notices {
        let mut step = Step {
            at: Moment::new(notice.at, now),
            words: String::new(),
            who: None,
            more: String::new(),
            said: None,
            by_agent: false,
            tone: "plain",
            proof: format!("/v1/approvals/{}/proof?event={}", approval.id, notice.seq),
        };
        match notice.kind.as_str() {
            "approval.created" => {
                step.words = "Held, asked for by".to_owned();
                step.who = Some(Inert::line(&approval.principal.id));
            }
            "approval.decided" => reviewed(&mut step, reviews.next()),
            "approval.asked" | "approval.answered" => {
                if let Some(message) = messages.next() {
                    let asked = message.kind == MessageKind::Question;
                    step.words = if asked { "Question of" } else { "Answer of" }.to_owned();
                    step.who = Some(Inert::line(&message.by));
                    step.said = Some(Inert::lines(&message.text));
                    step.by_agent = message.by == approval.principal.id;
                    step.tone = "asked";
                }
            }
            // A denial after the approval is one event.
            "approval.revoked" => {
                if let Some(review) = reviews.next() {
                    reviewed(&mut step, Some(review));
                }
                step.words = "Revoked".to_owned();
                step.more = match &approval.state {
                    State::Revoked { reason, .. } if step.said.is_none() => reason.clone(),
                    _ => String::new(),
                };
                step.tone = "bad";
            }
            kind => entered(&mut step, kind, approval),
        }
        steps.push(step);
    }
    steps
}

fn reviewed(step: &mut Step, review: Option<&Review>) {
    let Some(review) = review else { return };
    let approves = review.verdict.as_str() == "approve";
    step.words = if approves { "Approved by" } else { "Denied by" }.to_owned();
    step.tone = if approves { "good" } else { "bad" };
    step.who = Some(Inert::line(review.person.as_str()));
    step.said = review.reason.as_ref().map(Inert::lines);
    step.more = format!("for {}, by {}", review.groups.join(", "), review.channel.as_str());
}

fn entered(step: &mut Step, kind: &str, approval: &Approval) {
    let (words, tone) = match kind {
        "approval.approved" => ("Enough people have approved; it may run", "good"),
        "approval.denied" => ("Denied; it cannot run", "bad"),
        "approval.claimed" => ("Running: the call is being sent", "plain"),
        "approval.unclaimed" => ("Given back: nothing was sent", "plain"),
        "approval.completed" => ("Run; the upstream has answered", "good"),
        "approval.failed" => ("Failed; nothing was sent", "bad"),
        "approval.unknown" => ("The line broke after sending; whether it has run is not known", "bad"),
        "approval.expired" => ("Expired; nobody has decided in time", "bad"),
        "approval.lapsed" => ("Lapsed; no caller came for it in time", "bad"),
        "approval.withdrawn" => ("Withdrawn", "bad"),
        "approval.caller_joined" => ("The caller came back and waits", "plain"),
        "approval.caller_left" => ("The caller has left", "plain"),
        other => (other.strip_prefix("approval.").unwrap_or(other), "plain"),
    };
    step.words = words.replace('_', " ");
    step.tone = tone;
    match (&approval.state, kind) {
        (State::Completed { status, .. }, "approval.completed") => step.more = format!("with status {status}"),
        (State::Failed { reason, .. }, "approval.failed") | (State::Unknown { reason, .. }, "approval.unknown") => {
            step.more.clone_from(reason);
        }
        (State::Withdrawn { by, reason, .. }, "approval.withdrawn") => {
            step.words = "Withdrawn by".to_owned();
            step.who = Some(Inert::line(by));
            step.said = reason.as_ref().map(Inert::lines);
            step.by_agent = *by == approval.principal.id;
        }
        _ => {}
    }
}
