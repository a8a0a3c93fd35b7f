//! Where reviewers decide: the admin API.
//!
//! Everything here is an adapter onto [`crate::approval::Approvals`]: who may decide what is decided
//! there. A decision needs a credential that is bound to a person; GET decides nothing.
//! Does not own sockets (`server`) or TLS. Start at [`router`].

mod approvals;
mod auth;
mod events;
mod openapi;
mod problem;
mod router;
mod state;
mod view;

pub use openapi::document;
pub use router::router;
pub use state::AdminState;
pub use state::Streams;

#[cfg(test)]
mod tests;
