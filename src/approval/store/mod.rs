//! Where approvals are kept: one contract, one suite of tests for whoever fulfils it.
//!
//! A store keeps records and the events that belong to them in one transaction. It decides
//! nothing: every change is a function of ours, run where the record cannot change meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::audit::Leaf;
use crate::model::ApprovalId;
use crate::model::CallDigest;
use crate::model::Timestamp;

use super::error::ApprovalError;
use super::record::Approval;
use super::record::ShownRequest;
pub use super::retry::Found;
pub use super::retry::Sought;

#[cfg(test)]
pub(super) mod contract;
mod embedded;

pub use embedded::Embedded;
pub use embedded::OpenError;

/// What a store's answer comes as.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, ApprovalError>> + Send>>;

/// A change of one record: the record as it is, to the record as it shall be. May run more than
/// once where a store compares and sets; only the last answer counts.
pub type Change = Box<dyn Fn(&Approval) -> Result<Step, ApprovalError> + Send + Sync>;

/// A record as it shall be, and the events that say so. Without events nothing is written.
#[derive(Clone, Debug)]
pub struct Step {
    /// The record.
    pub approval: Approval,
    /// The events, in order.
    pub events: Vec<NewEntry>,
}

/// An event that will be stored with its record.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// What happened, such as `approval.approved`.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// The event as it goes into the audit log.
    pub leaf: Leaf,
}

/// A stored event, in the order in which records changed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in that order, from 1.
    pub seq: u64,
    /// The event.
    pub event: NewEntry,
    /// Which approval it is about.
    pub id: ApprovalId,
    /// The record after the change; `None` where the event is read back later.
    pub approval: Option<Arc<Approval>>,
}

/// A call that is to be held.
pub struct Opening {
    /// Its record, should none be there to join.
    pub step: Step,
    /// The call as reviewers see it.
    pub request: ShownRequest,
    /// What is looked for before a new record is made.
    pub sought: Sought,
    /// What the call is to a record that is there. Asked in the order of [`Found`], and among open
    /// records of the oldest first, until it is no stranger to one.
    pub relate: Relate,
    /// How many records of this principal may be pending.
    pub pending_per_principal_max: u64,
    /// How many records of this first rule may be pending.
    pub pending_per_rule_max: u64,
}

/// What a new call is to a record that is there.
pub type Relate = Box<dyn Fn(&Approval, Found) -> Result<Related, ApprovalError> + Send + Sync>;

/// What a new call is to a record that is there.
#[derive(Clone, Debug)]
pub enum Related {
    /// It comes to wait for it; this is the record then.
    Joins(Box<Step>),
    /// It repeats the call that the record is about, whose fate is sealed; nothing is stored.
    Repeats,
    /// It has nothing to do with it.
    Stranger,
}

/// One piece of a body that does not stand in its request. The pieces come one after the other,
/// before the record that they belong to.
#[derive(Clone, Debug)]
pub struct BodyPiece {
    /// The record that the body will belong to.
    pub id: ApprovalId,
    /// Its place among the pieces, from 0.
    pub number: u64,
    /// The piece.
    pub bytes: Bytes,
    /// How many bytes the whole body has.
    pub total: u64,
    /// How many bytes all bodies together may have.
    pub bytes_total_max: u64,
}

/// What became of an opening.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The record: new, joined or repeated.
    pub approval: Approval,
    /// Which of them.
    pub how: How,
    /// The last event of the change; 0 if nothing has changed.
    pub seq: u64,
}

/// How an opening came to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was made.
    New,
    /// It was there, and the call waits for it now.
    Joined,
    /// It was there, and the call comes too late for it.
    Repeated,
}

/// What became of a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The record, changed or not.
    pub approval: Approval,
    /// The last event of the change; `None` if nothing changed.
    pub seq: Option<u64>,
}

/// A short text that outlives the process, such as what is known of a reviewer's account.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is about.
    pub shelf: Shelf,
    /// Its name there; another one of this name takes its place.
    pub name: String,
    /// The first moment at which it is not there any more.
    pub until: Timestamp,
    /// What it says.
    pub text: String,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may be somebody's session.
        write!(f, "Kept({}, until {})", self.shelf.as_str(), self.until)
    }
}

/// What a kept text is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// Which account of the identity provider is which person.
    Accounts,
    /// Who is signed in.
    Sessions,
}

impl Shelf {
    /// Its word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Sessions => "sessions",
        }
    }
}

/// Which approvals to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only those in one of these states; all if empty.
    pub states: Vec<String>,
    /// Only those of this principal.
    pub principal: Option<String>,
    /// Only those to this upstream.
    pub upstream: Option<String>,
    /// Only those older than this one.
    pub after: Option<ApprovalId>,
    /// How many at most, 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// The most approvals or events that one answer holds.
pub const PAGE_MAX: usize = 500;

/// What is told of a stored event to those who watch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Notice {
    /// Its place in the order of all changes.
    pub seq: u64,
    /// What happened, such as `approval.approved`.
    pub kind: String,
    /// Which approval it is about.
    pub approval: ApprovalId,
    /// When.
    pub at: Timestamp,
}

/// Receives every event right after it was stored, in order. Called on a thread of the store, so
/// it must not wait.
pub type OnStored = Box<dyn Fn(Vec<Entry>) + Send>;

/// A place where approvals are kept.
///
/// What has been answered with `Ok` survives the death of the process at any later moment. What is
/// asked for is done whether or not somebody waits for the answer: it begins with the call, not
/// when the answer is first polled, in the order of the calls.
pub trait Store: Send + Sync {
    /// Stores a new record, or finds the one that the call belongs to, as [`Opening::relate`] says,
    /// and remembers the call id with it.
    ///
    /// # Errors
    /// [`ApprovalError::TooManyPending`]; [`ApprovalError::BodyNotStored`] if there is nothing to
    /// join and the record's body has not been stored whole; or [`ApprovalError::Store`] if nothing
    /// could be stored.
    fn open(&self, opening: Opening) -> Answer<Opened>;

    /// Changes one record.
    ///
    /// # Errors
    /// What `change` says, [`ApprovalError::NotFound`], or [`ApprovalError::Store`].
    fn change(&self, id: ApprovalId, change: Change) -> Answer<Changed>;

    /// Reads one record.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn read(&self, id: ApprovalId) -> Answer<Option<Approval>>;

    /// Reads the request that a record is about.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn request(&self, id: ApprovalId) -> Answer<Option<ShownRequest>>;

    /// Stores a piece of a body. It is kept until its record is over; [`Self::open`] says whether
    /// there is one.
    ///
    /// # Errors
    /// [`ApprovalError::BodiesFull`], or [`ApprovalError::Store`].
    fn put_body(&self, piece: BodyPiece) -> Answer<()>;

    /// Removes the body of a record that is not stored; any other stays.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn drop_body(&self, id: ApprovalId) -> Answer<()>;

    /// Reads one piece of a body; `None` if it is not there.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn body_piece(&self, id: ApprovalId, number: u64) -> Answer<Option<Bytes>>;

    /// How many bytes of a body are there.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn body_bytes(&self, id: ApprovalId) -> Answer<u64>;

    /// Lists records, newest first.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn list(&self, query: Query) -> Answer<Vec<Approval>>;

    /// The records of those calls of `principal` with this digest that were sent after people had
    /// approved them, and ended at `since` or later: up to [`PAGE_MAX`], newest first.
    ///
    /// # Errors
    /// [`ApprovalError::Store`], also of a store that keeps no such order.
    fn runs(&self, principal: String, digest: CallDigest, since: Timestamp) -> Answer<Vec<Approval>> {
        let _ = (principal, digest, since);
        Box::pin(async { Err(ApprovalError::Store("this store does not know which calls have run before".to_owned())) })
    }

    /// The records whose deadline is not after `now`, up to [`PAGE_MAX`], earliest first.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn due(&self, now: Timestamp) -> Answer<Vec<ApprovalId>>;

    /// The earliest deadline of all records.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn next_deadline(&self) -> Answer<Option<Timestamp>>;

    /// The records that have a caller or are under way. After a start these are the ones that the
    /// last process left behind.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn attached(&self) -> Answer<Vec<ApprovalId>>;

    /// How many records are pending.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn pending(&self) -> Answer<u64>;

    /// The place of the latest event, of one approval or of all; 0 if there is none yet.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn last_seq(&self, approval: Option<ApprovalId>) -> Answer<u64>;

    /// The events that are not known to be in the audit log, in order, up to [`PAGE_MAX`].
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn unlogged(&self) -> Answer<Vec<Entry>>;

    /// Notes that these events are in the audit log.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn mark_logged(&self, seqs: Vec<u64>) -> Answer<()>;

    /// The events after `seq`, in order, up to [`PAGE_MAX`], of one approval or of all.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn events_after(&self, seq: u64, approval: Option<ApprovalId>) -> Answer<Vec<Notice>>;

    /// Keeps a text in the place of the one that had its name. `now` says which others are over.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn keep(&self, kept: Kept, now: Timestamp) -> Answer<()>;

    /// Takes a text away; nothing if there is none of this name.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn drop_kept(&self, shelf: Shelf, name: String) -> Answer<()>;

    /// The texts of a shelf that are not over at `now`, by name.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    fn kept(&self, shelf: Shelf, now: Timestamp) -> Answer<Vec<Kept>>;
}
