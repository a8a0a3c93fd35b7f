//! What a caller of the API is told when something is wrong (RFC 9457).

use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Serialize;

use crate::approval::ApprovalError;
use crate::identity::IdentityError;

/// A problem document.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, with which value, and what to do.
    detail: String,
    /// The kind as a word, from a closed set.
    code: &'static str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let kind = format!("https://holdpoint.dev/problems/{code}");
        Self { kind, title, status: status.as_u16(), detail: detail.into(), code }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request is not understood", detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here", detail)
    }

    pub(super) fn unauthenticated(error: &IdentityError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Who is asking is not known", error.to_string())
    }

    pub(super) fn too_many_streams() -> Self {
        let detail = format!("{} event streams are open already; close some", super::state::STREAMS_PER_PERSON_MAX);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", "Too many event streams", detail)
    }
}

impl From<ApprovalError> for Problem {
    fn from(error: ApprovalError) -> Self {
        let (status, title) = match &error {
            ApprovalError::NotFound(_) => (StatusCode::NOT_FOUND, "There is no such approval"),
            ApprovalError::OwnRequest { .. } => (StatusCode::FORBIDDEN, "Nobody decides on their own call"),
            ApprovalError::NotReviewer { .. } => (StatusCode::FORBIDDEN, "You are not one of the reviewers"),
            ApprovalError::NotRequester { .. } => (StatusCode::FORBIDDEN, "This is not your call"),
            ApprovalError::NeedsAssurance { .. } => (StatusCode::FORBIDDEN, "A stronger sign-in is needed"),
            ApprovalError::DigestMismatch { .. } => (StatusCode::CONFLICT, "You looked at another call"),
            ApprovalError::AlreadyDecided { .. }
            | ApprovalError::NotClaimable { .. }
            | ApprovalError::NotRunning { .. }
            | ApprovalError::ThreadFull { .. } => (StatusCode::CONFLICT, "It is decided already"),
            ApprovalError::Expired(_) => (StatusCode::GONE, "It has expired"),
            ApprovalError::ReasonRequired | ApprovalError::QuestionRequired | ApprovalError::TextTooLong { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "The text does not fit")
            }
            ApprovalError::NoReviewer(_) | ApprovalError::TooManyPending { .. } => {
                (StatusCode::CONFLICT, "It cannot be opened")
            }
            ApprovalError::Forged(_) => (StatusCode::INTERNAL_SERVER_ERROR, "The record is not ours"),
            ApprovalError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "The store is away"),
            ApprovalError::Audit(_) => (StatusCode::SERVICE_UNAVAILABLE, "The audit log is away"),
        };
        Self::new(status, error.code(), title, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"holdpoint\""));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
