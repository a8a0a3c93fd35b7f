//! What a policy rule asks for beside its verdict (DESIGN 4).

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::pointer::RequestPointer;

/// How bad it would be if this call were wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Easily undone.
    Low,
    /// Costs time.
    Medium,
    /// Costs money, data or trust.
    High,
    /// Could end the company.
    Critical,
}

/// How sure we are that the reviewer is who they seem, weakest first (EDGES 0.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// A signed click in a chat.
    Chat,
    /// A session or token of their own.
    Session,
    /// A passkey touched for exactly this decision.
    Stepup,
}

/// So many distinct people of one group must approve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The reviewer group of the configuration.
    pub group: String,
    /// How many people of it, at least 1.
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

/// What happens to an approval whose caller hangs up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDisconnect {
    /// It stays open, and the caller's retry joins it.
    #[default]
    Wait,
    /// It is withdrawn.
    Withdraw,
}

/// Within what bounds reviewers may allow the like of a call again, should they want to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// How many calls it may cover.
    pub max_uses: u32,
    /// How long it may last.
    pub max_duration: Duration,
}

/// Who else may approve once a held call has waited for some time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Escalation {
    /// After what time from the creation of the approval.
    pub after: Duration,
    /// Their groups. From then on up to `count` people of each may take any of the places that
    /// have to be filled; how many places there are does not change.
    pub reviewers: Vec<Requirement>,
}

/// What all matching holds ask for, merged: the strictest of each wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldObligations {
    /// The rules that hold the call, in the order of their names.
    pub rules: Vec<String>,
    /// Why it is held, one text a rule that gave one.
    pub reasons: Vec<String>,
    /// The highest risk that a rule named.
    pub risk: Option<Risk>,
    /// Who must approve. Groups that several rules name are asked for the largest count.
    pub reviewers: Vec<Requirement>,
    /// After how long an undecided approval expires: the shortest that a rule named.
    pub expires_in: Option<Duration>,
    /// How long the connection is held before the caller is told to call again: the shortest.
    pub hold_for: Option<Duration>,
    /// The least assurance that an approving review needs: the highest.
    pub assurance: Assurance,
    /// True if an approving review needs a reason.
    pub require_reason: bool,
    /// True if any rule calls the action irreversible.
    pub irreversible: bool,
    /// The credential profile to use instead of the upstream's.
    pub credential: Option<String>,
    /// What happens when the caller hangs up: `withdraw` if any rule says so.
    pub on_disconnect: OnDisconnect,
    /// True if every rule says that running the call twice does no more than running it once.
    #[serde(default)]
    pub repeatable: bool,
    /// The channels by which reviewers should hear of it: all that a rule named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Within what bounds it may be allowed again: the smallest, and only if every rule offers it
    /// and none calls the action irreversible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// What reviewers see only as hashes: all that a rule named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<RequestPointer>,
    /// Who else may approve after some time: all that a rule named, the earliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Escalation>,
}

/// What the matching allows ask for, merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowObligations {
    /// The rules that allow the call, in the order of their names.
    pub rules: Vec<String>,
    /// The credential profile to use instead of the upstream's.
    pub credential: Option<String>,
    /// The paths below `input` whose values go into the audit event: all that a rule named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}
