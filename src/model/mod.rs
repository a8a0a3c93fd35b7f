//! The nouns that all rooms share: who calls, what the call is, what was decided, how it ended.
//!
//! Values here are immutable once made and valid by construction. Nothing in this room does IO,
//! waits, reads a clock or draws randomness: time and entropy come in as arguments.
//! Start at [`Call`], then [`Decision`], then [`Refusal`].

mod action;
mod call;
mod canonical;
mod decision;
mod digest;
mod ids;
mod kept;
mod obligations;
mod person;
mod principal;
mod refusal;
mod time;
mod upstream;
pub mod visible;

pub use action::Access;
pub use action::Action;
pub use action::ActionKind;
pub use action::Actions;
pub use call::Attempt;
pub use call::Body;
pub use call::Call;
pub use call::HttpRequest;
pub use call::Message;
pub use decision::Decision;
pub use decision::Effect;
pub use decision::MatchedRule;
pub use digest::CallDigest;
pub use digest::CanonicalHasher;
pub use digest::ParseDigestError;
pub use digest::PolicyDigest;
pub use digest::Sha256;
pub use digest::Sha256Hasher;
pub use ids::ApprovalId;
pub use ids::CallId;
pub use ids::DecisionId;
pub use ids::EventId;
pub use ids::IdSource;
pub use ids::ParseIdError;
pub use kept::BodyReader;
pub use kept::KeptBody;
pub use kept::KeptBodyError;
pub use kept::MemoryBody;
pub use kept::PIECE_BYTES;
pub use obligations::AllowObligations;
pub use obligations::Assurance;
pub use obligations::HoldObligations;
pub use obligations::OnDisconnect;
pub use obligations::Requirement;
pub use obligations::Risk;
pub use person::ParsePersonIdError;
pub use person::PersonId;
pub use principal::Authn;
pub use principal::Principal;
pub use principal::PrincipalKind;
pub use refusal::Fault;
pub use refusal::Refusal;
pub use refusal::RefusalCode;
pub use time::Clock;
pub use time::Timestamp;
pub use upstream::Upstream;
