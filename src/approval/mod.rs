//! The life of one approval: who may review, when it is settled, where it is kept, who waits.
//!
//! The rules are in `machine` and are pure. `store` keeps records and their events; `publisher`
//! carries the events to the audit log before they have any effect; `service` puts these together.
//! Does not own how reviewers hear of an approval (`review`) or what its caller is told (`gate`).
//! Start at [`Approvals`].

mod machine;
mod quorum;
mod record;
mod seal;

mod body;
mod caller;
mod change;
mod error;
mod events;
mod hold;
mod hub;
mod json_spans;
mod metrics;
mod new;
mod publisher;
mod retry;
mod service;
mod shown;
mod sweep;

pub mod store;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

pub use body::ReviewBody;
pub use error::ApprovalError;
pub use hold::Hold;
pub use hold::Run;
pub use hold::Verdict as HoldVerdict;
pub use machine::Ending;
pub use machine::TEXT_BYTES_MAX;
pub use metrics::Metrics;
pub use new::NewApproval;
pub use quorum::Slot;
pub use quorum::is_met;
pub use record::Approval;
pub use record::Channel;
pub use record::DecodedBody;
pub use record::MessageKind;
pub use record::RequestLine;
pub use record::Review;
pub use record::ReviewVerdict;
pub use record::SHOWN_BYTES_MAX;
pub use record::ShownRequest;
pub use record::State;
pub use record::ThreadMessage;
pub use service::Approvals;
pub use service::Decide;
pub use service::Opened;
pub use service::Parts;
pub use service::Settings;
pub use service::Verdict;
