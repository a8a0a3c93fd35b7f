//! Who the calling SDK is, which of its calls this is, and how long it will wait.
//!
//! Clients do not say when they will give up. Most of them can be told by their fields, though,
//! and [`profile`] has what was measured of each. What a client says of itself decides only how
//! long it is kept waiting and which retries belong together; it opens nothing.
//! Start at [`recognise`].

mod agent;
mod profile;
mod sdk_call;

use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;

use super::error::WireError;

pub use profile::Profile;
pub use sdk_call::CALL_ID_BYTES_MAX;
pub use sdk_call::SdkCall;

use agent::Agent;

/// The calling SDK, as far as its fields tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What is known of SDKs of its kind; [`Profile::UNKNOWN`] if it could not be recognised.
    pub profile: &'static Profile,
    /// Which call of the SDK this is, and which attempt at it.
    pub call: SdkCall,
    /// How long the client waits for the first byte of an answer: what it says itself, else what
    /// is usual for its kind, and never longer than its transport lets it. `None` without an end.
    pub read_timeout: Option<Duration>,
}

/// Reads who is calling. Never fails: what makes no sense counts as not said.
///
/// Allocates only where a call id is there.
pub fn recognise(headers: &HeaderMap) -> Client {
    let agent = Agent::read(headers);
    let profile = Profile::of(&agent, headers);
    let told = sdk_call::told_timeout(headers);
    let read_timeout = match (told.or(profile.read_timeout), profile.transport_timeout) {
        (Some(timeout), Some(most)) => Some(timeout.min(most)),
        (timeout, most) => timeout.or(most),
    };
    Client { profile, call: SdkCall::read(&agent, headers), read_timeout }
}

/// Checks an `Idempotency-Key`, which is kept with the approval and shown to people.
///
/// # Errors
/// [`WireError::CallIdTooLong`] or [`WireError::CallIdControl`].
pub(super) fn check_idempotency_key(value: &HeaderValue) -> Result<(), WireError> {
    let bytes = value.as_bytes();
    if bytes.len() > CALL_ID_BYTES_MAX {
        return Err(WireError::CallIdTooLong { bytes: bytes.len() });
    }
    let control = match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().any(char::is_control),
        Err(_) => bytes.iter().any(u8::is_ascii_control),
    };
    if control { Err(WireError::CallIdControl) } else { Ok(()) }
}

impl Client {
    /// Whether the SDK gives up after this attempt; `None` where that cannot be known.
    ///
    /// What the SDK says of its attempts goes before what is usual. Most SDKs do not count aloud:
    /// whoever has counted for them may write [`SdkCall::attempt`].
    pub fn is_last_attempt(&self) -> Option<bool> {
        let max = self.call.attempts_max.or(self.profile.attempts)?;
        if max <= 1 { Some(true) } else { self.call.attempt.map(|attempt| attempt >= max) }
    }

    /// How long to hold in silence before the typed pending error is worth more than the wait: two
    /// seconds less than the client would wait, where this attempt is its last.
    ///
    /// `None` on earlier attempts, because the SDK's own time-out and retry carry the hold on; and
    /// for clients that wait without an end or that nobody knows, because they are held until they
    /// leave.
    pub fn patience(&self) -> Option<Duration> {
        if self.is_last_attempt() != Some(true) {
            return None;
        }
        // Half of it where two seconds are nearly all there is.
        self.read_timeout.map(|timeout| timeout.saturating_sub(HEAD_START).max(timeout / 2))
    }
}

/// So long before a client gives up, an answer is on its way: enough for a slow line.
const HEAD_START: Duration = Duration::from_secs(2);
