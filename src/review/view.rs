//! From records to the words of the API.

use crate::approval::Approval;
use crate::approval::ApprovalError;
use crate::approval::MessageKind;
use crate::approval::RequestLine;
use crate::approval::Review;
use crate::approval::ShownRequest;
use crate::approval::State;
use crate::approval::ThreadMessage;
use crate::identity::People;
use crate::model::Action;
use crate::model::Assurance;
use crate::model::PersonId;
use crate::model::PrincipalKind;
use crate::model::Risk;
use crate::model::Timestamp;

use super::api::ActionView;
use super::api::BodyView;
use super::api::CallLine;
use super::api::Caller;
use super::api::CanDecide;
use super::api::Detail;
use super::api::EscalationView;
use super::api::GrantView;
use super::api::HeaderView;
use super::api::Item;
use super::api::Links;
use super::api::MessageView;
use super::api::Outcome;
use super::api::PolicyFacts;
use super::api::Quorum;
use super::api::RequestView;
use super::api::Requester;
use super::api::ReviewView;
use super::api::SlotView;
use super::api::StandInView;
use super::api::StateName;
use super::api::UpstreamName;
use super::refused::Refused;

/// Who looks, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Viewer<'a> {
    pub(super) person: &'a PersonId,
    pub(super) people: &'a People,
    pub(super) now: Timestamp,
}

/// How sure we are that whoever has a token is the person it belongs to.
pub(super) const ASSURANCE: Assurance = Assurance::Session;

/// One approval in short.
pub(super) fn item(approval: &Approval, viewer: Viewer<'_>) -> Item {
    let obligations = &approval.obligations;
    let owners = approval.principal.owners.iter().map(ToString::to_string).collect();
    let RequestLine { method, authority, target } = approval.line.clone();
    Item {
        id: approval.id.to_string(),
        state: state_name(&approval.state),
        version: approval.version,
        created_at: approval.created,
        expires_at: approval.expires,
        principal: Requester { id: approval.principal.id.clone(), owners },
        upstream: UpstreamName {
            name: approval.upstream.name.clone(),
            environment: approval.upstream.environment.clone(),
        },
        call: CallLine { method, authority, target },
        actions: approval.actions.iter().map(action).collect(),
        digest: approval.digest.to_string(),
        rules: obligations.rules.clone(),
        reasons: obligations.reasons.clone(),
        risk: obligations.risk.map(|risk| risk_name(risk).to_owned()),
        irreversible: obligations.irreversible || approval.actions.iter().any(|action| action.irreversible),
        agent_reason: approval.reason.clone(),
        quorum: quorum(approval, viewer),
        channels: obligations.channels.clone(),
        grant: obligations
            .grant
            .map(|grant| GrantView { max_uses: grant.max_uses, max_duration_seconds: grant.max_duration.as_secs() }),
        can_decide: match why_not(approval, viewer) {
            None => CanDecide { allowed: true, why_not: None, code: None },
            Some((code, text)) => CanDecide { allowed: false, why_not: Some(text), code: Some(code) },
        },
        caller: Caller { connected: approval.caller.is_some() },
        open_question: approval.open_question().map(message),
        links: links(&approval.id.to_string()),
    }
}

/// One approval with everything there is to know.
/// `complete` says whether its body can be read whole.
pub(super) fn detail(approval: &Approval, request: ShownRequest, complete: bool, viewer: Viewer<'_>) -> Detail {
    let mut item = item(approval, viewer);
    if !complete && item.can_decide.allowed {
        let error = ApprovalError::BodyGone(approval.id);
        let code = Refused::from(error.clone()).code().as_str().to_owned();
        item.can_decide = CanDecide { allowed: false, why_not: Some(error.to_string()), code: Some(code) };
    }
    let body = body(&request, complete, &item.links.this);
    let RequestLine { method, authority, target } = request.line;
    Detail {
        item,
        body,
        request: RequestView {
            method,
            authority,
            target,
            headers: request.headers.into_iter().map(|(name, value)| HeaderView { name, value }).collect(),
            body_bytes: request.body_bytes,
            body_sha256: request.body_sha256.to_string(),
            body_text: request.body_text,
            body_base64: request.body_base64,
            redacted: request.redacted.iter().map(ToString::to_string).collect(),
        },
        messages: approval.messages.iter().map(message).collect(),
        reviews: approval.reviews.iter().map(review).collect(),
        outcome: outcome(&approval.state),
        closure: approval.closure.iter().cloned().collect(),
        agent_context: approval.context.clone(),
        min_assurance: assurance_name(approval.obligations.assurance).to_owned(),
        require_reason: approval.obligations.require_reason,
        policy: approval.policy.to_string(),
        decision_id: approval.decision.to_string(),
        facts: Some(facts(approval)),
    }
}

fn facts(approval: &Approval) -> PolicyFacts {
    let principal = &approval.principal;
    PolicyFacts {
        kind: match principal.kind {
            PrincipalKind::Agent => "agent".to_owned(),
        },
        groups: principal.groups.clone(),
        claims: principal.claims.clone(),
        authn_method: principal.authn.method.clone(),
        key_id: principal.authn.key_id.clone(),
        chain: principal.chain.clone(),
        labels: approval.upstream.labels.clone(),
    }
}

fn body(request: &ShownRequest, complete: bool, this: &str) -> BodyView {
    let (readable_bytes, readable_sha256) = request.readable();
    BodyView {
        bytes: request.body_bytes,
        sha256: request.body_sha256.to_string(),
        coding: request.decoded.as_ref().map(|decoded| decoded.coding.clone()),
        readable_bytes,
        readable_sha256: readable_sha256.to_string(),
        inline: request.long_bytes().is_none(),
        complete,
        link: format!("{this}/body"),
    }
}

/// Why the viewer may not approve it now, as a word and in words; `None` if they may. A hint for
/// surfaces: what counts is what `Approvals::decide` says.
pub(super) fn why_not(approval: &Approval, viewer: Viewer<'_>) -> Option<(String, String)> {
    let said = |error: ApprovalError| {
        let refused = Refused::from(error.clone());
        Some((refused.code().as_str().to_owned(), error.to_string()))
    };
    match &approval.state {
        State::Pending if viewer.now < approval.expires => {}
        State::Pending | State::Expired { .. } => return said(ApprovalError::Expired(approval.id)),
        state => return said(ApprovalError::AlreadyDecided { approval: approval.id, state: state.name() }),
    }
    let person = viewer.people.canonical_person(viewer.person);
    if let Err(error) = approval.may_review(&person, viewer.people, viewer.now) {
        return said(error);
    }
    if approval.approving().any(|review| review.person == person) {
        return Some((
            "already-reviewed".to_owned(),
            "you have approved it already; others have to as well".to_owned(),
        ));
    }
    let needed = approval.obligations.assurance;
    if ASSURANCE < needed {
        let (needed, given) = (assurance_name(needed), assurance_name(ASSURANCE));
        return said(ApprovalError::NeedsAssurance { needed, given });
    }
    None
}

fn quorum(approval: &Approval, viewer: Viewer<'_>) -> Quorum {
    let slots: Vec<SlotView> = approval
        .slots(viewer.people, viewer.now)
        .into_iter()
        .map(|slot| SlotView {
            group: slot.group,
            person: slot.person.map(|person| person.to_string()),
            stands_in: slot.stands_in,
        })
        .collect();
    let have = slots.iter().filter(|slot| slot.person.is_some()).count();
    let escalation = approval.escalates().map(|(begins, step)| EscalationView {
        begins_at: begins,
        begun: begins <= viewer.now,
        reviewers: step
            .reviewers
            .iter()
            .map(|need| StandInView { group: need.group.clone(), count: need.count })
            .collect(),
    });
    Quorum { needed: slots.len(), have, slots, escalation: escalation.collect() }
}

fn action(action: &Action) -> ActionView {
    ActionView {
        name: action.name.clone(),
        kind: action.kind.as_str().to_owned(),
        access: action.access.as_str().to_owned(),
        resource: action.resource.clone(),
        irreversible: action.irreversible,
        summary: action.summary.clone(),
    }
}

fn message(message: &ThreadMessage) -> MessageView {
    let kind = match message.kind {
        MessageKind::Question => "question",
        MessageKind::Answer => "answer",
    };
    MessageView { by: message.by.clone(), kind: kind.to_owned(), text: message.text.clone(), at: message.at }
}

fn review(review: &Review) -> ReviewView {
    ReviewView {
        person: review.person.to_string(),
        verdict: review.verdict.as_str().to_owned(),
        groups: review.groups.clone(),
        channel: review.channel.as_str().to_owned(),
        assurance: assurance_name(review.assurance).to_owned(),
        reason: review.reason.clone(),
        at: review.at,
    }
}

fn outcome(state: &State) -> Option<Outcome> {
    let since = |at| Outcome { at, by: None, reason: None, upstream_status: None, claim_until: None };
    Some(match state.clone() {
        State::Pending => return None,
        State::Approved { at, claim_until } => Outcome { claim_until: Some(claim_until), ..since(at) },
        State::Completed { at, status } => Outcome { upstream_status: Some(status), ..since(at) },
        State::Failed { at, reason } | State::Unknown { at, reason } | State::Revoked { at, reason } => {
            Outcome { reason: Some(reason), ..since(at) }
        }
        State::Denied { at, by, reason } => Outcome { by: Some(by.to_string()), reason, ..since(at) },
        State::Withdrawn { at, by, reason } => Outcome { by: Some(by), reason, ..since(at) },
        State::Forwarding { at, .. } | State::Expired { at } | State::Lapsed { at } => since(at),
    })
}

fn links(id: &str) -> Links {
    let this = format!("/v1/approvals/{id}");
    Links {
        decisions: format!("{this}/decisions"),
        cancel: format!("{this}/cancel"),
        messages: format!("{this}/messages"),
        events: format!("{this}/events"),
        this,
    }
}

fn state_name(state: &State) -> StateName {
    match state {
        State::Pending => StateName::Pending,
        State::Approved { .. } => StateName::Approved,
        State::Forwarding { .. } => StateName::Forwarding,
        State::Completed { .. } => StateName::Completed,
        State::Failed { .. } => StateName::Failed,
        State::Unknown { .. } => StateName::Unknown,
        State::Denied { .. } => StateName::Denied,
        State::Expired { .. } => StateName::Expired,
        State::Withdrawn { .. } => StateName::Withdrawn,
        State::Revoked { .. } => StateName::Revoked,
        State::Lapsed { .. } => StateName::Lapsed,
    }
}

fn risk_name(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}

fn assurance_name(assurance: Assurance) -> &'static str {
    match assurance {
        Assurance::Chat => "chat",
        Assurance::Session => "session",
        Assurance::Stepup => "stepup",
    }
}
