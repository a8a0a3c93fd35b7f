//! The policy's answer for one call.

use std::sync::Arc;

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
    /// What was asked in shadow mode and has no effect; `None` where nothing matched.
    pub shadow: Option<Arc<Shadow>>,
}

/// What would have been done as well, had it not been in shadow mode. It is recorded and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shadow {
    /// The rules that matched, the strictest effect first, each effect once.
    pub matches: Vec<ShadowMatch>,
    /// Why rules in shadow mode could not answer, if they could not. For the operator's log.
    pub error: Option<String>,
    /// True if the whole upstream is in shadow mode, and these are the answers of its real rules.
    pub of_upstream: bool,
}

/// Rules in shadow mode that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowMatch {
    /// What they would have done.
    pub effect: ShadowEffect,
    /// Their names, in order. Empty where it was the policy's default.
    pub rules: Vec<String>,
}

/// What a rule in shadow mode would have done, the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShadowEffect {
    /// Deny the call.
    Deny,
    /// Hold it for approval.
    Hold,
    /// Allow it.
    Allow,
}

impl ShadowEffect {
    /// The word for records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Hold => "hold",
            Self::Allow => "allow",
        }
    }
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
