//! The caller's side of an approval: it waits, leaves, comes again, and runs the call once.

use std::collections::BTreeSet;

use crate::approval::error::ApprovalError;
use crate::approval::quorum;
use crate::approval::record::Approval;
use crate::approval::record::State;
use crate::model::CallId;
use crate::model::OnDisconnect;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::Ending;
use super::Happened;
use super::Surroundings;
use super::TEXT_BYTES_MAX;
use super::eligibility::gives_reason;

impl Approval {
    pub(super) fn join(
        &mut self,
        call: CallId,
        instead_of: Option<CallId>,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<Vec<Happened>, ApprovalError> {
        if !self.state.is_open() || self.caller.is_some_and(|caller| instead_of != Some(caller)) {
            return Err(self.already_decided());
        }
        let left = self.caller.map(Happened::Left);
        let answers = self.state == State::Pending && gives_reason(reason.as_deref());
        let answered = match reason.filter(|_| answers) {
            Some(reason) => self.answer(self.principal.id.clone(), reason, now)?,
            None => Vec::new(),
        };
        self.caller = Some(call);
        let mut happened: Vec<Happened> = left.into_iter().collect();
        happened.push(Happened::Joined(call));
        happened.extend(answered);
        Ok(happened)
    }

    pub(super) fn leave(&mut self, call: CallId, now: Timestamp) -> Vec<Happened> {
        let mut happened = self.send_away(call);
        if !happened.is_empty() {
            happened.extend(self.disconnected(now));
        }
        happened
    }

    /// A caller whose call is under way does not wait; how that ends is the run's to say.
    pub(super) fn send_away(&mut self, call: CallId) -> Vec<Happened> {
        if self.caller != Some(call) || matches!(self.state, State::Forwarding { .. }) {
            return Vec::new();
        }
        self.caller = None;
        vec![Happened::Left(call)]
    }

    fn disconnected(&mut self, now: Timestamp) -> Vec<Happened> {
        match self.obligations.on_disconnect {
            OnDisconnect::Withdraw if self.state.is_open() => {
                self.take_back(self.principal.id.clone(), Some("the caller hung up".to_owned()), now)
            }
            OnDisconnect::Withdraw | OnDisconnect::Wait => Vec::new(),
        }
    }

    /// One run and no other: only the call that waits may claim, and only once.
    pub(super) fn claim(
        &mut self,
        run: CallId,
        exact: Sha256,
        behind: BTreeSet<String>,
        around: Surroundings<'_>,
    ) -> Result<Vec<Happened>, ApprovalError> {
        let at = around.now;
        match self.state {
            State::Approved { claim_until, .. } if at < claim_until && self.caller == Some(run) => {
                self.closure.extend(behind);
                if quorum::is_met(&self.slots(around.people, at)) {
                    self.state = State::Forwarding { at, run, claim_until };
                    return Ok(vec![Happened::Claimed(exact)]);
                }
                let reason = "too few of those who approved it may still review it".to_owned();
                self.state = State::Revoked { at, reason };
                Ok(vec![Happened::Entered])
            }
            State::Approved { .. }
            | State::Pending
            | State::Forwarding { .. }
            | State::Completed { .. }
            | State::Failed { .. }
            | State::Unknown { .. }
            | State::Denied { .. }
            | State::Expired { .. }
            | State::Withdrawn { .. }
            | State::Revoked { .. }
            | State::Lapsed { .. } => Err(ApprovalError::NotClaimable { approval: self.id, state: self.state.name() }),
        }
    }

    /// Gives the claim back. It can be claimed again, and no longer than it could before: giving
    /// back must not keep an old approval alive.
    pub(super) fn unclaim(&mut self, call: CallId, now: Timestamp) -> Vec<Happened> {
        let State::Forwarding { at, run, claim_until } = self.state else { return self.leave(call, now) };
        if run != call {
            return Vec::new();
        }
        let at = self.approving().last().map_or(at, |review| review.at);
        self.state = State::Approved { at, claim_until };
        self.caller = None;
        let mut happened = vec![Happened::Unclaimed(run)];
        happened.extend(self.disconnected(now));
        happened
    }

    pub(super) fn finish(
        &mut self,
        call: CallId,
        ending: Ending,
        at: Timestamp,
    ) -> Result<Vec<Happened>, ApprovalError> {
        if !matches!(self.state, State::Forwarding { run, .. } if run == call) {
            return Err(ApprovalError::NotRunning { approval: self.id });
        }
        self.caller = None;
        self.state = match ending {
            Ending::Completed { status } => State::Completed { at, status },
            Ending::NotSent { reason } => State::Failed { at, reason: clipped(reason) },
            Ending::Unknown { reason } => State::Unknown { at, reason: clipped(reason) },
        };
        Ok(vec![Happened::Entered])
    }

    /// Nobody is left who could say how a run ended, or who waits.
    pub(super) fn abandon(&mut self, at: Timestamp) -> Vec<Happened> {
        if matches!(self.state, State::Forwarding { .. }) {
            self.caller = None;
            let reason = "the proxy stopped while the call was under way".to_owned();
            self.state = State::Unknown { at, reason };
            return vec![Happened::Entered];
        }
        self.caller.map_or(Vec::new(), |call| self.leave(call, at))
    }

    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<Happened> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        if self.state == State::Pending && now < self.expires {
            let begun = self.escalates().filter(|(begins, _)| *begins <= now).count();
            self.escalated = u32::try_from(begun).unwrap_or(u32::MAX);
            return vec![Happened::Escalated];
        }
        let pending = self.state == State::Pending;
        self.state = if pending { State::Expired { at: now } } else { State::Lapsed { at: now } };
        vec![Happened::Entered]
    }
}

/// An ending has to fit into the log, or it could never be told.
fn clipped(mut reason: String) -> String {
    let mut end = reason.len().min(TEXT_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}
