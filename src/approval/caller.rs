//! What a caller itself can do about its approvals, apart from waiting for them.

use crate::model::ApprovalId;
use crate::model::PersonId;

use super::error::ApprovalError;
use super::machine::Command;
use super::record::Approval;
use super::service::Approvals;
use super::store::Query;

impl Approvals {
    /// One record, as its caller may be told of it: what has happened to it is in the audit log.
    ///
    /// # Errors
    /// [`ApprovalError::Store`], and [`ApprovalError::Audit`] while the log cannot be written.
    pub async fn told(&self, id: ApprovalId) -> Result<Option<Approval>, ApprovalError> {
        let approval = self.0.store.read(id).await?;
        self.logged(Some(id)).await?;
        Ok(approval)
    }

    /// Records, newest first, as their caller may be told of them.
    ///
    /// # Errors
    /// As with [`Self::told`].
    pub async fn list_told(&self, query: Query) -> Result<Vec<Approval>, ApprovalError> {
        let approvals = self.0.store.list(query).await?;
        self.logged(None).await?;
        Ok(approvals)
    }

    /// Waits until all that has been read of one approval, or of all, is in the audit log. Asked
    /// after reading, so that no event of what was read is missed; one that came later does no harm.
    pub(super) async fn logged(&self, id: Option<ApprovalId>) -> Result<(), ApprovalError> {
        let seq = self.0.store.last_seq(id).await?;
        self.published(seq).await
    }

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
