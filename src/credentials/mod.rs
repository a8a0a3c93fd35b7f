//! The credential that a permitted call gets on its way out, and that no agent ever sees.
//!
//! A [`Profile`] is what the configuration says: a kind and references to secrets. Loading it
//! reads the secrets into a [`Credential`]; fetching that gives an [`Injection`] for one call.
//! Does not own which call gets which credential (`policy`, `config`) or whether the call may
//! leave at all (`gate`), and it never removes what the agent sent (`identity::strip`).
//! Start at [`Credential::load`].

mod credential;
mod error;
mod profile;
mod secret;

pub use credential::Credential;
pub use credential::Injection;
pub use error::CredentialError;
pub use error::SecretError;
pub use profile::FieldName;
pub use profile::Profile;
pub use secret::SECRET_BYTES_MAX;
pub use secret::SecretRef;
