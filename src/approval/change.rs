//! How a record changes: checked, carried out, sealed and told, then stored, then in the log.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::rand;

use crate::model::ApprovalId;
use crate::model::CallId;
use crate::model::EventId;
use crate::model::Sha256;

use super::error::ApprovalError;
use super::events;
use super::machine::Command;
use super::machine::Happened;
use super::machine::Surroundings;
use super::record::Approval;
use super::record::State;
use super::seal::Seal;
use super::service::Approvals;
use super::store::NewEntry;
use super::store::Step;

impl Approvals {
    /// Changes a record if the log takes events, and answers once the change is in it.
    pub(super) async fn change(&self, id: ApprovalId, command: Command) -> Result<Approval, ApprovalError> {
        self.0.log.healthy().map_err(ApprovalError::Audit)?;
        self.record(id, command).await
    }

    /// Changes a record even while the log takes no events: for what has happened already.
    pub(super) async fn record(&self, id: ApprovalId, command: Command) -> Result<Approval, ApprovalError> {
        let service = self.clone();
        let change = Box::new(move |current: &Approval| service.act(current, command.clone()));
        let changed = self.0.store.change(id, change).await?;
        if let Some(seq) = changed.seq {
            if changed.approval.deadline().is_some() {
                self.0.deadline_set.notify_one();
            }
            self.published(seq).await?;
        }
        Ok(changed.approval)
    }

    pub(super) async fn claim(
        &self,
        id: ApprovalId,
        run: CallId,
        exact: Sha256,
        behind: BTreeSet<String>,
    ) -> Result<(), ApprovalError> {
        let approval = self.change(id, Command::Claim { run, exact, behind }).await?;
        match approval.state {
            State::Forwarding { .. } => Ok(()),
            state => Err(ApprovalError::NotClaimable { approval: id, state: state.name() }),
        }
    }

    /// Records what has happened already, with nobody waiting for it. A store that is away is
    /// tried again: a caller that is thought to wait would keep its own retry out, and a run that
    /// has ended would have no ending.
    pub(super) fn later(&self, id: ApprovalId, command: Command) {
        let service = self.clone();
        self.0.tasks.spawn_on(async move { service.record_at_last(id, command).await }, &self.0.runtime);
    }

    /// The caller has gone, as `command` says. Its own retry may come before that is stored, and has
    /// to find its place free all the same.
    pub(super) fn leaves(&self, id: ApprovalId, call: CallId, command: Command) {
        self.0.hub.leave(id, call);
        let service = self.clone();
        let work = async move {
            service.record_at_last(id, command).await;
            service.0.hub.gone(id, call);
        };
        self.0.tasks.spawn_on(work, &self.0.runtime);
    }

    async fn record_at_last(&self, id: ApprovalId, command: Command) {
        let mut wait = RETRY_FIRST;
        while let Err(error) = self.record(id, command.clone()).await {
            if !matches!(error, ApprovalError::Store(_)) {
                tracing::debug!(approval.id = %id, %error, "nothing was changed, or the log has yet to take it");
                return;
            }
            tracing::warn!(approval.id = %id, %error, "what happened to an approval cannot be stored; trying again");
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY_MAX),
                () = self.0.stop.cancelled() => return,
            }
        }
    }

    /// The record after `command`, with the events that say what happened.
    pub(super) fn act(&self, current: &Approval, command: Command) -> Result<Step, ApprovalError> {
        self.check_seal(current)?;
        let people = self.people();
        let claim_within = self.0.settings.load().claim_within;
        let around = Surroundings { people: &people, claim_within, now: self.0.clock.now() };
        let mut approval = current.clone();
        let happened = approval.apply(command, around)?;
        self.step(approval, &happened)
    }

    /// Seals `approval`, to which all this has happened, with the events that say so, each linked
    /// to the one before it.
    pub(super) fn step(&self, mut approval: Approval, happened: &[Happened]) -> Result<Step, ApprovalError> {
        let mut events = Vec::with_capacity(happened.len());
        if happened.is_empty() {
            return Ok(Step { approval, events });
        }
        approval.version += 1;
        let now = self.0.clock.now();
        for happened in happened {
            let id = EventId::new(&self.0.ids, now);
            let event = events::event(&approval, happened, id, now, &|name| self.0.log.pseudonym(name));
            let kind = event.kind.as_str().to_owned();
            let leaf = event.seal(&self.0.instance, salt).map_err(|error| ApprovalError::Audit(error.to_string()))?;
            approval.link = Some(leaf.hash());
            events.push(NewEntry { kind, at: now, leaf });
        }
        approval.seal = Some(Seal::new(&approval, &self.0.key));
        Ok(Step { approval, events })
    }

    /// A record that was not sealed by us is not believed, whatever it says.
    pub(super) fn check_seal(&self, approval: &Approval) -> Result<(), ApprovalError> {
        if approval.seal.as_ref().is_some_and(|seal| seal.is_valid(approval, &self.0.key)) {
            return Ok(());
        }
        Err(self.forged(approval.id))
    }

    pub(super) fn forged(&self, id: ApprovalId) -> ApprovalError {
        tracing::error!(approval.id = %id, "an approval was changed outside of this program; nothing is released");
        self.0.metrics.forged();
        ApprovalError::Forged(id)
    }

    /// Waits until the event `seq` is in the audit log.
    pub(super) async fn published(&self, seq: u64) -> Result<(), ApprovalError> {
        let mut progress = self.0.progress.clone();
        let over = progress.wait_for(|progress| progress.seq >= seq || progress.failing.is_some());
        let cause = match tokio::time::timeout(PUBLISH_WITHIN, over).await {
            Ok(Ok(progress)) if progress.seq >= seq => return Ok(()),
            Ok(Ok(progress)) => progress.failing.as_deref().unwrap_or_default().to_owned(),
            Ok(Err(_)) => "this process is about to stop".to_owned(),
            Err(_) => format!("it did not take an event within {} s", PUBLISH_WITHIN.as_secs()),
        };
        Err(ApprovalError::Audit(format!("{cause}; what was said is stored, and takes effect once it is in the log")))
    }
}

/// Hides what the leaf commits to from whoever guesses.
fn salt() -> [u8; 16] {
    let mut salt = [0; 16];
    rand::fill(&mut salt).expect("the system has given random numbers since the start");
    salt
}

/// How long a change waits for the audit log before it says that it does.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);

/// How soon a store that was away is tried again, doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(250);

/// How long it is left alone at most.
const RETRY_MAX: Duration = Duration::from_secs(30);
