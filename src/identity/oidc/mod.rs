//! Reviewers who sign in with their organisation's own accounts: OpenID Connect.
//!
//! An identity provider proves who somebody is; this room asks it, and believes only what it has
//! signed for us, now, in answer to our own question. Owns discovery, keys and their rotation, the
//! code flow with PKCE, the device flow, logout tokens, and what claims mean. Does not own
//! sessions or pages (`review`), nor who may review (`approval`). Start at [`Provider`].
//!
//! Sources: OpenID Connect Core 1.0 and Discovery 1.0, Back-Channel Logout 1.0, RFC 6749, 7636
//! (PKCE), 8628 (device flow), 9207 (`iss` in answers).

mod attempts;
mod authorize;
mod claims;
mod device;
mod discovery;
mod error;
mod http;
mod keys;
mod logout;
mod provider;
mod settings;
mod token;

pub use attempts::Attempt;
pub use attempts::Attempts;
pub use authorize::Answer;
pub use authorize::Begun;
pub use authorize::Proof;
pub use claims::Named;
pub use claims::SignedIn;
pub use device::DeviceCode;
pub use error::SignInError;
pub use logout::LoggedOut;
pub use logout::Obeyed;
pub use provider::Provider;
pub use settings::GroupsClaim;
pub use settings::Settings;
pub use settings::SetupError;
