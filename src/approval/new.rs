//! From a held call to the record of its approval.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;

use crate::identity::People;
use crate::model::ApprovalId;
use crate::model::Body;
use crate::model::Call;
use crate::model::CallDigest;
use crate::model::DecisionId;
use crate::model::HoldObligations;
use crate::model::HttpRequest;
use crate::model::KeptBody;
use crate::model::MemoryBody;
use crate::model::Message;
use crate::model::PolicyDigest;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::machine;
use super::record::Approval;
use super::record::DecodedBody;
use super::record::RequestLine;
use super::record::SHOWN_BYTES_MAX;
use super::record::ShownRequest;
use super::record::State;
use super::service::Settings;

/// A call that is to be held, with the policy's answer to it. Its body has been read whole.
#[derive(Debug)]
pub struct NewApproval<'a> {
    /// The call.
    pub call: &'a Call,
    /// The digest of exactly this call.
    pub digest: CallDigest,
    /// The policy that holds it.
    pub policy: PolicyDigest,
    /// That policy's answer.
    pub decision: DecisionId,
    /// What it asks for.
    pub obligations: HoldObligations,
}

impl NewApproval<'_> {
    /// The record and what reviewers will see.
    pub(super) fn record(
        self,
        id: ApprovalId,
        now: Timestamp,
        settings: &Settings,
        people: &People,
    ) -> (Approval, ShownRequest) {
        let Message::Http(request) = &self.call.message;
        let shown = show(request);
        let lasts = self.obligations.expires_in.unwrap_or(settings.expires_in).min(settings.expires_in_max);
        let approval = Approval {
            id,
            version: 0,
            created: now,
            expires: now.plus(lasts.max(Duration::from_secs(1))),
            principal: self.call.principal.as_ref().clone(),
            closure: machine::closure(&self.call.principal, people),
            upstream: self.call.upstream.as_ref().clone(),
            actions: self.call.actions.as_slice().to_vec(),
            line: shown.line.clone(),
            request_sha256: shown.hash(),
            digest: self.digest,
            policy: self.policy,
            decision: self.decision,
            obligations: self.obligations,
            reason: self.call.reason.clone(),
            context: self.call.context.clone(),
            state: State::Pending,
            reviews: Vec::new(),
            messages: Vec::new(),
            caller: Some(self.call.id),
            seal: None,
            link: None,
        };
        (approval, shown)
    }
}

/// The body as people read it, if it is too long to stand in the request.
pub(super) fn long_body(call: &Call) -> Option<Arc<dyn KeptBody>> {
    let Message::Http(request) = &call.message;
    match &request.body {
        Body::Kept { body, .. } => Some(Arc::clone(body)),
        Body::Read { bytes, .. } | Body::Encoded { decoded: bytes, .. } if bytes.len() as u64 > SHOWN_BYTES_MAX => {
            Some(Arc::new(MemoryBody::new(bytes.clone())))
        }
        Body::Absent | Body::Unread | Body::Read { .. } | Body::Encoded { .. } => None,
    }
}

fn show(request: &HttpRequest) -> ShownRequest {
    let empty = HeaderMap::new();
    let nothing = Bytes::new();
    let (readable, decoded) = match &request.body {
        Body::Read { bytes, .. } => (bytes, None),
        Body::Encoded { coding, decoded, .. } => {
            let (bytes, sha256) = (decoded.len() as u64, Sha256::of(decoded));
            (decoded, Some(DecodedBody { coding: (*coding).to_owned(), bytes, sha256 }))
        }
        Body::Absent | Body::Unread | Body::Kept { .. } => (&nothing, None),
    };
    let (body_bytes, body_sha256) = match &request.body {
        Body::Absent | Body::Unread => (0, Sha256::of(b"")),
        Body::Read { bytes, .. } | Body::Encoded { bytes, .. } => (bytes.len() as u64, Sha256::of(bytes)),
        Body::Kept { body, .. } => (body.bytes(), body.sha256()),
    };
    let shown = Some(readable).filter(|bytes| !bytes.is_empty() && bytes.len() as u64 <= SHOWN_BYTES_MAX);
    let text = shown.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(ToOwned::to_owned);
    let base64 = shown.filter(|_| text.is_none()).map(|bytes| STANDARD.encode(bytes));
    let mut headers = fields(&request.headers, "");
    headers.extend(fields(request.body.trailers().unwrap_or(&empty), "trailer "));
    ShownRequest {
        line: RequestLine {
            method: request.method.to_string(),
            authority: request.authority.clone(),
            target: request.target(),
        },
        headers,
        body_bytes,
        body_sha256,
        decoded,
        body_text: text,
        body_base64: base64,
    }
}

fn fields(fields: &HeaderMap, prefix: &str) -> Vec<(String, String)> {
    let mut shown: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| (format!("{prefix}{name}"), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    // A stable sort: the values of one name stay in their own order.
    shown.sort_by(|(left, _), (right, _)| left.cmp(right));
    shown
}
