//! What people say about an approval: approve, deny, ask, answer, withdraw.

use crate::approval::error::ApprovalError;
use crate::approval::error::assurance_name;
use crate::approval::quorum;
use crate::approval::record::Approval;
use crate::approval::record::MessageKind;
use crate::approval::record::Review;
use crate::approval::record::ReviewVerdict;
use crate::approval::record::State;
use crate::approval::record::ThreadMessage;
use crate::model::Assurance;
use crate::model::CallDigest;
use crate::model::PersonId;
use crate::model::Timestamp;

use super::Happened;
use super::MESSAGES_MAX;
use super::NewReview;
use super::Surroundings;
use super::TEXT_BYTES_MAX;
use super::eligibility::gives_reason;

impl Approval {
    pub(super) fn review(
        &mut self,
        review: NewReview,
        around: Surroundings<'_>,
    ) -> Result<Vec<Happened>, ApprovalError> {
        let NewReview { person, digest, verdict, channel, assurance, reason } = review;
        self.check_digest(digest)?;
        check_text(reason.as_deref())?;
        let person = around.people.canonical_person(&person);
        let groups = self.may_review(&person, around.people, around.now)?;
        if self.has_said(&person, verdict, around.people) {
            return Ok(Vec::new());
        }
        self.check_undecided(verdict, around.now)?;
        if verdict == ReviewVerdict::Approve {
            self.check_approving(assurance, reason.as_deref())?;
        }
        let review = Review { person, verdict, groups, channel, assurance, reason, at: around.now };
        self.reviews.push(review.clone());
        Ok(match verdict {
            ReviewVerdict::Approve => self.approved_by(review, around),
            ReviewVerdict::Deny => self.denied_by(review),
        })
    }

    fn approved_by(&mut self, review: Review, around: Surroundings<'_>) -> Vec<Happened> {
        let at = review.at;
        let mut happened = vec![Happened::Reviewed(review)];
        if quorum::is_met(&self.slots(around.people, at)) {
            self.state = State::Approved { at, claim_until: at.plus(around.claim_within) };
            happened.push(Happened::Entered);
        }
        happened
    }

    /// One denial is enough, even after all approvals, as long as the call has not run.
    fn denied_by(&mut self, review: Review) -> Vec<Happened> {
        let Review { person, reason, at, .. } = review.clone();
        if self.state == State::Pending {
            self.state = State::Denied { at, by: person, reason };
            return vec![Happened::Reviewed(review), Happened::Entered];
        }
        let why = reason.map_or(String::new(), |reason| format!(": {reason}"));
        self.state = State::Revoked { at, reason: format!("denied by {person} after it was approved{why}") };
        vec![Happened::Overruled(review)]
    }

    fn check_digest(&self, digest: CallDigest) -> Result<(), ApprovalError> {
        if digest == self.digest {
            return Ok(());
        }
        let (given, expected) = (digest.short(), self.digest.short());
        Err(ApprovalError::DigestMismatch { approval: self.id, given, expected })
    }

    /// A pending approval can be decided until it expires; one that is approved but has not run
    /// can still be denied, which revokes it.
    fn check_undecided(&self, verdict: ReviewVerdict, now: Timestamp) -> Result<(), ApprovalError> {
        match (&self.state, verdict) {
            (State::Pending, _) if now >= self.expires => Err(ApprovalError::Expired(self.id)),
            (State::Pending, _) | (State::Approved { .. }, ReviewVerdict::Deny) => Ok(()),
            (State::Expired { .. }, _) => Err(ApprovalError::Expired(self.id)),
            (
                State::Approved { .. }
                | State::Forwarding { .. }
                | State::Completed { .. }
                | State::Failed { .. }
                | State::Unknown { .. }
                | State::Denied { .. }
                | State::Withdrawn { .. }
                | State::Revoked { .. }
                | State::Lapsed { .. },
                _,
            ) => Err(self.already_decided()),
        }
    }

    fn check_approving(&self, given: Assurance, reason: Option<&str>) -> Result<(), ApprovalError> {
        let needed = self.obligations.assurance;
        if given < needed {
            let (needed, given) = (assurance_name(needed), assurance_name(given));
            return Err(ApprovalError::NeedsAssurance { needed, given });
        }
        if self.obligations.require_reason && !gives_reason(reason) {
            return Err(ApprovalError::ReasonRequired);
        }
        Ok(())
    }

    /// The first question sets the clock back to its start, once, so that there is time to answer
    /// it (DESIGN 6).
    pub(super) fn ask(
        &mut self,
        person: &PersonId,
        digest: CallDigest,
        text: String,
        around: Surroundings<'_>,
    ) -> Result<ThreadMessage, ApprovalError> {
        self.check_digest(digest)?;
        check_said(&text)?;
        let person = around.people.canonical_person(person);
        self.may_review(&person, around.people, around.now)?;
        if matches!(self.state, State::Approved { .. }) {
            return Err(self.already_decided());
        }
        self.check_undecided(ReviewVerdict::Approve, around.now)?;
        // There is always room for the answer.
        if self.messages.len() + 2 > MESSAGES_MAX {
            return Err(ApprovalError::ThreadFull { max: MESSAGES_MAX });
        }
        if self.messages.is_empty() {
            let lasts = self.expires.since(self.created);
            self.expires = self.expires.max(around.now.plus(lasts));
        }
        let message = ThreadMessage { by: person.to_string(), kind: MessageKind::Question, text, at: around.now };
        self.messages.push(message.clone());
        Ok(message)
    }

    pub(super) fn answer(&mut self, by: String, text: String, now: Timestamp) -> Result<Vec<Happened>, ApprovalError> {
        check_said(&text)?;
        if self.state != State::Pending {
            return Err(self.already_decided());
        }
        if self.open_question().is_none() {
            return Ok(Vec::new());
        }
        let message = ThreadMessage { by, kind: MessageKind::Answer, text, at: now };
        self.messages.push(message.clone());
        Ok(vec![Happened::Answered(message)])
    }

    pub(super) fn withdraw(
        &mut self,
        person: &PersonId,
        reason: Option<String>,
        around: Surroundings<'_>,
    ) -> Result<Vec<Happened>, ApprovalError> {
        check_text(reason.as_deref())?;
        if !self.stands_behind(person, around.people) {
            return Err(ApprovalError::NotRequester { person: person.to_string() });
        }
        if !self.state.is_open() {
            return Err(self.already_decided());
        }
        let by = around.people.canonical_person(person).to_string();
        Ok(self.take_back(by, reason, around.now))
    }

    /// The caller's side takes it back: withdrawn before people have approved it, revoked after.
    pub(super) fn take_back(&mut self, by: String, reason: Option<String>, at: Timestamp) -> Vec<Happened> {
        self.state = if self.state == State::Pending {
            State::Withdrawn { at, by, reason }
        } else {
            let why = reason.map_or(String::new(), |reason| format!(": {reason}"));
            State::Revoked { at, reason: format!("withdrawn by {by} after it was approved{why}") }
        };
        vec![Happened::Entered]
    }

    pub(super) fn revoke(&mut self, reason: String, at: Timestamp) -> Result<Vec<Happened>, ApprovalError> {
        if !matches!(self.state, State::Approved { .. }) {
            return Err(self.already_decided());
        }
        self.state = State::Revoked { at, reason };
        Ok(vec![Happened::Entered])
    }
}

fn check_text(text: Option<&str>) -> Result<(), ApprovalError> {
    match text.map(str::len) {
        Some(given) if given > TEXT_BYTES_MAX => Err(ApprovalError::TextTooLong { given, max: TEXT_BYTES_MAX }),
        _ => Ok(()),
    }
}

/// A question or an answer has to say something.
fn check_said(text: &str) -> Result<(), ApprovalError> {
    check_text(Some(text))?;
    if text.trim().is_empty() { Err(ApprovalError::QuestionRequired) } else { Ok(()) }
}
