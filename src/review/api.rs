//! The words of the admin API: what its answers and bodies look like in JSON.
//!
//! These types are the contract with other programs. They are apart from the records of
//! `approval`, so that neither can change the other by accident. Fields may be added; a client
//! ignores those it does not know. All texts that an agent wrote are as the agent wrote them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::Timestamp;

/// Why there is no other answer (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the sort of problem, as a URI.
    #[serde(rename = "type")]
    #[schema(example = "https://holdpoint.dev/problems/own-request")]
    pub kind: String,
    /// The sort of problem in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// The sort of problem as a word.
    #[schema(example = "own-request")]
    pub code: String,
    /// The approval it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
}

/// One page of approvals, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// The approvals.
    pub items: Vec<Item>,
    /// What to send as `after` for the next page; null on the last one.
    #[schema(required)]
    pub next: Option<String>,
}

/// One approval in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// Its name.
    #[schema(example = "apr_0198c2f0a1b27c3d8e4f5a6b7c8d9e0f")]
    pub id: String,
    /// Where it stands.
    pub state: StateName,
    /// How often it has changed.
    pub version: u64,
    /// When the call was first held.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it expires if nobody has decided.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The agent that calls.
    pub principal: Requester,
    /// Where the call goes.
    pub upstream: UpstreamName,
    /// The call in one line.
    pub call: CallLine,
    /// What the call would do; at least one.
    pub actions: Vec<ActionView>,
    /// Binds decisions to exactly this call; people compare its first eight hex digits.
    #[schema(example = "sha256:3f9a77c1…", pattern = "^sha256:[0-9a-f]{64}$")]
    pub digest: String,
    /// The rules that hold it.
    pub rules: Vec<String>,
    /// What the rules say about why.
    pub reasons: Vec<String>,
    /// How bad it would be if the call were wrong: `low`, `medium`, `high` or `critical`.
    #[schema(required)]
    pub risk: Option<String>,
    /// Whether a rule or the dialect says that it cannot be undone.
    pub irreversible: bool,
    /// Why, in the agent's own words. Written by the agent and not verified by anybody.
    #[schema(required)]
    pub agent_reason: Option<String>,
    /// Who must approve, and who has.
    pub quorum: Quorum,
    /// The channels by which the policy wants reviewers to hear of it; empty where it names none.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Within what bounds the like of it may be allowed again; null where the policy offers none.
    #[serde(default)]
    #[schema(required)]
    pub grant: Option<GrantView>,
    /// Whether the one who asks may approve it now.
    pub can_decide: CanDecide,
    /// The agent's connection.
    pub caller: Caller,
    /// The question that nobody has answered yet.
    #[schema(required)]
    pub open_question: Option<MessageView>,
    /// Where else to look.
    pub links: Links,
}

/// One approval with everything there is to know before deciding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Detail {
    /// The same as in a page.
    #[serde(flatten)]
    pub item: Item,
    /// The whole call: what was hashed, and what will be sent, credential aside.
    pub request: RequestView,
    /// What to know of its body, and where it can be read whole.
    pub body: BodyView,
    /// Questions and answers, in order.
    pub messages: Vec<MessageView>,
    /// The reviews so far, in order.
    pub reviews: Vec<ReviewView>,
    /// How it ended or where it stands; null while it is pending.
    #[schema(required)]
    pub outcome: Option<Outcome>,
    /// Every name that stands behind the caller; none of them may approve.
    pub closure: Vec<String>,
    /// The agent's ticket or session, in its own words; not verified by anybody.
    #[schema(required)]
    pub agent_context: Option<String>,
    /// The least assurance that an approving review needs: `chat`, `session` or `stepup`.
    pub min_assurance: String,
    /// Whether an approving review needs a reason.
    pub require_reason: bool,
    /// The policies that hold it.
    pub policy: String,
    /// The policy's answer, as in the audit log.
    pub decision_id: String,
    /// What else the policy was told about caller and upstream; older servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<PolicyFacts>,
}

/// What a policy is told about caller and upstream beyond their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyFacts {
    /// What sort of caller it is.
    pub kind: String,
    /// The caller's groups.
    pub groups: Vec<String>,
    /// What the operator wrote about the caller.
    pub claims: BTreeMap<String, serde_json::Value>,
    /// How the caller proved who it is, such as `api-key`.
    pub authn_method: String,
    /// The public id of the caller's credential.
    pub key_id: String,
    /// On whose behalf it acts, nearest first.
    pub chain: Vec<String>,
    /// The operator's labels of the upstream.
    pub labels: BTreeMap<String, String>,
}

/// Where an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StateName {
    /// Nobody has decided.
    Pending,
    /// Enough people have approved; it waits for its caller to run it.
    Approved,
    /// It is running.
    Forwarding,
    /// It ran, and the upstream has answered.
    Completed,
    /// It did not run: nothing was sent.
    Failed,
    /// It may have run: bytes were sent, and no answer came.
    Unknown,
    /// A reviewer has denied it.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// Somebody behind the caller has taken it back.
    Withdrawn,
    /// It was approved, and is not any more.
    Revoked,
    /// It was approved, and no caller came for it in time.
    Lapsed,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Requester {
    /// Its configured name.
    pub id: String,
    /// The people who answer for it.
    pub owners: Vec<String>,
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamName {
    /// Its configured name.
    pub name: String,
    /// Such as `production`; empty where the operator named none.
    pub environment: String,
}

/// A request in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallLine {
    /// The method.
    pub method: String,
    /// The host that the agent asked for.
    pub authority: String,
    /// Path and query as they will be sent.
    pub target: String,
}

/// One thing that a call would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionView {
    /// Dialect and operation, such as `openapi:exportCustomers`.
    pub name: String,
    /// What it amounts to, such as `data-export`.
    pub kind: String,
    /// `read` or `write`.
    pub access: String,
    /// What it is done to.
    #[schema(required)]
    pub resource: Option<String>,
    /// True where it cannot be undone.
    pub irreversible: bool,
    /// One sentence from the dialect's own documents, never from the agent.
    #[schema(required)]
    pub summary: Option<String>,
}

/// The whole request. Fields and body are as the agent sent them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// The method.
    pub method: String,
    /// The host that the agent asked for.
    pub authority: String,
    /// Path and query as they will be sent.
    pub target: String,
    /// Every field, in the order of its name; trailer fields are named `trailer …`.
    pub headers: Vec<HeaderView>,
    /// How many bytes the body has.
    pub body_bytes: u64,
    /// The SHA-256 of the body; with a secret before it, where parts of the body are redacted.
    pub body_sha256: String,
    /// The body without its content coding, where it is UTF-8, not empty, and not longer than
    /// 64 KiB.
    #[schema(required)]
    pub body_text: Option<String>,
    /// The body without its content coding, in Base64, where it is not UTF-8 and not longer than
    /// 64 KiB.
    #[schema(required)]
    pub body_base64: Option<String>,
    /// What the policy shows only as hashes, as JSON pointers such as `/body/card/number`; only
    /// those that were there.
    #[serde(default)]
    pub redacted: Vec<String>,
}

/// What to know of the body of a call, and where it can be read whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BodyView {
    /// How many bytes it has as it will be sent.
    pub bytes: u64,
    /// The SHA-256 of these bytes; with a secret before it, where parts of the body are redacted.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub sha256: String,
    /// The content coding that it will be sent in: `gzip`, `deflate`, `br` or `zstd`. People read
    /// it without.
    #[schema(required)]
    pub coding: Option<String>,
    /// How many bytes it has as people read it: without its coding, and with hashes in the place of
    /// what is redacted.
    pub readable_bytes: u64,
    /// The SHA-256 of these bytes.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub readable_sha256: String,
    /// Whether all of it stands in `request`, so that there is no need to fetch it.
    pub inline: bool,
    /// Whether all of it can be read, here or at `link`. Where it cannot, nobody can approve; once
    /// an approval is over, a long body is not kept.
    pub complete: bool,
    /// Where all of it is as people read it.
    pub link: String,
}

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeaderView {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Who must approve, and who has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quorum {
    /// How many distinct people are needed.
    pub needed: usize,
    /// How many there are.
    pub have: usize,
    /// Every place to be filled.
    pub slots: Vec<SlotView>,
    /// Who else may fill a place, and from when on.
    #[serde(default)]
    pub escalation: Vec<EscalationView>,
}

/// One step of an escalation: it adds people who may approve, and never lowers how many must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EscalationView {
    /// When it begins.
    #[schema(value_type = String, format = DateTime)]
    pub begins_at: Timestamp,
    /// Whether it has begun.
    pub begun: bool,
    /// Up to so many people of these groups may then fill any place.
    pub reviewers: Vec<StandInView>,
}

/// A group whose people may stand in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StandInView {
    /// The group.
    pub group: String,
    /// How many of its people.
    pub count: u32,
}

/// Within what bounds the policy lets reviewers allow the like of a call again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    /// How many calls.
    pub max_uses: u32,
    /// For how long, in seconds.
    pub max_duration_seconds: u64,
}

/// One place to be filled by one person of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlotView {
    /// The group.
    pub group: String,
    /// Who fills it.
    #[schema(required)]
    pub person: Option<String>,
    /// The group by which they do, where it is one that stands in; null otherwise.
    #[serde(default)]
    #[schema(required)]
    pub stands_in: Option<String>,
}

/// Whether the one who asks may approve it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CanDecide {
    /// Whether they may.
    pub allowed: bool,
    /// Why not, in words.
    #[schema(required)]
    pub why_not: Option<String>,
    /// Why not, as a word: `own-request`, `not-reviewer`, `needs-step-up`, `already-reviewed`,
    /// `already-decided`, `expired` or `body-gone`.
    #[schema(required)]
    pub code: Option<String>,
}

/// The agent's connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Caller {
    /// Whether it waits. If not, an approved call runs once the agent makes it again.
    pub connected: bool,
}

/// One contribution to the talk about a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// Who speaks: a person's name, or the agent's.
    pub by: String,
    /// `question` or `answer`.
    pub kind: String,
    /// What they say. An agent's words are not verified by anybody.
    pub text: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What one person answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewView {
    /// Who.
    pub person: String,
    /// `approve` or `deny`.
    pub verdict: String,
    /// Which of the required groups they were in.
    pub groups: Vec<String>,
    /// By which channel.
    pub channel: String,
    /// How sure we are that it was them: `chat`, `session` or `stepup`.
    pub assurance: String,
    /// Why.
    #[schema(required)]
    pub reason: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// How an approval ended, or where it stands after somebody has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who has denied or withdrawn it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The HTTP status of the upstream's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// Until when the agent may come for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub claim_until: Option<Timestamp>,
}

/// Where else to look, as paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Links {
    /// The approval itself.
    #[serde(rename = "self")]
    pub this: String,
    /// Where to decide.
    pub decisions: String,
    /// Where to withdraw the call.
    pub cancel: String,
    /// Where to answer a question.
    pub messages: String,
    /// What happens to it.
    pub events: String,
}

/// What a person can say about an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictName {
    /// It may run.
    Approve,
    /// It may not run.
    Deny,
    /// A question first; the approval stays open.
    Ask,
    /// Somebody behind the caller takes it back.
    Withdraw,
}

/// A decision about exactly the call that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionBody {
    /// What is said.
    pub verdict: VerdictName,
    /// The digest of the call that was looked at, in full. Required for all but `withdraw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub digest: Option<String>,
    /// Why, at most 4096 bytes; with `ask`, the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelBody {
    /// Why, at most 4096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An answer to the open question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageBody {
    /// The answer, at most 4096 bytes.
    pub text: String,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Their name.
    pub person: String,
    /// The reviewer groups they are in.
    pub groups: Vec<String>,
    /// When their session ends, if they are signed in by one and not by a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub session_expires: Option<Timestamp>,
}

/// What a person has to do so that a program is signed in (RFC 8628).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceStart {
    /// What the program asks with meanwhile; a secret.
    pub device: String,
    /// What the person types in.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// How many seconds there are for it.
    pub expires_in: u64,
    /// How many seconds to wait between two questions.
    pub interval: u64,
}

/// Asks what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceBody {
    /// The `device` of the beginning.
    pub device: String,
}

/// What came of it so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceSession {
    /// `pending` or `signed-in`.
    pub state: String,
    /// The session, for `Authorization: Bearer`; told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
}

/// Something that has happened to an approval; the data of one server-sent event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Its place in the order of all changes; the event's `id` as well.
    pub seq: u64,
    /// What happened, such as `approval.approved`; the event's name as well.
    pub kind: String,
    /// Which approval it is about.
    pub approval: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}
