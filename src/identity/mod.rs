//! Who is calling: API keys of agents and tokens of reviewers, and which names are one person.
//!
//! Agents and reviewers have credentials of different kinds that are never accepted in each
//! other's place: an agent can decide nothing, whatever it presents. Credentials are kept as
//! hashes, so that the files of this room are no secret worth stealing.
//! Does not own who may review which approval (`approval`) or the upstream's credentials
//! (`credentials`). Start at [`AgentKeys::authenticate`].

pub mod key;
pub mod oidc;

mod agents;
mod directory;
mod error;
mod metrics;
mod people;
mod reviewers;
mod strip;

pub use agents::AgentKeyInfo;
pub use agents::AgentKeys;
pub use agents::PrincipalSettings;
pub use directory::Account;
pub use directory::Directory;
pub use directory::Tell;
pub use directory::Trusted;
pub use error::IdentityError;
pub use error::KeySetError;
pub use key::KeyHolder;
pub use key::KeyKind;
pub use key::KeyRecord;
pub use metrics::AuthMetrics;
pub use people::People;
pub use people::PeopleError;
pub use reviewers::KnownToken;
pub use reviewers::ReviewerTokens;
pub use strip::strip;

#[cfg(test)]
mod tests;
