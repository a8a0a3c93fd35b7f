//! What a caller itself can do about its approvals, apart from waiting for them.

use crate::model::ApprovalId;
use crate::model::PersonId;

use super::error::ApprovalError;
use super::machine::Command;
use super::record::Approval;
use super::service::Approvals;

impl Approvals {
    /// Answers the open question in the name of the principal that calls.
    ///
    /// # Errors
    /// [`ApprovalError`] says why it has no effect.
    pub async fn answer_as_caller(
        &self,
        id: ApprovalId,
        principal: &str,
        text: String,
    ) -> Result<Approval, ApprovalError> {
        self.change(id, Command::Answer { by: principal.to_owned(), text }).await
    }

    /// Takes a call back in the name of the principal that calls.
    ///
    /// # Errors
    /// [`ApprovalError`] says why it has no effect.
    pub async fn withdraw_as_caller(&self, id: ApprovalId, principal: &str) -> Result<Approval, ApprovalError> {
        let not_theirs = || ApprovalError::NotRequester { person: principal.to_owned() };
        // A principal's name stands in its own closure, so it may take back what is its own.
        let person: PersonId = principal.parse().map_err(|_| not_theirs())?;
        let reason = Some("taken back by the caller".to_owned());
        self.change(id, Command::Withdraw { person, reason }).await
    }

    /// The place of the latest event that has taken effect; 0 if there is none.
    pub fn last_event(&self) -> u64 {
        self.0.progress.borrow().seq
    }
}
