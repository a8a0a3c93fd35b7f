//! Refusals as answers: a status, the fields that SDKs steer by, and a body in the form that the
//! caller understands, which is a problem document (RFC 9457) unless its SDK wants another.

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::ACCEPT_ENCODING;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_TYPE;
use http::header::RETRY_AFTER;
use http::header::WWW_AUTHENTICATE;
use http::header::X_CONTENT_TYPE_OPTIONS;
use serde::Serialize;

use crate::model::CallId;
use crate::model::Refusal;
use crate::model::RefusalCode;

use super::client::Profile;
use super::form::Form;

/// The answer that tells `caller` of `refusal`.
///
/// A 403 never carries `Retry-After`, because there are SDKs that repeat a DELETE when told so. What
/// is still pending is a 403 as well, except to callers that are known to wait as they are told: those
/// go on waiting by coming again.
pub fn refuse(caller: &Profile, refusal: &Refusal, call: Option<CallId>) -> Response<Bytes> {
    let waits = caller.waits_as_told && refusal.code == RefusalCode::ApprovalPending && refusal.retry_after.is_some();
    let status = if waits { caller.form.come_again() } else { refusal.code.status() };
    let retryable = waits || is_retryable(refusal.code);
    // Whoever asked not to wait asked for our own words; it is no error.
    let form = if status.is_success() { Form::Problem } else { caller.form };
    let (media, body) = match form.body(refusal, status, call) {
        Some(body) => ("application/json", body.to_string().into_bytes()),
        None => ("application/problem+json", document(refusal, status, retryable, call)),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"holdpoint\""));
    }
    if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        // What would have been taken (RFC 9110 §15.5.16).
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"));
    }
    if waits || !retryable {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static(if waits { "true" } else { "false" }));
    }
    if let Some(wait) = refusal.retry_after.filter(|_| waits || status != StatusCode::FORBIDDEN) {
        // Whole seconds are all that the field has; rounded up, and never none.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if let Some(id) = refusal.approval.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
        headers.insert(APPROVAL_ID, id);
    }
    if let Some(state) = approval_status(refusal.code) {
        headers.insert(APPROVAL_STATUS, HeaderValue::from_static(state));
    }
    form.add_fields(retryable, headers);
    response
}

fn document(refusal: &Refusal, status: StatusCode, retryable: bool, call: Option<CallId>) -> Vec<u8> {
    let document = Document {
        kind: format!("{TYPE_BASE}{}", refusal.code.as_str()),
        title: refusal.code.title(),
        status: status.as_u16(),
        detail: &refusal.detail,
        code: refusal.code.as_str(),
        approval_id: refusal.approval.map(|id| id.to_string()),
        decision_id: refusal.decision.map(|id| id.to_string()),
        call_id: call.map(|id| id.to_string()),
        retryable,
    };
    serde_json::to_vec(&document).expect("strings, numbers and booleans are always JSON")
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<String>,
    retryable: bool,
}

/// True where the same request may well succeed later and cannot have run already. Sending again
/// to join an open approval is no retry in this sense: the detail says how to do it.
fn is_retryable(code: RefusalCode) -> bool {
    match code {
        RefusalCode::BodyTimeout
        | RefusalCode::TooManyPending
        | RefusalCode::StoreUnavailable
        | RefusalCode::SpoolUnavailable
        | RefusalCode::AuditUnavailable
        | RefusalCode::Draining
        | RefusalCode::Overloaded
        | RefusalCode::CredentialUnavailable
        | RefusalCode::UpstreamUnreachable => true,
        RefusalCode::BadRequest
        | RefusalCode::Misdirected
        | RefusalCode::Unauthenticated
        | RefusalCode::NoRoute
        | RefusalCode::BodyTooLarge
        | RefusalCode::UnsupportedCoding
        | RefusalCode::BodyUndecodable
        | RefusalCode::PolicyDenied
        | RefusalCode::ApprovalDenied
        | RefusalCode::ApprovalExpired
        | RefusalCode::ApprovalWithdrawn
        | RefusalCode::OutcomeUnknown
        | RefusalCode::ClarificationRequired
        | RefusalCode::ApprovalPending
        | RefusalCode::ApprovalAccepted
        | RefusalCode::ApprovalMismatch
        | RefusalCode::AlreadyRun
        | RefusalCode::NoReviewer
        | RefusalCode::PolicyError
        | RefusalCode::UpstreamBroke
        | RefusalCode::UpstreamTimeout
        | RefusalCode::Internal => false,
    }
}

/// Where the approval stands, if the refusal is about one.
fn approval_status(code: RefusalCode) -> Option<&'static str> {
    match code {
        RefusalCode::ApprovalDenied => Some("denied"),
        RefusalCode::ApprovalExpired => Some("expired"),
        RefusalCode::ApprovalWithdrawn => Some("withdrawn"),
        RefusalCode::OutcomeUnknown => Some("unknown"),
        RefusalCode::ClarificationRequired | RefusalCode::ApprovalPending | RefusalCode::ApprovalAccepted => {
            Some("pending")
        }
        _ => None,
    }
}

/// What the `type` of a problem begins with.
pub(super) const TYPE_BASE: &str = "https://holdpoint.dev/problems/";
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const APPROVAL_ID: HeaderName = HeaderName::from_static("approval-id");
const APPROVAL_STATUS: HeaderName = HeaderName::from_static("approval-status");
