//! Refusals in the words of the caller's own SDK, so that its typed error shows our sentence.
//!
//! SDKs look for the message where their own service puts it, and one that does not find it raises
//! an error without a reason, or breaks on the body. Which form a caller gets stands in the table of
//! known clients ([`super::client`]); whoever is not in it gets a problem document.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::model::CallId;
use crate::model::Refusal;

use super::problem::TYPE_BASE;

/// The form of a refusal's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A problem document (RFC 9457).
    Problem,
    /// `{"error": {"message", "type", "param", "code"}}`, as of the `OpenAI` API and of the SDKs
    /// that are generated like its own.
    OpenAi,
    /// `{"type": "error", "error": {"type", "message"}, "request_id"}`, as of the Anthropic API.
    Anthropic,
    /// `{"error": {"type", "code", "message"}}`, as of the Stripe API.
    Stripe,
    /// A `Status` object, as of the Kubernetes API.
    Kubernetes,
    /// `{"message", "documentation_url", "status"}`, as of GitHub's REST API.
    GitHub,
    /// `{"error": {"code", "status", "message", "errors", "details"}}`, as of Google's JSON APIs.
    Google,
    /// `{"error": {"type", "reason", "root_cause"}, "status"}`, as of Elasticsearch.
    Elasticsearch,
}

impl Form {
    /// Every form.
    pub const ALL: &'static [Self] = &[
        Self::Problem,
        Self::OpenAi,
        Self::Anthropic,
        Self::Stripe,
        Self::Kubernetes,
        Self::GitHub,
        Self::Google,
        Self::Elasticsearch,
    ];

    /// The body that tells of `refusal`, or nothing where it is a problem document.
    pub(super) fn body(self, refusal: &Refusal, status: StatusCode, call: Option<CallId>) -> Option<Value> {
        let status = status.as_u16();
        let code = refusal.code.as_str();
        let message = message(refusal);
        Some(match self {
            Self::Problem => return None,
            Self::OpenAi => {
                let error = json!({ "message": message, "type": openai_type(status), "param": null, "code": code });
                json!({ "error": with_ids(error, refusal, call) })
            }
            Self::Anthropic => {
                let error = json!({ "type": anthropic_type(status), "message": message, "code": code });
                let request = call.map(|id| id.to_string());
                json!({ "type": "error", "error": with_ids(error, refusal, call), "request_id": request })
            }
            Self::Stripe => {
                let kind = if status < 500 { "invalid_request_error" } else { "api_error" };
                let error = json!({ "type": kind, "code": code, "message": message, "doc_url": doc_url(refusal) });
                json!({ "error": with_ids(error, refusal, call) })
            }
            Self::Kubernetes => kubernetes(refusal, status, &message),
            Self::GitHub => {
                let url = doc_url(refusal);
                let body =
                    json!({ "message": message, "documentation_url": url, "status": status.to_string(), "code": code });
                with_ids(body, refusal, call)
            }
            Self::Google => google(refusal, status, &message, call),
            Self::Elasticsearch => {
                let kind = if status < 500 { "security_exception" } else { "unavailable_shards_exception" };
                let cause = json!({ "type": kind, "reason": message });
                let error = json!({ "type": kind, "reason": message, "root_cause": [cause] });
                json!({ "error": with_ids(error, refusal, call), "status": status })
            }
        })
    }

    /// Whether the SDKs that want this form read `{"stream": true}` in their request as a wish for
    /// server-sent events. They do not say so in `Accept`.
    pub fn streams_by_body(self) -> bool {
        matches!(self, Self::OpenAi | Self::Anthropic)
    }

    /// The status that makes an SDK which waits as told come again for an approval that is still open.
    ///
    /// Those of Anthropic are steered by `x-should-retry` and keep the denial's error, should they have
    /// no attempt left; others look at the status first, and at a 403 no further.
    pub(super) fn come_again(self) -> StatusCode {
        match self {
            Self::Anthropic => StatusCode::FORBIDDEN,
            Self::Problem
            | Self::OpenAi
            | Self::Stripe
            | Self::Kubernetes
            | Self::GitHub
            | Self::Google
            | Self::Elasticsearch => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// Adds the fields that SDKs of this kind steer by.
    pub(super) fn add_fields(self, retryable: bool, headers: &mut HeaderMap) {
        match self {
            Self::Stripe if !retryable => {
                headers.insert(STRIPE_SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            // Without it the clients take the server for another product, and say only that.
            Self::Elasticsearch => {
                headers.insert(X_ELASTIC_PRODUCT, HeaderValue::from_static("Elasticsearch"));
            }
            Self::Problem
            | Self::OpenAi
            | Self::Anthropic
            | Self::Stripe
            | Self::Kubernetes
            | Self::GitHub
            | Self::Google => {}
        }
    }
}

/// The one event that ends an event stream which has begun before people have decided: status and
/// fields are out by then, and this is what SDKs raise as an error of the API.
///
/// Those of `OpenAI` want an `error` in the data, those of Anthropic the event's name and the whole
/// object, so that all of it serves both.
pub fn last_event(refusal: &Refusal) -> Bytes {
    let data = Form::Anthropic.body(refusal, refusal.code.status(), None).unwrap_or_default();
    Bytes::from(format!("event: error\ndata: {data}\n\n"))
}

/// What people and models read in the text of the error: all that there is to know, because many
/// SDKs show nothing else.
///
/// The ids close it. PyGithub takes a 403 for a rate limit, and sleeps, by how its message begins or
/// ends, and neither may be in a reviewer's hands.
fn message(refusal: &Refusal) -> String {
    let Refusal { code, detail, approval, .. } = refusal;
    match approval {
        Some(id) => format!("{detail} ({}, {id})", code.as_str()),
        None => format!("{detail} ({})", code.as_str()),
    }
}

fn doc_url(refusal: &Refusal) -> String {
    format!("{TYPE_BASE}{}", refusal.code.as_str())
}

/// Ids for machines, beside what the form itself has.
fn with_ids(mut object: Value, refusal: &Refusal, call: Option<CallId>) -> Value {
    object.as_object_mut().into_iter().for_each(|object| object.extend(ids(refusal, call)));
    object
}

fn ids(refusal: &Refusal, call: Option<CallId>) -> Map<String, Value> {
    let ids = [
        ("approval_id", refusal.approval.map(|id| id.to_string())),
        ("decision_id", refusal.decision.map(|id| id.to_string())),
        ("call_id", call.map(|id| id.to_string())),
    ];
    ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?.into()))).collect()
}

fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// The reasons are those of `k8s.io/apimachinery/pkg/apis/meta/v1`; `kubectl` prints them.
fn kubernetes(refusal: &Refusal, status: u16, message: &str) -> Value {
    let reason = match status {
        400 | 421 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        408 | 504 => "Timeout",
        413 => "RequestEntityTooLarge",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let mut causes = vec![json!({ "reason": refusal.code.as_str(), "message": refusal.detail })];
    causes.extend(refusal.approval.map(|id| json!({ "reason": "approval-id", "message": id })));
    let wait = refusal.retry_after.filter(|_| status != 403).map(|wait| wait.as_secs().max(1));
    let details = match wait {
        Some(seconds) => json!({ "causes": causes, "retryAfterSeconds": seconds }),
        None => json!({ "causes": causes }),
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": status,
    })
}

/// The names are those of `google.rpc.Code`, the details those of `google.rpc.ErrorInfo`.
fn google(refusal: &Refusal, status: u16, message: &str, call: Option<CallId>) -> Value {
    let (name, reason) = match status {
        401 => ("UNAUTHENTICATED", "authError"),
        403 => ("PERMISSION_DENIED", "forbidden"),
        404 => ("NOT_FOUND", "notFound"),
        429 => ("RESOURCE_EXHAUSTED", "rateLimitExceeded"),
        408 | 504 => ("DEADLINE_EXCEEDED", "timeout"),
        502 | 503 => ("UNAVAILABLE", "backendError"),
        500.. => ("INTERNAL", "internalError"),
        _ => ("INVALID_ARGUMENT", "invalid"),
    };
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": refusal.code.as_str().replace('-', "_").to_ascii_uppercase(),
        "domain": DOMAIN,
        "metadata": ids(refusal, call),
    });
    let error = json!({ "message": message, "domain": DOMAIN, "reason": reason });
    json!({ "error": { "code": status, "status": name, "message": message, "errors": [error], "details": [info] } })
}

const DOMAIN: &str = "holdpoint.dev";
const STRIPE_SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
const X_ELASTIC_PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");
