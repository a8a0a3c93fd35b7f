//! What a caller is told instead of an answer from the upstream.

use std::time::Duration;

use http::StatusCode;

use super::ids::ApprovalId;
use super::ids::DecisionId;

/// What a caller is told instead of an answer from the upstream: what happened and what to do,
/// without anything of the policy's insides or of a credential. The cause goes to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What sort of refusal it is.
    pub code: RefusalCode,
    /// What happened and what to do about it, in a sentence or two.
    pub detail: String,
    /// The approval it is about, if any.
    pub approval: Option<ApprovalId>,
    /// The decision it comes from, if policy was asked.
    pub decision: Option<DecisionId>,
    /// When to try again, where trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal without an approval or a decision.
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), approval: None, decision: None, retry_after: None }
    }

    /// The same about `approval`.
    #[must_use]
    pub fn about(mut self, approval: ApprovalId) -> Self {
        self.approval = Some(approval);
        self
    }

    /// The same, coming from `decision`.
    #[must_use]
    pub fn decided(mut self, decision: DecisionId) -> Self {
        self.decision = Some(decision);
        self
    }

    /// The same, with advice to try again after `wait`.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

/// On whose side the fault lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller's.
    Downstream,
    /// The origin's.
    Upstream,
    /// Ours.
    Ours,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident => $text:literal, $status:ident, $fault:ident, $title:literal;)*) => {
        /// The closed set of refusals. Each has a word for machines, a status, a title and a side
        /// that the fault lies on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalCode {
            $($(#[$doc])* $name,)*
        }

        impl RefusalCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word for machines, such as `approval-denied`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status (RFC 9110 §15).
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The side that the fault lies on.
            pub fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault,)* }
            }

            /// A short title that does not change from one occurrence to the next (RFC 9457 §3.1.3).
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The request could be read in two ways, or not at all.
    BadRequest => "bad-request", BAD_REQUEST, Downstream, "The request cannot be read safely";
    /// The host asked for is not the one that the connection was made to.
    Misdirected => "misdirected-request", MISDIRECTED_REQUEST, Downstream, "The request came to the wrong connection";
    /// No credential, or one that we do not know.
    Unauthenticated => "unauthenticated", UNAUTHORIZED, Downstream, "Who is calling is not known";
    /// No upstream is configured for this host and path.
    NoRoute => "no-route", NOT_FOUND, Downstream, "No upstream is configured for this request";
    /// The body is longer than may be inspected or held.
    BodyTooLarge => "body-too-large", PAYLOAD_TOO_LARGE, Downstream, "The body is too large to be inspected";
    /// The body is in a content coding, or in a charset, that is not read here.
    UnsupportedCoding => "unsupported-content-coding", UNSUPPORTED_MEDIA_TYPE, Downstream, "The coding or charset of the body is not supported";
    /// The body is not what its content coding says.
    BodyUndecodable => "body-undecodable", BAD_REQUEST, Downstream, "The body cannot be decoded";
    /// The body did not arrive in time.
    BodyTimeout => "body-timeout", REQUEST_TIMEOUT, Downstream, "The body did not arrive in time";
    /// The policy denies the call.
    PolicyDenied => "policy-denied", FORBIDDEN, Downstream, "The policy denies this call";
    /// A reviewer denied the call.
    ApprovalDenied => "approval-denied", FORBIDDEN, Downstream, "A reviewer denied this call";
    /// Nobody decided in time.
    ApprovalExpired => "approval-expired", FORBIDDEN, Downstream, "Nobody approved this call in time";
    /// The approval was withdrawn or revoked before the call ran.
    ApprovalWithdrawn => "approval-withdrawn", FORBIDDEN, Downstream, "The approval of this call was withdrawn";
    /// The approval was given, but the call may have run already.
    OutcomeUnknown => "outcome-unknown", FORBIDDEN, Downstream, "Whether this call ran is not known";
    /// A reviewer asks something before deciding.
    ClarificationRequired => "clarification-required", FORBIDDEN, Downstream, "A reviewer asks about this call";
    /// The approval is still open, and waiting any longer makes no sense.
    ApprovalPending => "approval-pending", FORBIDDEN, Downstream, "This call still waits for approval";
    /// The caller asked not to wait, and the approval is open.
    ApprovalAccepted => "approval-accepted", ACCEPTED, Downstream, "This call waits for approval";
    /// The `Approval-Id` is not that of this call.
    ApprovalMismatch => "approval-mismatch", FORBIDDEN, Downstream, "The approval is not about this call";
    /// The approved call has run already.
    AlreadyRun => "already-run", FORBIDDEN, Downstream, "This call has run already";
    /// Nobody could ever approve this call.
    NoReviewer => "no-eligible-reviewer", FORBIDDEN, Ours, "Nobody may approve this call";
    /// The policy could not be evaluated.
    PolicyError => "policy-error", INTERNAL_SERVER_ERROR, Ours, "The policy could not be evaluated";
    /// Too many calls of this principal or rule wait for approval.
    TooManyPending => "too-many-pending", TOO_MANY_REQUESTS, Downstream, "Too many calls wait for approval";
    /// The place where approvals are kept cannot be reached.
    StoreUnavailable => "approval-store-unavailable", SERVICE_UNAVAILABLE, Ours, "Approvals cannot be kept right now";
    /// The place where long bodies are kept meanwhile cannot be written.
    SpoolUnavailable => "body-spool-unavailable", SERVICE_UNAVAILABLE, Ours, "Long bodies cannot be kept right now";
    /// The audit log cannot be written.
    AuditUnavailable => "audit-unavailable", SERVICE_UNAVAILABLE, Ours, "The audit log cannot be written";
    /// This process is about to stop.
    Draining => "draining", SERVICE_UNAVAILABLE, Ours, "This server is about to stop";
    /// Too many connections or calls at once.
    Overloaded => "overloaded", SERVICE_UNAVAILABLE, Ours, "Too many calls at once";
    /// The upstream credential could not be read.
    CredentialUnavailable => "credential-unavailable", BAD_GATEWAY, Ours, "The upstream credential is not available";
    /// The upstream could not be reached; nothing was sent.
    UpstreamUnreachable => "upstream-unreachable", BAD_GATEWAY, Upstream, "The upstream cannot be reached";
    /// The upstream broke off before it had answered.
    UpstreamBroke => "upstream-broke-off", BAD_GATEWAY, Upstream, "The upstream broke off";
    /// The upstream did not answer in time.
    UpstreamTimeout => "upstream-timeout", GATEWAY_TIMEOUT, Upstream, "The upstream did not answer in time";
    /// Something that should not happen did.
    Internal => "internal-error", INTERNAL_SERVER_ERROR, Ours, "Something went wrong in the proxy";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_never_a_status_that_sdks_retry() {
        for code in RefusalCode::ALL.iter().filter(|code| code.as_str().starts_with("approval-denied")) {
            assert_eq!(code.status(), StatusCode::FORBIDDEN, "{code:?}");
        }
    }

    #[test]
    fn the_words_are_distinct() {
        let words: std::collections::BTreeSet<_> = RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), RefusalCode::ALL.len());
    }
}
