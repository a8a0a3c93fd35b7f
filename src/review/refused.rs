//! What somebody is told instead of an answer: problem documents (RFC 9457).

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::approval::ApprovalError;
use crate::model::ApprovalId;

use super::api::Problem;

macro_rules! codes {
    ($($name:ident => $text:literal, $status:ident, $title:literal;)*) => {
        /// The closed set of what can go wrong, each with its word, status and title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code {
            $($name,)*
        }

        impl Code {
            /// Every code there is.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word for machines.
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            pub(super) fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    BadRequest => "bad-request", BAD_REQUEST, "The request cannot be read";
    Unauthenticated => "unauthenticated", UNAUTHORIZED, "Who is asking is not known";
    OwnRequest => "own-request", FORBIDDEN, "Nobody decides on their own call";
    NotReviewer => "not-reviewer", FORBIDDEN, "Others review this call";
    NeedsStepUp => "needs-step-up", FORBIDDEN, "This decision needs a stronger proof of who decides";
    SignInFailed => "sign-in-failed", FORBIDDEN, "Nobody has signed in";
    NotRequester => "not-requester", FORBIDDEN, "Only those behind the call may do this";
    CrossSite => "cross-site", FORBIDDEN, "This did not come from a page of this site";
    StaleForm => "stale-form", FORBIDDEN, "The page was made for another session";
    NotConfirmed => "not-confirmed", UNPROCESSABLE_ENTITY, "The digest was not confirmed";
    BodyUnread => "body-unread", CONFLICT, "The body was not read to its end";
    NotFound => "not-found", NOT_FOUND, "There is no such thing";
    MethodNotAllowed => "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    BodyTimeout => "body-timeout", REQUEST_TIMEOUT, "The body did not arrive in time";
    AlreadyDecided => "already-decided", CONFLICT, "The approval is settled already";
    DigestMismatch => "digest-mismatch", CONFLICT, "The digest is that of another call";
    InFlight => "idempotency-in-flight", CONFLICT, "The first such request is still under way";
    KeyReused => "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The key belongs to another request";
    Stale => "stale", PRECONDITION_FAILED, "The approval is not as you know it";
    NoOpenQuestion => "no-open-question", CONFLICT, "There is no question to answer";
    ThreadFull => "thread-full", CONFLICT, "Enough was asked";
    Expired => "expired", GONE, "The time to decide is over";
    BodyGone => "body-gone", GONE, "The body is not kept any more";
    BodyTooLarge => "body-too-large", PAYLOAD_TOO_LARGE, "The body is too long";
    UnsupportedMediaType => "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body is not JSON";
    InvalidBody => "invalid-body", UNPROCESSABLE_ENTITY, "The body does not say what is needed";
    ReasonRequired => "reason-required", UNPROCESSABLE_ENTITY, "The policy asks for a reason";
    QuestionRequired => "question-required", UNPROCESSABLE_ENTITY, "A question needs words";
    TextTooLong => "text-too-long", UNPROCESSABLE_ENTITY, "The text is too long";
    TooManyStreams => "too-many-streams", TOO_MANY_REQUESTS, "Too many event streams";
    TooManySignIns => "too-many-sign-ins", TOO_MANY_REQUESTS, "Too many sign-ins are under way";
    Forged => "forged", INTERNAL_SERVER_ERROR, "The record has been changed outside of this program";
    Internal => "internal-error", INTERNAL_SERVER_ERROR, "Something went wrong";
    StoreUnavailable => "store-unavailable", SERVICE_UNAVAILABLE, "Approvals cannot be kept right now";
    AuditUnavailable => "audit-unavailable", SERVICE_UNAVAILABLE, "The audit log cannot be written";
    SignInUnavailable => "sign-in-unavailable", SERVICE_UNAVAILABLE, "Nobody can sign in right now";
    NotReady => "not-ready", SERVICE_UNAVAILABLE, "This process cannot do its work right now";
    Draining => "draining", SERVICE_UNAVAILABLE, "This process is about to stop";
}

/// An answer that says why there is no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    code: Code,
    detail: String,
    approval: Option<ApprovalId>,
}

impl Refused {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), approval: None }
    }

    /// What is said about a record that is not there.
    pub(super) fn no_approval(id: ApprovalId) -> Self {
        Self::about(id, ApprovalError::NotFound(id))
    }

    /// What an error says about the approval `id`. The cause of our own failures goes to the log.
    pub(super) fn about(id: ApprovalId, error: ApprovalError) -> Self {
        Self { approval: Some(id), ..Self::from(error) }
    }

    /// What happened, and what to do.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The sort of problem.
    pub(super) fn code(&self) -> Code {
        self.code
    }
}

impl From<ApprovalError> for Refused {
    fn from(error: ApprovalError) -> Self {
        let code = match &error {
            ApprovalError::NotFound(_) => Code::NotFound,
            ApprovalError::DigestMismatch { .. } => Code::DigestMismatch,
            ApprovalError::OwnRequest { .. } => Code::OwnRequest,
            ApprovalError::NotReviewer { .. } => Code::NotReviewer,
            ApprovalError::NeedsAssurance { .. } => Code::NeedsStepUp,
            ApprovalError::ReasonRequired => Code::ReasonRequired,
            ApprovalError::QuestionRequired => Code::QuestionRequired,
            ApprovalError::TextTooLong { .. } => Code::TextTooLong,
            ApprovalError::AlreadyDecided { .. } => Code::AlreadyDecided,
            ApprovalError::ThreadFull { .. } => Code::ThreadFull,
            ApprovalError::Expired(_) => Code::Expired,
            ApprovalError::NotRequester { .. } => Code::NotRequester,
            ApprovalError::Forged(_) => Code::Forged,
            ApprovalError::BodyGone(_) => Code::BodyGone,
            ApprovalError::Store(_) => Code::StoreUnavailable,
            ApprovalError::Audit(_) => Code::AuditUnavailable,
            // Said to callers who are held, never to reviewers.
            ApprovalError::NotClaimable { .. }
            | ApprovalError::NotRunning { .. }
            | ApprovalError::NoReviewer(_)
            | ApprovalError::NotSearchable
            | ApprovalError::TooManyPending { .. }
            | ApprovalError::BodyNotStored(_)
            | ApprovalError::BodiesFull { .. } => Code::Internal,
        };
        let detail = match code {
            Code::StoreUnavailable => {
                tracing::error!(%error, "an admin request was refused");
                "approvals cannot be read or changed right now; try again, and see this process's log".to_owned()
            }
            Code::AuditUnavailable => {
                tracing::error!(%error, "an admin request was refused");
                "nothing takes effect that is not in the audit log, which cannot be written right now; what was sent \
                 may have been stored, and then takes effect later: look at the approval before you try again"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        Self::new(code, detail)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let problem = Problem {
            kind: format!("{TYPE_BASE}{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            code: self.code.as_str().to_owned(),
            approval_id: self.approval.map(|id| id.to_string()),
        };
        let body = serde_json::to_vec(&problem).expect("strings and numbers are always JSON");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"holdpoint\""));
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
        }
        response
    }
}

const TYPE_BASE: &str = "https://holdpoint.dev/problems/";

/// When to come again after a limit or a failure of ours.
const RETRY_AFTER: Duration = Duration::from_secs(5);
