//! The policy's answer for one call.

use super::digest::PolicyDigest;
use super::ids::DecisionId;
use super::obligations::AllowObligations;
use super::obligations::HoldObligations;

/// The policy's answer for one call. There is no default: somebody has to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Names this answer, as in OPA's decision log.
    pub id: DecisionId,
    /// The exact policies and data that gave it.
    pub policy: PolicyDigest,
    /// What is to be done.
    pub effect: Effect,
}

/// What is to be done with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It may leave at once.
    Allow(AllowObligations),
    /// It may leave once people have approved it.
    Hold(HoldObligations),
    /// It may not leave. The first rule, in the order of their names, speaks for all.
    Deny(Vec<MatchedRule>),
    /// No rule matched, and the default is to deny.
    NoMatch,
}

impl Effect {
    /// The word for records and metrics: `allow`, `hold` or `deny`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Hold(_) => "hold",
            Self::Deny(_) | Self::NoMatch => "deny",
        }
    }
}

/// A rule that matched, with the reason it gives to the caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MatchedRule {
    /// The rule's name.
    pub rule: String,
    /// Its reason, for the caller to read.
    pub reason: Option<String>,
}
