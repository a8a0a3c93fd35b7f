//! The life of one approval: pending, then approved, denied, expired or withdrawn, once; and once
//! approved, run at most once.
//!
//! Owns who may review what, the quorum, and the order of events. Does not own where the record is
//! kept (`approval::store`), how reviewers hear of it (`review`), or what is told to the caller
//! (`gate`). Pure: no IO, and the caller brings `now`. Start at [`Approval::apply`].

use std::collections::BTreeSet;
use std::time::Duration;

use crate::identity::People;
use crate::model::Assurance;
use crate::model::CallDigest;
use crate::model::CallId;
use crate::model::PersonId;
use crate::model::Sha256;
use crate::model::Timestamp;

use crate::approval::error::ApprovalError;
use crate::approval::record::Approval;
use crate::approval::record::Channel;
use crate::approval::record::Review;
use crate::approval::record::ReviewVerdict;
use crate::approval::record::ThreadMessage;

mod eligibility;
mod review;
mod run;

pub(super) use eligibility::closure;

/// What somebody wants to happen to an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A person approves or denies.
    Review(NewReview),
    /// A reviewer asks the agent something.
    Ask {
        /// Who asks.
        person: PersonId,
        /// The call they have looked at.
        digest: CallDigest,
        /// The question.
        text: String,
        /// By which channel.
        channel: Channel,
        /// How sure we are that it was them.
        assurance: Assurance,
    },
    /// The agent, or a person behind it, answers the open question.
    Answer {
        /// Who answers.
        by: String,
        /// The answer.
        text: String,
    },
    /// A person behind the caller takes the call back.
    Withdraw {
        /// Who.
        person: PersonId,
        /// Why.
        reason: Option<String>,
    },
    /// The policy does not stand by it any more.
    Revoke {
        /// Why.
        reason: String,
    },
    /// A caller comes to wait for it.
    Join {
        /// The call that waits.
        call: CallId,
        /// The earlier attempt whose place it takes, should that still seem to wait.
        instead_of: Option<CallId>,
        /// What it gives as its reason this time.
        reason: Option<String>,
    },
    /// The caller has hung up.
    Leave {
        /// The call that waited.
        call: CallId,
    },
    /// The caller was told to come again, so its leaving says nothing of what it wants.
    SendAway {
        /// The call that waited.
        call: CallId,
    },
    /// The waiting call is about to be sent.
    Claim {
        /// The call.
        run: CallId,
        /// The hash of exactly what will be sent ([`crate::model::Call::exact_sha256`]).
        exact: Sha256,
        /// Who stands behind the caller now; some may have come since it was held.
        behind: BTreeSet<String>,
    },
    /// The call has left after it wanted to run, and not a byte of it was sent.
    Unclaim {
        /// The call.
        run: CallId,
    },
    /// The run is over.
    Finish {
        /// The call that ran.
        run: CallId,
        /// How it ended.
        ending: Ending,
    },
    /// The process that had the caller is gone.
    Abandon,
    /// Time has passed.
    Tick,
}

/// A person's answer, with what is known of how it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReview {
    /// Who.
    pub person: PersonId,
    /// The call they have looked at.
    pub digest: CallDigest,
    /// What they say.
    pub verdict: ReviewVerdict,
    /// By which channel.
    pub channel: Channel,
    /// How sure we are that it was them.
    pub assurance: Assurance,
    /// Why.
    pub reason: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The upstream answered with this HTTP status.
    Completed {
        /// The status.
        status: u16,
    },
    /// Nothing was sent.
    NotSent {
        /// Why.
        reason: String,
    },
    /// Something was sent and no answer came.
    Unknown {
        /// What is known.
        reason: String,
    },
}

/// What has happened to an approval; each becomes one event of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was opened, for a call of which this is the hash of the exact bytes.
    Created(Sha256),
    /// A caller waits.
    Joined(CallId),
    /// The caller waits no more.
    Left(CallId),
    /// A person has reviewed.
    Reviewed(Review),
    /// A person has denied what was approved already, and so revoked it.
    Overruled(Review),
    /// A reviewer has asked.
    Asked {
        /// The question.
        message: ThreadMessage,
        /// By which channel.
        channel: Channel,
        /// How sure we are that it was them.
        assurance: Assurance,
    },
    /// The question was answered.
    Answered(ThreadMessage),
    /// It has waited so long that others may approve it as well.
    Escalated,
    /// The state has changed to what the record now says.
    Entered,
    /// It is being run, and this is the hash of the exact bytes that are sent.
    Claimed(Sha256),
    /// The run was given back before anything was sent.
    Unclaimed(CallId),
}

/// What the machine must know beside the record.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Who is who, as configured now.
    pub people: &'a People,
    /// How long an approved call waits for its caller.
    pub claim_within: Duration,
    /// The present.
    pub now: Timestamp,
}

impl Approval {
    /// Carries out `command`, or changes nothing.
    ///
    /// An empty answer means that there was nothing to do, as when a person repeats their review.
    ///
    /// # Errors
    /// [`ApprovalError`] says why the command has no effect.
    pub fn apply(&mut self, command: Command, around: Surroundings<'_>) -> Result<Vec<Happened>, ApprovalError> {
        match command {
            Command::Review(review) => self.review(review, around),
            Command::Ask { person, digest, text, channel, assurance } => {
                let message = self.ask(&person, digest, text, around)?;
                Ok(vec![Happened::Asked { message, channel, assurance }])
            }
            Command::Answer { by, text } => self.answer(by, text, around.now),
            Command::Withdraw { person, reason } => self.withdraw(&person, reason, around),
            Command::Revoke { reason } => self.revoke(reason, around.now),
            Command::Join { call, instead_of, reason } => self.join(call, instead_of, reason, around.now),
            Command::Leave { call } => Ok(self.leave(call, around.now)),
            Command::SendAway { call } => Ok(self.send_away(call)),
            Command::Claim { run, exact, behind } => self.claim(run, exact, behind, around),
            Command::Unclaim { run } => Ok(self.unclaim(run, around.now)),
            Command::Finish { run, ending } => self.finish(run, ending, around.now),
            Command::Abandon => Ok(self.abandon(around.now)),
            Command::Tick => Ok(self.tick(around.now)),
        }
    }

    fn already_decided(&self) -> ApprovalError {
        ApprovalError::AlreadyDecided { approval: self.id, state: self.state.name() }
    }
}

/// Reasons, questions and answers. A person reads them on a phone.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Questions and answers on one approval, so that nobody fills the store by asking.
pub(super) const MESSAGES_MAX: usize = 64;

#[cfg(test)]
mod tests;
