//! The caller's side of a call: its body, should anybody need to look at it.

use std::future::Future;

use crate::model::Body;
use crate::model::Refusal;

/// The caller's side of a call whose body has not been read yet.
pub trait BodySource: Send {
    /// Whether there is one at all.
    fn is_present(&self) -> bool;

    /// Hears when the call begins and ends to wait for people.
    fn holding(&mut self, held: bool);

    /// Reads all of it, if it is at most `max` bytes long.
    ///
    /// # Errors
    /// A refusal if it is longer, does not arrive in time, or breaks off.
    fn read(&mut self, max: u64) -> impl Future<Output = Result<Body, Refusal>> + Send;
}
