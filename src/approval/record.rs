//! The record of one approval: who asks, for what exactly, who has reviewed it, and how it ended.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::model::Action;
use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::CallDigest;
use crate::model::CallId;
use crate::model::CanonicalHasher;
use crate::model::DecisionId;
use crate::model::HoldObligations;
use crate::model::PersonId;
use crate::model::PolicyDigest;
use crate::model::Principal;
use crate::model::Sha256;
use crate::model::Timestamp;
use crate::model::Upstream;

use super::seal::Seal;

/// The record of one approval. Changes only by [`Approval::apply`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Its name.
    pub id: ApprovalId,
    /// How often it has changed; stores compare it before they write.
    pub version: u64,
    /// When the call was first held.
    pub created: Timestamp,
    /// When it expires if nobody has decided.
    pub expires: Timestamp,
    /// Who calls.
    pub principal: Principal,
    /// Every name that stands behind the caller and so must not approve.
    pub closure: BTreeSet<String>,
    /// Where the call goes.
    pub upstream: Upstream,
    /// What it would do; at least one.
    pub actions: Vec<Action>,
    /// The call in one line, such as `GET /customers/export`.
    pub line: RequestLine,
    /// The hash of the whole request as reviewers are shown it ([`ShownRequest::hash`]).
    pub request_sha256: Sha256,
    /// Binds reviews to exactly this call.
    pub digest: CallDigest,
    /// The policy that held it.
    pub policy: PolicyDigest,
    /// That policy's answer.
    pub decision: DecisionId,
    /// What the policy asks for.
    pub obligations: HoldObligations,
    /// Why, in the agent's own words; not to be believed.
    pub reason: Option<String>,
    /// The agent's ticket or session; not to be believed.
    pub context: Option<String>,
    /// Where it stands.
    pub state: State,
    /// The reviews so far, in order. Whoever has approved may still deny, and that counts.
    pub reviews: Vec<Review>,
    /// Questions and answers, in order.
    pub messages: Vec<ThreadMessage>,
    /// The call that waits on an open connection, if one does.
    pub caller: Option<CallId>,
    /// Our signature over all of this. A record without it was written by somebody else.
    pub seal: Option<Seal>,
    /// The hash of its latest event in the audit log.
    pub link: Option<Sha256>,
}

/// A request in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// The method.
    pub method: String,
    /// The host that the agent asked for.
    pub authority: String,
    /// Path and query as they will be sent.
    pub target: String,
}

/// The whole request as reviewers see it. It is what was hashed, and what will be sent, credential
/// aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownRequest {
    /// Method, host and target.
    #[serde(flatten)]
    pub line: RequestLine,
    /// Every field, in the order of its name.
    pub headers: Vec<(String, String)>,
    /// How many bytes the body has.
    pub body_bytes: u64,
    /// The hash of the body.
    pub body_sha256: Sha256,
    /// What the body stands for, where it is in a content coding. Then this is what is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoded: Option<DecodedBody>,
    /// The body, where it is UTF-8 and not longer than [`SHOWN_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_text: Option<String>,
    /// The body in Base64, where it is not UTF-8 and not longer than [`SHOWN_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// A body without the content coding that it is sent in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodedBody {
    /// The name of the coding, such as `gzip`.
    pub coding: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// The hash of these bytes.
    pub sha256: Sha256,
}

/// The longest body that stands in the request itself. A longer one is stored beside it, in
/// pieces, and read when somebody asks for it: nobody reads more than this on a page, and a list
/// of approvals or a look at one of them must stay quick.
pub const SHOWN_BYTES_MAX: u64 = 64 << 10;

impl ShownRequest {
    /// The length and the hash of the body as it is shown: without its content coding.
    pub fn readable(&self) -> (u64, Sha256) {
        match &self.decoded {
            Some(decoded) => (decoded.bytes, decoded.sha256),
            None => (self.body_bytes, self.body_sha256),
        }
    }

    /// How many bytes the body has as it is shown, if it does not stand here.
    pub fn long_bytes(&self) -> Option<u64> {
        let (bytes, _) = self.readable();
        (bytes > 0 && self.body_text.is_none() && self.body_base64.is_none()).then_some(bytes)
    }

    /// The hash of what is shown, by which an approval is bound to it.
    pub fn hash(&self) -> Sha256 {
        let mut hasher = CanonicalHasher::new("holdpoint/shown/v1");
        for text in [&self.line.method, &self.line.authority, &self.line.target] {
            hasher.field(text.as_bytes());
        }
        hasher.count(self.headers.len());
        for (name, value) in &self.headers {
            hasher.field(name.as_bytes());
            hasher.field(value.as_bytes());
        }
        hasher.field(&self.body_bytes.to_be_bytes());
        hasher.field(self.body_sha256.as_bytes());
        for body in [&self.body_text, &self.body_base64] {
            hasher.count(usize::from(body.is_some()));
            hasher.field(body.as_deref().unwrap_or_default().as_bytes());
        }
        // Nothing stands behind the rest, so a request without a coding has the hash it always had.
        if let Some(DecodedBody { coding, bytes, sha256 }) = &self.decoded {
            hasher.field(coding.as_bytes());
            hasher.field(&bytes.to_be_bytes());
            hasher.field(sha256.as_bytes());
        }
        hasher.finish()
    }
}

/// Where an approval stands. `Pending` and `Approved` are open; `Forwarding` is under way; all
/// others are final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum State {
    /// Nobody has decided.
    Pending,
    /// Enough people have approved; it waits for its caller to run it.
    Approved {
        /// When the last needed approval came.
        at: Timestamp,
        /// Until when a caller may claim it.
        claim_until: Timestamp,
    },
    /// One run has claimed it; bytes may have left.
    Forwarding {
        /// When it was claimed.
        at: Timestamp,
        /// The call that runs.
        run: CallId,
        /// Until when a caller might have claimed it, should the claim be given back.
        claim_until: Timestamp,
    },
    /// The upstream has answered.
    Completed {
        /// When.
        at: Timestamp,
        /// The HTTP status of its answer.
        status: u16,
    },
    /// It did not run: nothing was sent.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// It may have run: bytes were sent, and no answer came.
    Unknown {
        /// When.
        at: Timestamp,
        /// What is known.
        reason: String,
    },
    /// A reviewer has denied it.
    Denied {
        /// When.
        at: Timestamp,
        /// Who.
        by: PersonId,
        /// Why, for the agent to read.
        reason: Option<String>,
    },
    /// Nobody decided in time.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Somebody behind the caller has taken the call back.
    Withdrawn {
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// It was approved, and is not any more.
    Revoked {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// It was approved, and no caller came for it in time.
    Lapsed {
        /// When.
        at: Timestamp,
    },
}

impl State {
    /// The word for records, API and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Forwarding { .. } => "forwarding",
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Unknown { .. } => "unknown",
            Self::Denied { .. } => "denied",
            Self::Expired { .. } => "expired",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Revoked { .. } => "revoked",
            Self::Lapsed { .. } => "lapsed",
        }
    }

    /// Every word that [`Self::name`] can say.
    pub const NAMES: [&'static str; 11] = [
        "pending",
        "approved",
        "forwarding",
        "completed",
        "failed",
        "unknown",
        "denied",
        "expired",
        "withdrawn",
        "revoked",
        "lapsed",
    ];

    /// Whether nothing will happen to it any more.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Pending | Self::Approved { .. } | Self::Forwarding { .. } => false,
            Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Unknown { .. }
            | Self::Denied { .. }
            | Self::Expired { .. }
            | Self::Withdrawn { .. }
            | Self::Revoked { .. }
            | Self::Lapsed { .. } => true,
        }
    }

    /// Whether a caller may still come to wait for it or run it.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::Approved { .. })
    }

    /// When it entered this state; `None` while it is pending.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Pending => None,
            Self::Approved { at, .. }
            | Self::Forwarding { at, .. }
            | Self::Completed { at, .. }
            | Self::Failed { at, .. }
            | Self::Unknown { at, .. }
            | Self::Denied { at, .. }
            | Self::Expired { at }
            | Self::Withdrawn { at, .. }
            | Self::Revoked { at, .. }
            | Self::Lapsed { at } => Some(*at),
        }
    }
}

/// What one person answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who, by their canonical name.
    pub person: PersonId,
    /// Approve or deny.
    pub verdict: ReviewVerdict,
    /// Which of the required groups they were in.
    pub groups: Vec<String>,
    /// By which channel.
    pub channel: Channel,
    /// How sure we are that it was them.
    pub assurance: Assurance,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The two answers that settle something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewVerdict {
    /// The call may run.
    Approve,
    /// The call may not run.
    Deny,
}

impl ReviewVerdict {
    /// The word for records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// By which channel somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// The admin API, and the CLI that uses it.
    Api,
    /// The web inbox.
    Web,
    /// The call itself, as the agent made it.
    Call,
}

impl Channel {
    /// The word for records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Web => "web",
            Self::Call => "call",
        }
    }
}

/// One contribution to the talk about a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadMessage {
    /// Who speaks: a person's name, or the principal's id.
    pub by: String,
    /// Whether it asks or answers.
    pub kind: MessageKind,
    /// What they say. An agent's words are not to be believed.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// Whether a message asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// A reviewer's question to the agent.
    Question,
    /// What the agent, or somebody behind it, says to that.
    Answer,
}

impl Approval {
    /// The question that nobody has answered yet, if there is one.
    pub fn open_question(&self) -> Option<&ThreadMessage> {
        self.messages.last().filter(|message| message.kind == MessageKind::Question)
    }

    /// The moment at which the sweep has something to do: expiry, or the end of the claim.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending => Some(self.expires),
            State::Approved { claim_until, .. } => Some(claim_until),
            State::Forwarding { .. }
            | State::Completed { .. }
            | State::Failed { .. }
            | State::Unknown { .. }
            | State::Denied { .. }
            | State::Expired { .. }
            | State::Withdrawn { .. }
            | State::Revoked { .. }
            | State::Lapsed { .. } => None,
        }
    }

    /// The approving reviews, in order.
    pub fn approving(&self) -> impl Iterator<Item = &Review> {
        self.reviews.iter().filter(|review| review.verdict == ReviewVerdict::Approve)
    }
}
