//! The tamper-evident record: every decision and every ending, in one signed Merkle tree.
//!
//! An [`Event`] is sealed into a [`Leaf`]: canonical JSON (RFC 8785) whose sensitive fields are
//! salted commitments. Leaves are hashed as in RFC 6962 and kept as C2SP tlog-tiles under signed
//! checkpoints, so that anybody can verify the log offline, with this program or another one.
//! Pure: `canonical`, `disclosure`, `event`, `leaf`, `note`, `tile`, `tree`. IO: `files`,
//! `journal`, `key`, `open`, `proof`, `pseudonym`, `redo`, `log`, `tail`, `verify`.
//!
//! A log shows tampering only to whoever kept a checkpoint or at least the verifier key from
//! somewhere else: who can rewrite the files *and* sign can start a new history.
//! Does not own what is worth recording (`gate`, `approval`) or exports to other systems.
//! Start at [`Event::seal`], [`Log::open`], [`verify`] and [`prove`].

mod canonical;
mod disclosure;
mod event;
mod files;
mod journal;
mod key;
mod leaf;
mod log;
mod metrics;
mod note;
mod open;
mod proof;
mod pseudonym;
mod redo;
mod tail;
mod tile;
mod tree;
mod verify;
mod writer;

pub use disclosure::Disclosure;
pub use event::Actor;
pub use event::Event;
pub use event::EventKind;
pub use event::Field;
pub use event::Fields;
pub use files::WriteError;
pub use key::PublicKey;
pub use key::SigningKey;
pub use key::SigningKeyError;
pub use key::Vkey;
pub use leaf::Leaf;
pub use leaf::LeafError;
pub use log::CloseError;
pub use log::Log;
pub use log::Receipt;
pub use log::Settings;
pub use log::Unavailable;
pub use log::Writer;
pub use metrics::Metrics;
pub use note::Checkpoint;
pub use note::NoteError;
pub use open::OpenError;
pub use proof::Proof;
pub use proof::ProofError;
pub use proof::ProveError;
pub use proof::Proven;
pub use proof::prove;
pub use tail::ReadError;
pub use tail::Start;
pub use tail::Tail;
pub use tail::place_of;
pub use tail::size;
pub use tail::tail;
pub use tile::ParseTileError;
pub use tile::Tile;
pub use verify::Finding;
pub use verify::Report;
pub use verify::VerifyError;
pub use verify::verify;

#[cfg(test)]
mod tests;
