//! Where approvals and the audit log are kept.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use super::file::FileRef;
use super::text::shown;
use super::text::written_as_text;

/// Where approvals are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Store {
    /// In a database of this process's own, for one machine.
    Embedded(Embedded),
}

impl Default for Store {
    fn default() -> Self {
        Self::Embedded(Embedded { path: "data".into() })
    }
}

impl Store {
    pub(super) fn resolve(&mut self, base: &Path) {
        match self {
            Self::Embedded(embedded) => embedded.path = base.join(&embedded.path),
        }
    }
}

/// A database of this process's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// The directory, made if there is none. It must be on a disk of this machine, not on a
    /// network file system. A relative path is relative to the configuration file.
    pub path: PathBuf,
}

/// Where the bodies of held calls are that are too long for memory, encrypted and without a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spool {
    /// The directory, made if there is none. Whatever is in it is gone with this process. A
    /// relative path is relative to the configuration file.
    pub path: PathBuf,
}

/// The record of everything that was decided and done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The directory of the log, made if there is none. A relative path is relative to the
    /// configuration file.
    pub path: PathBuf,
    /// The Ed25519 key that signs the log's checkpoints, in PKCS #8 PEM. It is made if neither it
    /// nor the log exists; a log without its key is an error.
    pub key: FileRef,
    /// Whether an allowed call waits until its record is on disk: `queued` or `strict`. Default
    /// `queued`: it waits only until the record is in line, and is on disk 50 ms later. A held
    /// call always waits.
    #[serde(default)]
    pub durability: Durability,
    /// The name of the log in its checkpoints (C2SP tlog-checkpoint), unlike that of any other
    /// log of yours: usually a host name with a path and no scheme. Default `holdpoint`, for a
    /// single log.
    #[serde(default)]
    pub origin: Origin,
}

impl Audit {
    pub(super) fn resolve(&mut self, base: &Path) {
        self.path = base.join(&self.path);
        self.key.resolve(base);
    }
}

/// Whether an allowed call waits until its record is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The record is in line, and on disk within 50 ms. A crash of the machine in between can
    /// lose the records of calls that policy allowed; of held calls it loses nothing.
    #[default]
    Queued,
    /// The record is on disk before the call leaves.
    Strict,
}

/// The name of a log: 1 to 128 printable ASCII characters without spaces and `+`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^[!-*,-~]{1,128}$", "examples" = ["holdpoint.example.com/audit"]))]
pub struct Origin(String); // Invariant: as said above, which is what a signed note can carry.

/// A text that cannot name a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a log; use 1 to 128 printable ASCII characters without spaces and `+`, \
     such as `holdpoint.example.com/audit`"
)]
pub struct ParseOriginError(String);

impl Origin {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self("holdpoint".to_owned())
    }
}

impl std::str::FromStr for Origin {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        let valid = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
        if valid { Ok(Self(text.to_owned())) } else { Err(ParseOriginError(shown(text))) }
    }
}

written_as_text!(Origin, ParseOriginError);

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
