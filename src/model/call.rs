//! The unit we decide on: one HTTP request today, one query of another protocol tomorrow.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::Method;

use super::action::Actions;
use super::digest::CallDigest;
use super::digest::CanonicalHasher;
use super::digest::PolicyDigest;
use super::ids::ApprovalId;
use super::ids::CallId;
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
    /// How long its client waits on what it says is its last attempt, where that is known.
    pub patience: Option<Duration>,
    /// The address that the call came from.
    pub source_ip: std::net::IpAddr,
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
}

impl Call {
    /// The canonical digest that an approval binds to and that retries join by (DESIGN 6).
    ///
    /// SHA-256 over the length-prefixed principal, upstream, method, authority, target, header
    /// fields that carry meaning, body and policy digest. Left out are only the fields that SDKs
    /// vary from one attempt to the next.
    pub fn digest(&self, policy: &PolicyDigest) -> CallDigest {
        let mut hasher = CanonicalHasher::new("holdpoint/call/v1");
        hasher.field(self.principal.id.as_bytes());
        hasher.field(self.upstream.name.as_bytes());
        hasher.field(policy.as_bytes());
        match &self.message {
            Message::Http(request) => request.hash_into(&mut hasher),
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

    fn hash_into(&self, hasher: &mut CanonicalHasher) {
        hasher.field(b"http");
        hasher.field(self.method.as_str().as_bytes());
        hasher.field(self.authority.as_bytes());
        hasher.field(self.path.as_bytes());
        hasher.count(usize::from(self.query.is_some()));
        hasher.field(self.query.as_deref().unwrap_or("").as_bytes());
        hasher.count(usize::from(self.websocket));
        hash_fields(&self.headers, hasher);
        match &self.body {
            Body::Absent => hasher.count(0),
            Body::Unread => hasher.count(1),
            Body::Read { bytes, trailers } => {
                // An empty body that was read is the same call as one without a body.
                if bytes.is_empty() && trailers.is_empty() {
                    return hasher.count(0);
                }
                hasher.count(2);
                hasher.field(bytes);
                hash_fields(trailers, hasher);
            }
        }
    }
}

/// Fields in the order of their names, and the values of one name in their own order.
fn hash_fields(fields: &HeaderMap, hasher: &mut CanonicalHasher) {
    let mut names: Vec<&HeaderName> = fields.keys().filter(|name| !is_volatile(name)).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    hasher.count(names.len());
    for name in names {
        hasher.field(name.as_str().as_bytes());
        let values = fields.get_all(name);
        hasher.count(values.iter().count());
        values.iter().for_each(|value| hasher.field(value.as_bytes()));
    }
}

/// True for fields that differ between two attempts at the same call and change nothing that the
/// upstream does: the client's name, dates, traces and attempt counters (REALITIES 3).
fn is_volatile(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "user-agent"
            | "date"
            | "traceparent"
            | "tracestate"
            | "baggage"
            | "x-request-id"
            | "x-amzn-trace-id"
            | "x-cloud-trace-context"
            | "x-stainless-retry-count"
            | "x-stainless-timeout"
            | "amz-sdk-invocation-id"
            | "amz-sdk-request"
            | "x-ms-client-request-id"
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn digest_of(change: impl FnOnce(&mut HttpRequest)) -> CallDigest {
        let mut request = HttpRequest {
            method: Method::POST,
            scheme: "https",
            authority: "api.example.com".into(),
            path: "/customers".into(),
            query: Some("limit=5".into()),
            headers: HeaderMap::new(),
            body: Body::Read { bytes: Bytes::from_static(b"{}"), trailers: HeaderMap::new() },
            websocket: false,
        };
        request.headers.insert("content-type", HeaderValue::from_static("application/json"));
        change(&mut request);
        let mut hasher = CanonicalHasher::new("test");
        request.hash_into(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn whatever_carries_meaning_changes_the_digest() {
        let base = digest_of(|_| {});
        let changes: [fn(&mut HttpRequest); 9] = [
            |r| r.method = Method::PUT,
            |r| r.path = "/customer".into(),
            |r| r.query = Some("limit=6".into()),
            |r| r.query = None,
            |r| r.authority = "other.example.com".into(),
            |r| drop(r.headers.insert("content-type", HeaderValue::from_static("text/plain"))),
            |r| drop(r.headers.insert("x-mode", HeaderValue::from_static("force"))),
            |r| r.body = Body::Read { bytes: Bytes::from_static(b"{ }"), trailers: HeaderMap::new() },
            |r| r.body = Body::Unread,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            assert_ne!(digest_of(change), base, "change {index}");
        }
    }

    #[test]
    fn what_sdks_vary_does_not_change_the_digest() {
        let base = digest_of(|_| {});
        for name in ["user-agent", "date", "traceparent", "x-stainless-retry-count", "amz-sdk-request"] {
            let changed = digest_of(|r| drop(r.headers.insert(name, HeaderValue::from_static("x"))));
            assert_eq!(changed, base, "{name}");
        }
    }

    #[test]
    fn an_absent_query_is_not_an_empty_one() {
        assert_ne!(digest_of(|r| r.query = None), digest_of(|r| r.query = Some(String::new())));
    }
}
