//! Builds the rooms from a configuration, starts them, reloads them, and drains them in order.
//!
//! The data plane is one runtime of one thread for each core; the control plane (store, audit,
//! approvals, admin listener, reloads) has a runtime of its own and is never on a call's path
//! unless the call is held. Does not own what any room does. Start at [`serve`].

mod admin;
mod build;
mod bundles;
mod clock;
mod data_plane;
mod error;
mod fetch;
mod hand_over;
mod policy_files;
mod reload;
mod run;
mod sockets;
mod systemd;

pub use build::Loaded;
pub use build::dialect;
pub use build::load;
pub use build::load_policy;
pub use build::policy_files;
pub use build::policy_settings;
pub use clock::system_clock;
pub use error::ServerError;
pub use fetch::FetchError;
pub use hand_over::TakeOverError;
pub use policy_files::PolicyFiles;
pub use run::Launch;
pub use run::Ready;
pub use run::Source;
pub use run::serve;
pub use sockets::Inherited;
pub use sockets::SocketError;
