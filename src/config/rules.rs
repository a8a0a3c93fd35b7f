//! Which policy decides, and how long approvals live.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::model::Requirement;

use super::bundle::Bundle;
use super::duration::HumanDuration;

/// The policy that decides every call. Without one the proxy does not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// A Rego file, or a directory with `.rego` files and, as data, `.json`, `data.yaml` and
    /// `data.yml` files. A relative path is relative to
    /// the configuration file. Either this or `bundle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A signed bundle instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Bundle>,
    /// What becomes of a call that no rule matches: `deny` or `hold`. Default `deny`: what nobody
    /// thought of does not happen.
    #[serde(default)]
    pub default: DefaultEffect,
    /// Who must approve a held call whose rule does not say, and one held by `default: hold`.
    /// Default nobody: every rule that holds must then say it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_reviewers: Vec<Requirement>,
    /// After how long an evaluation is given up and its call refused. Default `1s`: the slowest
    /// sensible policy takes milliseconds, and a smaller limit strikes falsely on a busy machine.
    #[serde(default = "evaluation_max")]
    pub evaluation_max: HumanDuration,
}

impl Policy {
    pub(super) fn resolve(&mut self, base: &Path) {
        if let Some(path) = &mut self.path {
            *path = base.join(&*path);
        }
        if let Some(bundle) = &mut self.bundle {
            bundle.resolve(base);
        }
    }
}

fn evaluation_max() -> HumanDuration {
    HumanDuration::seconds(1)
}

/// What becomes of a call that no rule matches. It can never be to allow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultEffect {
    /// It is refused.
    #[default]
    Deny,
    /// It is held for `default_reviewers`.
    Hold,
}

/// How long approvals live where their rule does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Approvals {
    /// After how long an undecided approval expires. Default `15m`: long enough for people to
    /// look, short enough that the world has not changed.
    pub expires_in: HumanDuration,
    /// The longest that a rule may ask for. Default `1d`: what is older was asked in another world.
    pub expires_in_max: HumanDuration,
    /// How long an approved call waits for its caller, who has left, to call again. Default `10m`:
    /// agents that are told to call again do so within minutes.
    pub claim_within: HumanDuration,
    /// How long a connection is held at most before the caller is told to call again; the
    /// approval stays open. Default none: until the caller leaves or the approval ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_for: Option<HumanDuration>,
    /// For how long a denial, or a run of unknown outcome, answers the same call again without
    /// anybody being asked. Retries of the very call that say which call they repeat are answered
    /// so for a day. Default `1m`: retries must not bother people, a changed mind may.
    pub denied_for: HumanDuration,
    /// For how long the upstream's answer to an approved call is kept for attempts at that call
    /// that come too late to be the one that runs. Default `1m`: longer than SDKs go on trying.
    pub replay_for: HumanDuration,
}

impl Default for Approvals {
    fn default() -> Self {
        Self {
            expires_in: HumanDuration::seconds(900),
            expires_in_max: HumanDuration::seconds(86_400),
            claim_within: HumanDuration::seconds(600),
            hold_for: None,
            denied_for: HumanDuration::seconds(60),
            replay_for: HumanDuration::seconds(60),
        }
    }
}
