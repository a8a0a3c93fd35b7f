//! Approvals as the API shows them: the contract with its clients, apart from how they are kept.

use serde::Serialize;
use utoipa::ToSchema;

use crate::approval::Approval;
use crate::approval::MessageKind;
use crate::approval::Review;
use crate::approval::ShownRequest;
use crate::approval::Slot;
use crate::approval::State;
use crate::approval::ThreadMessage;
use crate::approval::is_met;
use crate::identity::People;
use crate::model::PersonId;

/// An approval in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Item {
    /// Its name, `apr_` and 32 hex digits.
    pub(super) id: String,
    /// Where it stands: pending, approved, forwarding, completed, failed, unknown, denied, expired,
    /// withdrawn, revoked or lapsed.
    state: &'static str,
    /// When it entered this state; absent while it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<String>,
    /// Why it ended as it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome_reason: Option<String>,
    /// The status of the upstream's answer, once the call has run.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    /// Binds a decision to exactly this call; send it back with yours.
    digest: String,
    /// When the call was first held.
    created_at: String,
    /// When it expires if nobody decides.
    expires_at: String,
    /// Who calls.
    principal: Caller,
    /// Where the call goes.
    upstream: Destination,
    /// What it would do.
    actions: Vec<Deed>,
    /// The method.
    method: String,
    /// The host that the agent asked for.
    authority: String,
    /// Path and query as they will be sent.
    target: String,
    /// The rules that hold it.
    rules: Vec<String>,
    /// Why they do, from the policy.
    reasons: Vec<String>,
    /// low, medium, high or critical, from the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<String>,
    /// True if the policy calls it irreversible.
    irreversible: bool,
    /// Why the agent says that it calls: written by the agent, unverified.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_reason: Option<String>,
    /// The agent's ticket or session: written by the agent, unverified.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_context: Option<String>,
    /// Whether its caller waits right now; if not, an approved call runs when the caller comes again.
    caller_connected: bool,
    /// Who has to approve, and who has.
    quorum: Quorum,
    /// Whether you can decide.
    can_decide: CanDecide,
    /// The question that nobody has answered yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_question: Option<String>,
}

/// An approval with all there is to know of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Detail {
    #[serde(flatten)]
    item: Item,
    /// The whole call, as it was hashed and will be sent, credential aside.
    request: Request,
    /// What people have answered, in order.
    reviews: Vec<ReviewView>,
    /// Questions and answers, in order.
    messages: Vec<Message>,
    /// The least assurance that an approving decision needs: chat, session or stepup.
    min_assurance: String,
    /// Whether an approving decision needs a reason.
    reason_required: bool,
    /// The policy that held it.
    policy_digest: String,
    /// That policy's answer.
    decision_id: String,
    /// How often the record has changed.
    version: u64,
}

/// Who calls.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Caller {
    /// Its configured name.
    id: String,
    /// The people who answer for it.
    owners: Vec<String>,
    /// On whose behalf it acts, nearest first.
    chain: Vec<String>,
}

/// Where a call goes.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Destination {
    /// Its configured name.
    name: String,
    /// Such as `production`.
    environment: String,
}

/// One thing that a call would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Deed {
    /// Such as `openapi:exportCustomers`.
    name: String,
    /// What it amounts to, such as `data-export`.
    kind: &'static str,
    /// `read` or `write`.
    access: &'static str,
    /// What it is done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// One sentence, from the dialect's own documents and never from the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
}

/// Who has to approve, and who has.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Quorum {
    /// How many people are needed.
    needed: usize,
    /// How many places are filled.
    have: usize,
    /// Whether all are.
    met: bool,
    /// Each place.
    slots: Vec<Place>,
}

/// One place to be filled by one person of a group.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Place {
    /// The group.
    group: String,
    /// Who fills it.
    person: Option<String>,
}

/// Whether you can decide, and why not.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct CanDecide {
    allowed: bool,
    /// The reason as a word, from the codes of problems.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The reason in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

/// One field of a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct HeaderField {
    name: String,
    value: String,
}

/// The whole call.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Request {
    method: String,
    authority: String,
    target: String,
    /// Every field, in the order of its name.
    headers: Vec<HeaderField>,
    /// How many bytes the body has.
    body_bytes: u64,
    /// The hash of the body.
    body_sha256: String,
    /// The body, where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_text: Option<String>,
    /// The body in Base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// What one person has answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ReviewView {
    person: String,
    verdict: &'static str,
    groups: Vec<String>,
    channel: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    at: String,
}

/// One contribution to the talk about a call.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Message {
    by: String,
    /// `question` or `answer`. What an agent says is unverified.
    kind: &'static str,
    text: String,
    at: String,
}

impl Item {
    /// `approval` as `person` sees it.
    pub(super) fn new(approval: &Approval, person: &PersonId, people: &People) -> Self {
        let (outcome_reason, upstream_status) = outcome(&approval.state);
        Self {
            id: approval.id.to_string(),
            state: approval.state.name(),
            decided_at: approval.state.since().map(|at| at.to_string()),
            outcome_reason,
            upstream_status,
            digest: approval.digest.to_string(),
            created_at: approval.created.to_string(),
            expires_at: approval.expires.to_string(),
            principal: Caller {
                id: approval.principal.id.clone(),
                owners: approval.principal.owners.iter().map(ToString::to_string).collect(),
                chain: approval.principal.chain.clone(),
            },
            upstream: Destination {
                name: approval.upstream.name.clone(),
                environment: approval.upstream.environment.clone(),
            },
            actions: approval.actions.iter().map(Deed::new).collect(),
            method: approval.line.method.clone(),
            authority: approval.line.authority.clone(),
            target: approval.line.target.clone(),
            rules: approval.obligations.rules.clone(),
            reasons: approval.obligations.reasons.clone(),
            risk: approval.obligations.risk.map(word),
            irreversible: approval.obligations.irreversible,
            agent_reason: approval.reason.clone(),
            agent_context: approval.context.clone(),
            caller_connected: approval.caller.is_some(),
            quorum: Quorum::new(&approval.slots(people)),
            can_decide: CanDecide::new(approval, person, people),
            open_question: approval.open_question().map(|message| message.text.clone()),
        }
    }

    /// Whether the person for whom it was made can decide.
    pub(super) fn is_decidable(&self) -> bool {
        self.can_decide.allowed
    }
}

impl Detail {
    /// `approval`, whole, as `person` sees it.
    pub(super) fn new(approval: &Approval, request: ShownRequest, person: &PersonId, people: &People) -> Self {
        Self {
            item: Item::new(approval, person, people),
            request: Request::new(request),
            reviews: approval.reviews.iter().map(ReviewView::new).collect(),
            messages: approval.messages.iter().map(Message::new).collect(),
            min_assurance: word(approval.obligations.assurance),
            reason_required: approval.obligations.require_reason,
            policy_digest: approval.policy.to_string(),
            decision_id: approval.decision.to_string(),
            version: approval.version,
        }
    }
}

fn outcome(state: &State) -> (Option<String>, Option<u16>) {
    match state {
        State::Completed { status, .. } => (None, Some(*status)),
        State::Denied { reason, .. } | State::Withdrawn { reason, .. } => (reason.clone(), None),
        State::Failed { reason, .. } | State::Unknown { reason, .. } | State::Revoked { reason, .. } => {
            (Some(reason.clone()), None)
        }
        State::Pending
        | State::Approved { .. }
        | State::Forwarding { .. }
        | State::Expired { .. }
        | State::Lapsed { .. } => (None, None),
    }
}

/// The word that serde has for a value without fields.
fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

impl Deed {
    fn new(action: &crate::model::Action) -> Self {
        Self {
            name: action.name.clone(),
            kind: action.kind.as_str(),
            access: action.access.as_str(),
            resource: action.resource.clone(),
            summary: action.summary.clone(),
        }
    }
}

impl Quorum {
    fn new(slots: &[Slot]) -> Self {
        let have = slots.iter().filter(|slot| slot.person.is_some()).count();
        let places = slots
            .iter()
            .map(|slot| Place { group: slot.group.clone(), person: slot.person.as_ref().map(ToString::to_string) });
        Self { needed: slots.len(), have, met: is_met(slots), slots: places.collect() }
    }
}

impl CanDecide {
    fn new(approval: &Approval, person: &PersonId, people: &People) -> Self {
        let refuse = |code, why_not: String| Self { allowed: false, code: Some(code), why_not: Some(why_not) };
        if let Err(error) = approval.may_review(person, people) {
            return refuse(error.code(), error.to_string());
        }
        if approval.state != State::Pending {
            return refuse("already-decided", format!("it is {} already", approval.state.name()));
        }
        Self { allowed: true, code: None, why_not: None }
    }
}

impl Request {
    fn new(request: ShownRequest) -> Self {
        let headers = request.headers.into_iter().map(|(name, value)| HeaderField { name, value });
        Self {
            method: request.line.method,
            authority: request.line.authority,
            target: request.line.target,
            headers: headers.collect(),
            body_bytes: request.body_bytes,
            body_sha256: request.body_sha256.to_string(),
            body_text: request.body_text,
            body_base64: request.body_base64,
        }
    }
}

impl ReviewView {
    fn new(review: &Review) -> Self {
        Self {
            person: review.person.to_string(),
            verdict: review.verdict.as_str(),
            groups: review.groups.clone(),
            channel: review.channel.as_str(),
            reason: review.reason.clone(),
            at: review.at.to_string(),
        }
    }
}

impl Message {
    fn new(message: &ThreadMessage) -> Self {
        let kind = match message.kind {
            MessageKind::Question => "question",
            MessageKind::Answer => "answer",
        };
        Self { by: message.by.clone(), kind, text: message.text.clone(), at: message.at.to_string() }
    }
}
