//! The configuration file `holdpoint.yaml`: strict, and exact about its mistakes.
//!
//! Every mistake is told with its line, its key path, the value, and what is accepted instead;
//! none is told with a secret in it. Values that exist are valid, relative paths are resolved.
//! The room holds plain data: `server` turns it into the settings of each room, reads the files
//! it names, and keeps the old configuration where a new one has an error.
//! Start at [`Config::read`].

mod address;
mod bundle;
mod check;
mod duration;
mod file;
mod finding;
mod limits;
mod listen;
mod logs;
mod name;
mod oidc;
mod people;
mod read;
mod rules;
mod schema;
mod size;
mod source;
mod storage;
mod text;
mod upstream;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::credentials::Profile;

pub use address::HostName;
pub use address::PathPrefix;
pub use address::UpstreamUrl;
pub use bundle::Bundle;
pub use bundle::BundleUrl;
pub use bundle::BundleVerification;
pub use duration::HumanDuration;
pub use file::FileRef;
pub use finding::ConfigError;
pub use finding::Finding;
pub use finding::Severity;
pub use limits::Limits;
pub use listen::Admin;
pub use listen::KeyPair;
pub use listen::Listener;
pub use listen::Plaintext;
pub use listen::Tls;
pub use logs::Log;
pub use logs::LogFormat;
pub use logs::LogLevel;
pub use logs::Telemetry;
pub use name::Name;
pub use oidc::IssuerUrl;
pub use oidc::Oidc;
pub use people::Principal;
pub use people::Reviewers;
pub use rules::Approvals;
pub use rules::DefaultEffect;
pub use rules::Policy;
pub use schema::schema;
pub use size::ByteSize;
pub use storage::Audit;
pub use storage::Durability;
pub use storage::Embedded;
pub use storage::Origin;
pub use storage::Spool;
pub use storage::Store;
pub use upstream::Dialect;
pub use upstream::Enforce;
pub use upstream::Match;
pub use upstream::OpenApi;
pub use upstream::Timeouts;
pub use upstream::Upstream;
pub use upstream::UpstreamPolicy;

use source::Source;

/// The configuration of Holdpoint.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where agents connect. At least one address.
    #[schemars(length(min = 1))]
    pub listen: Vec<Listener>,
    /// Where reviewers connect, and what collects metrics.
    #[serde(default)]
    pub admin: Admin,
    /// The origins that calls are forwarded to. At least one.
    #[schemars(length(min = 1))]
    pub upstreams: Vec<Upstream>,
    /// Credentials that permitted calls get, by name. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Profile>")]
    pub credentials: BTreeMap<Name, Profile>,
    /// Who may call. Default nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<Principal>,
    /// Who may decide over held calls. Default nobody.
    #[serde(default)]
    pub reviewers: Reviewers,
    /// The policy that decides every call. Without one the proxy does not start.
    pub policy: Policy,
    /// Where approvals are kept. Default `{embedded: {path: data}}`: nothing else is needed.
    #[serde(default)]
    pub store: Store,
    /// Where the bodies of held calls are that are too long for memory. Default the directory
    /// `spool` in that of the store. A change takes effect at the next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<Spool>,
    /// The record of everything that was decided and done.
    pub audit: Audit,
    /// What callers can use up at most.
    #[serde(default)]
    pub limits: Limits,
    /// How long approvals live where their rule does not say.
    #[serde(default)]
    pub approvals: Approvals,
    /// What the proxy tells of itself.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// How many cores carry calls, each with a thread of its own. Default all that this process
    /// may use. A change takes effect at the next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<NonZeroUsize>,
    /// Where everything stands, for findings.
    #[serde(skip)]
    source: Arc<Source>,
}

impl Config {
    /// What else is wrong with it: warnings, and errors about the files and variables it names.
    /// Looks at the file system and the environment, and reads no secret.
    pub fn check(&self) -> Vec<Finding> {
        check::findings(self)
    }

    /// The directory for the bodies of held calls that are too long for memory.
    pub fn spool_path(&self) -> PathBuf {
        let Store::Embedded(store) = &self.store;
        self.spool.as_ref().map_or_else(|| store.path.join("spool"), |spool| spool.path.clone())
    }

    /// The file it was read from.
    pub fn file(&self) -> &Path {
        &self.source.file
    }

    fn resolve(&mut self, base: &Path) {
        let tls = self.listen.iter_mut().filter_map(|listener| listener.tls.as_mut()).chain(self.admin.tls.as_mut());
        tls.for_each(|tls| tls.resolve(base));
        self.upstreams.iter_mut().for_each(|upstream| upstream.resolve(base));
        let credentials = std::mem::take(&mut self.credentials);
        self.credentials = credentials.into_iter().map(|(name, profile)| (name, profile.resolved(base))).collect();
        self.principals.iter_mut().for_each(|principal| principal.resolve(base));
        self.reviewers.resolve(base);
        self.policy.resolve(base);
        self.store.resolve(base);
        if let Some(spool) = &mut self.spool {
            spool.path = base.join(&spool.path);
        }
        self.audit.resolve(base);
    }
}

#[cfg(test)]
mod tests;
