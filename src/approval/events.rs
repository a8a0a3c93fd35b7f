//! What has happened to an approval, as events of the audit log.

use std::borrow::Cow;

use serde_json::Value;

use crate::audit::Actor;
use crate::audit::Event;
use crate::audit::EventKind;
use crate::audit::Fields;
use crate::model::EventId;
use crate::model::Requirement;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::machine::Happened;
use super::record::Approval;
use super::record::Channel;
use super::record::State;

/// The event that says that `happened` has happened to `approval`, which is as it was afterwards.
///
/// `pseudonym` gives people and principals their opaque names; who is behind them stands in a
/// disclosure beside the log, not in the log.
pub(super) fn event<'a>(
    approval: &'a Approval,
    happened: &'a Happened,
    id: EventId,
    now: Timestamp,
    pseudonym: &dyn Fn(&str) -> String,
) -> Event<'a> {
    let told = tell(approval, happened, pseudonym);
    Event {
        id,
        time: now,
        kind: told.kind,
        subject: Some(approval.id),
        prev: approval.link,
        policy: Some(approval.policy),
        actor: told.actor,
        data: told.data,
        private: told.private,
    }
}

struct Told<'a> {
    kind: EventKind,
    actor: Actor<'a>,
    data: Fields<'a>,
    private: Vec<(&'static str, Value)>,
}

impl<'a> Told<'a> {
    fn new(kind: EventKind, actor: Actor<'a>, data: Fields<'a>) -> Self {
        Self { kind, actor, data, private: Vec::new() }
    }

    fn hiding(mut self, name: &'static str, text: Option<&str>) -> Self {
        self.private.extend(text.map(|text| (name, text.into())));
        self
    }
}

fn tell<'a>(approval: &'a Approval, happened: &'a Happened, pseudonym: &dyn Fn(&str) -> String) -> Told<'a> {
    let principal = || Actor::Principal { id: Cow::Borrowed(&approval.principal.id) };
    let person = |name: &str, assurance, channel: Channel| Actor::Person {
        id: Cow::Owned(pseudonym(name)),
        assurance,
        channel: Cow::Borrowed(channel.as_str()),
    };
    match happened {
        Happened::Created(exact) => created(approval, *exact, pseudonym),
        Happened::Claimed(exact) => {
            let data = Fields::new().with_some("call", approval.caller);
            Told::new(
                EventKind::ApprovalClaimed,
                Actor::System,
                data.with("digest", approval.digest).with("exact", *exact),
            )
        }
        Happened::Joined(call) => {
            Told::new(EventKind::ApprovalCallerJoined, principal(), Fields::new().with("call", *call))
        }
        Happened::Left(call) => {
            Told::new(EventKind::ApprovalCallerLeft, principal(), Fields::new().with("call", *call))
        }
        Happened::Unclaimed(run) => {
            Told::new(EventKind::ApprovalUnclaimed, Actor::System, Fields::new().with("call", *run))
        }
        Happened::Reviewed(review) => {
            let data = Fields::new()
                .with("digest", approval.digest)
                .with("groups", review.groups.iter().map(String::as_str).collect::<Vec<_>>())
                .with("verdict", review.verdict.as_str());
            let actor = person(review.person.as_str(), review.assurance, review.channel);
            Told::new(EventKind::ApprovalDecided, actor, data)
                .hiding("person", Some(review.person.as_str()))
                .hiding("reason", review.reason.as_deref())
        }
        Happened::Overruled(review) => {
            let data = Fields::new().with("digest", approval.digest).with("verdict", review.verdict.as_str());
            let actor = person(review.person.as_str(), review.assurance, review.channel);
            Told::new(EventKind::ApprovalRevoked, actor, data)
                .hiding("person", Some(review.person.as_str()))
                .hiding("reason", review.reason.as_deref())
        }
        Happened::Asked { message, channel, assurance } => {
            let actor = person(&message.by, *assurance, *channel);
            let data = Fields::new().with("expires", approval.expires);
            Told::new(EventKind::ApprovalAsked, actor, data).hiding("text", Some(&message.text))
        }
        Happened::Answered(message) => {
            let data = Fields::new().with("by", pseudonym(&message.by));
            Told::new(EventKind::ApprovalAnswered, Actor::System, data).hiding("text", Some(&message.text))
        }
        Happened::Escalated => {
            let begun = approval.escalates().take(usize::try_from(approval.escalated).unwrap_or(usize::MAX));
            let reviewers = begun.flat_map(|(_, step)| needs(&step.reviewers)).collect::<Vec<_>>();
            Told::new(EventKind::ApprovalEscalated, Actor::System, Fields::new().with("reviewers", reviewers))
        }
        Happened::Entered => entered(approval, pseudonym),
    }
}

fn created<'a>(approval: &'a Approval, exact: Sha256, pseudonym: &dyn Fn(&str) -> String) -> Told<'a> {
    let escalation: Vec<Fields<'a>> = approval
        .escalates()
        .map(|(begins, step)| Fields::new().with("begins", begins).with("reviewers", needs(&step.reviewers)))
        .collect();
    let data = Fields::new()
        .with("actions", approval.actions.iter().map(|action| action.name.as_str()).collect::<Vec<_>>())
        .with_some("call", approval.caller)
        .with("closure", approval.closure.iter().map(|name| pseudonym(name)).collect::<Vec<_>>())
        .with("decision", approval.decision)
        .with("digest", approval.digest)
        .with_some("escalation", (!escalation.is_empty()).then_some(escalation))
        .with("exact", exact)
        .with("expires", approval.expires)
        .with("method", approval.line.method.as_str())
        .with("requirements", needs(&approval.obligations.reviewers))
        .with("rules", approval.obligations.rules.iter().map(String::as_str).collect::<Vec<_>>())
        .with("upstream", approval.upstream.name.as_str());
    let actor = Actor::Principal { id: Cow::Borrowed(&approval.principal.id) };
    Told::new(EventKind::ApprovalCreated, actor, data)
        .hiding("target", Some(&approval.line.target))
        .hiding("reason", approval.reason.as_deref())
        .hiding("context", approval.context.as_deref())
}

fn needs(requirements: &[Requirement]) -> Vec<Fields<'_>> {
    requirements.iter().map(|need| Fields::new().with("count", need.count).with("group", need.group.as_str())).collect()
}

fn entered<'a>(approval: &'a Approval, pseudonym: &dyn Fn(&str) -> String) -> Told<'a> {
    let system = |kind, data| Told::new(kind, Actor::System, data);
    let none = Fields::new();
    match &approval.state {
        // A record never returns to this state by `Entered`; were it to, the log would say so.
        State::Pending => system(EventKind::ApprovalCreated, none),
        State::Approved { claim_until, .. } => {
            let data = none.with("claim_until", *claim_until).with("digest", approval.digest);
            system(EventKind::ApprovalApproved, data)
        }
        // Nor to this one, other than by `Claimed`.
        State::Forwarding { .. } => system(EventKind::ApprovalClaimed, none),
        State::Completed { status, .. } => system(EventKind::ApprovalCompleted, none.with("status", *status)),
        State::Failed { reason, .. } => system(EventKind::ApprovalFailed, none.with("reason", reason.as_str())),
        State::Unknown { reason, .. } => system(EventKind::ApprovalUnknown, none.with("reason", reason.as_str())),
        State::Denied { by, .. } => system(EventKind::ApprovalDenied, none.with("by", pseudonym(by.as_str()))),
        State::Expired { .. } => system(EventKind::ApprovalExpired, none),
        State::Withdrawn { by, reason, .. } => {
            let told = system(EventKind::ApprovalWithdrawn, none.with("by", pseudonym(by)));
            told.hiding("reason", reason.as_deref())
        }
        State::Revoked { reason, .. } => system(EventKind::ApprovalRevoked, none).hiding("reason", Some(reason)),
        State::Lapsed { .. } => system(EventKind::ApprovalLapsed, none),
    }
}
