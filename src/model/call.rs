//! The unit we decide on: one HTTP request today, one query of another protocol tomorrow.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;

use super::action::Actions;
use super::canonical;
use super::digest::CallDigest;
use super::digest::CanonicalHasher;
use super::digest::PolicyDigest;
use super::digest::Sha256;
use super::ids::ApprovalId;
use super::ids::CallId;
use super::kept::KeptBody;
use super::principal::Principal;
use super::time::Timestamp;
use super::upstream::Upstream;

/// One call, parsed once and never changed: what is classified, hashed, shown, approved and sent
/// is this value.
#[derive(Clone, Debug)]
pub struct Call {
    /// Names the call in logs and the audit log.
    pub id: CallId,
    /// When its head had been read.
    pub received: Timestamp,
    /// Who calls.
    pub principal: Arc<Principal>,
    /// Where it goes.
    pub upstream: Arc<Upstream>,
    /// What it would do.
    pub actions: Actions,
    /// What will be sent, credential aside.
    pub message: Message,
    /// Why, in the agent's own words (`Approval-Reason`); not to be believed.
    pub reason: Option<String>,
    /// The agent's ticket or session (`Approval-Context`); not to be believed.
    pub context: Option<String>,
    /// The approval that the agent says it comes back for (`Approval-Id`).
    pub resumes: Option<ApprovalId>,
    /// Whether the agent wants an answer at once rather than wait (RFC 7240 §4.1).
    pub respond_async: bool,
    /// Which call of its SDK this is an attempt at.
    pub attempt: Attempt,
    /// How long its client waits on what it says is its last attempt, where that is known.
    pub patience: Option<Duration>,
    /// How long the operator lets calls on this way wait before their callers are told to come again.
    pub hold_for: Option<Duration>,
    /// The address that the call came from.
    pub source_ip: std::net::IpAddr,
}

/// What the caller's SDK says of the call that this is an attempt at. All of it is a claim: two
/// requests are attempts at one call only if their digests are equal too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The id that the SDK gives to all its attempts at one call, such as an `Idempotency-Key`.
    pub of: Option<String>,
    /// Which attempt this is, from 1.
    pub number: Option<u32>,
}

/// The message of one call, by protocol.
#[derive(Clone, Debug)]
pub enum Message {
    /// One HTTP request, of any HTTP version.
    Http(HttpRequest),
}

/// One HTTP request as it will be sent, credential aside.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The method, in upper case.
    pub method: Method,
    /// `https` or `http`: how the agent reached us.
    pub scheme: &'static str,
    /// The host (and port) that the agent asked for. The upstream is told its own instead.
    pub authority: String,
    /// The path exactly as it will be sent, in normal form, with its leading `/`.
    pub path: String,
    /// The query exactly as it will be sent, without the `?`.
    pub query: Option<String>,
    /// The end-to-end fields that will be sent: no framing, no hop-by-hop field, no credential of
    /// the agent, nothing that we write ourselves.
    pub headers: HeaderMap,
    /// The body, as far as it has been read.
    pub body: Body,
    /// True for a WebSocket handshake (RFC 6455 §4.1): once permitted, bytes flow both ways.
    pub websocket: bool,
}

/// The body of a request, as far as it has been read.
#[derive(Clone, Debug)]
pub enum Body {
    /// There is none.
    Absent,
    /// Nobody needs to look at it: it streams through behind the head.
    Unread,
    /// All of it, with the trailer fields that will be sent behind it.
    Read {
        /// Every byte.
        bytes: Bytes,
        /// The trailer fields.
        trailers: HeaderMap,
    },
    /// All of it, in a content coding that has been taken off to look at it (RFC 9110 §8.4.1). It
    /// is sent as it came.
    Encoded {
        /// Every byte, as it will be sent.
        bytes: Bytes,
        /// The trailer fields.
        trailers: HeaderMap,
        /// The name of the coding, such as `gzip`.
        coding: &'static str,
        /// What the coding stands for.
        decoded: Bytes,
    },
    /// All of it, too long for memory, and read back when it is sent. No policy looks at it.
    Kept {
        /// Every byte.
        body: Arc<dyn KeptBody>,
        /// The trailer fields.
        trailers: HeaderMap,
    },
}

impl Body {
    /// The trailer fields that will be sent behind it.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        match self {
            Self::Absent | Self::Unread => None,
            Self::Read { trailers, .. } | Self::Encoded { trailers, .. } | Self::Kept { trailers, .. } => {
                Some(trailers)
            }
        }
    }

    /// How many bytes of memory it takes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Absent | Self::Unread | Self::Kept { .. } => 0,
            Self::Read { bytes, .. } => bytes.len(),
            Self::Encoded { bytes, decoded, .. } => bytes.len() + decoded.len(),
        }
    }
}

impl Call {
    /// The canonical digest that an approval binds to and that retries join by (DESIGN 6).
    ///
    /// SHA-256 over the length-prefixed principal, upstream, method, authority, target, header
    /// fields that carry meaning, body and policy digest, in canonical form: without what SDKs
    /// vary from one attempt to the next and no server acts on. Two calls with one digest may
    /// differ in their bytes; [`Self::exact_sha256`] tells them apart. Reads the whole body, so it
    /// is for calls that are held.
    pub fn digest(&self, policy: &PolicyDigest) -> CallDigest {
        let mut hasher = CanonicalHasher::new("holdpoint/call/v2");
        hasher.field(self.principal.id.as_bytes());
        hasher.field(self.upstream.name.as_bytes());
        hasher.field(policy.as_bytes());
        match &self.message {
            Message::Http(request) => request.hash_into(&mut hasher),
        }
        hasher.finish()
    }

    /// SHA-256 over the length-prefixed method, authority, target, all header fields, body and
    /// trailer fields exactly as they will be sent, credential aside: which bytes it was that ran
    /// under an approval, for the record.
    pub fn exact_sha256(&self) -> Sha256 {
        let mut hasher = CanonicalHasher::new("holdpoint/exact/v1");
        match &self.message {
            Message::Http(request) => canonical::hash_exactly(request, &mut hasher),
        }
        hasher.finish()
    }
}

impl HttpRequest {
    /// Path and query, as sent: `/customers?limit=5`.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// SHA-256 over the body's bytes exactly as they will be sent, as `sha256sum` has it; `None`
    /// for a body that has not been read. Without a body, that of no bytes.
    pub fn body_sha256(&self) -> Option<Sha256> {
        match &self.body {
            Body::Absent => Some(Sha256::of(b"")),
            Body::Unread => None,
            Body::Read { bytes, .. } | Body::Encoded { bytes, .. } => Some(Sha256::of(bytes)),
            Body::Kept { body, .. } => Some(body.sha256()),
        }
    }

    fn hash_into(&self, hasher: &mut CanonicalHasher) {
        canonical::hash_request(self, hasher);
    }
}
