//! What the operator decides about policies outside of them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::Requirement;

/// What the operator decides about policies outside of them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What happens to a call that no rule matches.
    pub default: DefaultEffect,
    /// Who approves what a rule holds without naming reviewers, and what `default` holds.
    pub default_reviewers: Vec<Requirement>,
    /// The reviewer groups that exist; a rule that names another one is refused.
    pub groups: Known,
    /// The credential profiles that exist; a rule that names another one is refused.
    pub credentials: Known,
    /// How long one evaluation may take, by the clock on the wall. Real policies take well under a
    /// millisecond; a short limit only refuses calls on a busy machine.
    pub evaluation_max: Duration,
    /// How large policies may be.
    pub limits: Limits,
}

/// The names that a policy may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// These and no others.
    Only(BTreeSet<String>),
    /// Whatever a policy says, because there is no configuration at hand. Never for the proxy.
    Any,
}

impl Known {
    /// True if a policy may use `name`.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(name),
            Self::Any => true,
        }
    }

    /// The names that are known one by one.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::Only(names) => Some(names),
            Self::Any => None,
        }
        .into_iter()
        .flatten()
    }
}

impl Default for Known {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl FromIterator<String> for Known {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self::Only(names.into_iter().collect())
    }
}

impl<const N: usize> From<[String; N]> for Known {
    fn from(names: [String; N]) -> Self {
        names.into_iter().collect()
    }
}

/// What happens to a call that no rule matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultEffect {
    /// It is denied.
    #[default]
    Deny,
    /// It is held for the default reviewers.
    Hold,
}

/// How large policies may be. They are written by the operator, so these limits catch mistakes and
/// generated files, and keep a bad bundle from stopping the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rego files.
    pub files_max: usize,
    /// Bytes of one Rego file. Tables belong into data files.
    pub file_bytes_max: usize,
    /// Bytes of all data files together.
    pub data_bytes_max: usize,
    /// How much rules, functions, loops and expressions may nest altogether. Each level costs stack
    /// while a call is decided, and to run out of stack would end the process. The default fits
    /// into the 2 MiB of a test's thread without optimisation.
    pub nesting_max: usize,
}

impl Settings {
    /// Settings for a policy that is looked at without its configuration: any group and any
    /// credential may be named, and who approves where a rule names nobody is left open.
    pub fn without_configuration() -> Self {
        Self {
            default_reviewers: vec![Requirement { group: "default-reviewers".to_owned(), count: 1 }],
            groups: Known::Any,
            credentials: Known::Any,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default: DefaultEffect::Deny,
            default_reviewers: Vec::new(),
            groups: Known::default(),
            credentials: Known::default(),
            evaluation_max: Duration::from_secs(1),
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { files_max: 1_000, file_bytes_max: 256 << 10, data_bytes_max: 16 << 20, nesting_max: 500 }
    }
}
