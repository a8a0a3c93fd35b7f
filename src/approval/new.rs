//! From a held call to the record of its approval.

use std::time::Duration;

use crate::identity::People;
use crate::model::ApprovalId;
use crate::model::Call;
use crate::model::CallDigest;
use crate::model::DecisionId;
use crate::model::HoldObligations;
use crate::model::Message;
use crate::model::PolicyDigest;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::machine;
use super::record::Approval;
use super::record::State;
use super::service::Settings;
use super::shown;
use super::shown::Shown;

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
    /// The record and what reviewers will see. `secret` is what hashes of redacted values begin
    /// with.
    pub(super) fn record(
        self,
        id: ApprovalId,
        now: Timestamp,
        settings: &Settings,
        people: &People,
        secret: Sha256,
    ) -> (Approval, Shown) {
        let Message::Http(request) = &self.call.message;
        let shown = shown::show(request, &self.obligations.redact, secret);
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
            line: shown.request.line.clone(),
            request_sha256: shown.request.hash(),
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
            escalated: 0,
            seal: None,
            link: None,
        };
        (approval, shown)
    }
}
