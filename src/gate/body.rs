//! The caller's side of a call: its body, should anybody need to look at it.

use std::future::Future;
use std::sync::Arc;

use crate::model::Body;
use crate::model::Refusal;

use super::spool::Spool;

/// The caller's side of a call whose body has not been read yet.
pub trait BodySource: Send {
    /// Whether there is one at all.
    fn is_present(&self) -> bool;

    /// Hears when the call begins and ends to wait for people.
    fn holding(&mut self, held: bool);

    /// Reads all of it into memory, if it is at most `max` bytes long.
    ///
    /// # Errors
    /// A refusal if it is longer, does not arrive in time, or breaks off.
    fn read(&mut self, max: u64) -> impl Future<Output = Result<Body, Refusal>> + Send;

    /// Reads all of it, to where `keep` says.
    ///
    /// # Errors
    /// As [`Self::read`], and if there is no room for it.
    fn keep(&mut self, keep: Keep) -> impl Future<Output = Result<Body, Refusal>> + Send;
}

/// Where the body of a held call goes.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Up to this length, into memory.
    pub memory_bytes_max: u64,
    /// Up to this length, into the spool; a longer one is refused.
    pub bytes_max: u64,
    /// The spool.
    pub spool: Arc<Spool>,
}
