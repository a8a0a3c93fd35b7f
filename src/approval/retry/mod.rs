//! Which earlier approval a call comes back for: all attempts at one call are one approval, and
//! two calls are two (DESIGN 5).
//!
//! Who a call belongs to is looked for in this order: the approval it names, the one that was
//! opened for its SDK's call id, one that is open for the same digest, and one of the same digest
//! that has just ended. An id is only what the caller claims, so whatever was found must be of the
//! same principal and digest too. Pure: the store finds candidates, and [`Sought::relate`] judges.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::ApprovalId;
use crate::model::Attempt;
use crate::model::CallDigest;
use crate::model::Timestamp;

use super::record::Approval;
use super::record::State;

/// How a store came upon a record that a new call may belong to, in the order in which it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The caller names it (`Approval-Id`).
    Named,
    /// It was opened or joined under the same call id.
    CallId,
    /// It is open and has the same digest.
    Open,
    /// It has the same digest, and runs at this moment or has ended after [`Sought::ended_since`].
    Ended,
}

/// What a new call is to a record that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// It comes to wait for it, in the place of an earlier attempt of its own if one is still there.
    Joins,
    /// It is an attempt at the call that this record is about, whose fate is sealed.
    Repeats,
    /// It has nothing to do with it.
    Stranger,
}

/// A call that looks for its approval.
#[derive(Clone, Debug)]
pub struct Sought {
    /// Whose call it is.
    pub principal: String,
    /// Who stands behind it: the people of its principal, and of the very key that it came with.
    pub closure: BTreeSet<String>,
    /// Which call it is.
    pub digest: CallDigest,
    /// What its SDK says.
    pub attempt: Attempt,
    /// The approval that it names.
    pub named: Option<ApprovalId>,
    /// Now.
    pub now: Timestamp,
    /// For how long a denial answers the same call again.
    pub denied_for: Duration,
    /// For how long the upstream's answer is kept for attempts that come too late.
    pub replay_for: Duration,
}

impl Sought {
    /// Records that ended before this have nothing to say to a call that has only its digest.
    pub fn ended_since(&self) -> Timestamp {
        self.now.minus(self.denied_for.max(self.replay_for))
    }

    /// Call ids that were last seen before this are forgotten.
    pub fn remembered_since(&self) -> Timestamp {
        self.now.minus(CALL_ID_FOR)
    }

    /// What this call is to `record`. `has_left` says of the caller that the record names whether it
    /// is known to have gone, though the record does not say so yet.
    pub(super) fn relate(&self, record: &Approval, found: Found, has_left: bool) -> Relation {
        if record.principal.id != self.principal || record.digest != self.digest {
            return Relation::Stranger;
        }
        match &record.state {
            State::Pending | State::Approved { .. } => self.relate_open(record, found, has_left),
            State::Forwarding { .. } | State::Completed { .. } => self.relate_run(record, found),
            State::Denied { at, .. } | State::Revoked { at, .. } => {
                repeats_if(found != Found::Ended || self.is_within(*at, self.denied_for))
            }
            State::Unknown { at, .. } => match found {
                Found::Named => Relation::Repeats,
                _ if record.obligations.repeatable => Relation::Stranger,
                Found::CallId => Relation::Repeats,
                Found::Open | Found::Ended => repeats_if(self.is_within(*at, self.denied_for)),
            },
            // Nothing ran and nobody said no: whoever calls again asks anew, but not under its name.
            State::Expired { .. } | State::Lapsed { .. } | State::Withdrawn { .. } | State::Failed { .. } => {
                repeats_if(found == Found::Named)
            }
        }
    }

    /// Whether nobody stands behind it who does not stand behind `record`. Whoever made another key
    /// for the agent, or answers for it since, may have approved that one as a stranger to it; the
    /// call would run for them.
    pub(super) fn is_by_those_behind(&self, record: &Approval) -> bool {
        self.closure.is_subset(&record.closure)
    }

    fn relate_open(&self, record: &Approval, found: Found, has_left: bool) -> Relation {
        // One that is over, though the sweep has not come to it, is nothing to wait for.
        if record.open_until().is_none_or(|until| until <= self.now) {
            return Relation::Stranger;
        }
        let free = record.caller.is_none() || has_left;
        match found {
            Found::Named | Found::CallId => Relation::Joins,
            Found::Open | Found::Ended if free || self.is_later_attempt() => Relation::Joins,
            // A caller is there, and this is no attempt of its call: a second action.
            Found::Open | Found::Ended => Relation::Stranger,
        }
    }

    /// It has run or does at this moment. Without an id, a call is a new one unless it says that it
    /// is not.
    fn relate_run(&self, record: &Approval, found: Found) -> Relation {
        match found {
            Found::Named | Found::CallId => Relation::Repeats,
            Found::Open | Found::Ended => {
                let recent = record.state.since().is_some_and(|at| self.is_within(at, self.replay_for));
                let under_way = matches!(record.state, State::Forwarding { .. });
                repeats_if(self.is_later_attempt() && (under_way || recent))
            }
        }
    }

    /// Whether it says that it is not the first attempt. An SDK that gives ids to its calls would
    /// have given the id of the first.
    fn is_later_attempt(&self) -> bool {
        self.attempt.of.is_none() && self.attempt.number.is_some_and(|number| number > 1)
    }

    fn is_within(&self, at: Timestamp, duration: Duration) -> bool {
        self.now < at.plus(duration)
    }
}

fn repeats_if(repeats: bool) -> Relation {
    if repeats { Relation::Repeats } else { Relation::Stranger }
}

/// How long a call id is remembered: as long as Stripe does, whose clients expect it.
const CALL_ID_FOR: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
