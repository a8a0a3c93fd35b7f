//! Bytes to messages: what of an HTTP request and of its answer may pass a proxy.
//!
//! Reads a head so that no two servers could understand it differently, and refuses it otherwise:
//! nothing is ever repaired. Says which fields end here, writes `Forwarded`, and words refusals as
//! the caller's SDK wants them. Does not own sockets (`proxy`) or the agent's credential (`identity`).
//! Pure: no IO, no clock. Start at [`read_head`].

#![warn(clippy::indexing_slicing)]

mod authority;
mod client;
mod coding;
mod error;
mod fields;
mod form;
mod forwarded;
mod head;
mod metrics;
mod note;
mod path;
mod problem;
mod query;
mod upgrade;

pub use authority::AuthorityFault;
pub use client::CALL_ID_BYTES_MAX;
pub use client::Client;
pub use client::Profile;
pub use client::SdkCall;
pub use client::recognise;
pub use coding::Coding;
pub use coding::CodingError;
pub use error::Excerpt;
pub use error::WireError;
pub use fields::drop_respond_async;
pub use fields::keep_end_to_end;
pub use fields::keep_end_to_end_response;
pub use fields::keep_safe_trailers;
pub use fields::strange_charset;
pub use form::Form;
pub use form::last_event;
pub use forwarded::write_forwarded;
pub use head::Arrival;
pub use head::Head;
pub use head::read_head;
pub use metrics::WireMetrics;
pub use note::NOTE_BYTES_MAX;
pub use path::PathFault;
pub use path::check as check_path;
pub use problem::refuse;
pub use query::QueryFault;
pub use upgrade::write_websocket_upgrade;

#[cfg(test)]
mod tests;
