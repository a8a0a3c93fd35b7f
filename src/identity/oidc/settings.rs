//! What has to be known about an identity provider.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::model::CanonicalHasher;
use crate::model::PersonId;

/// One identity provider, and what its words mean here.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its issuer, byte for byte as it says it itself.
    pub issuer: String,
    /// What it knows us by.
    pub client_id: String,
    /// What proves that we are that; none for a public client.
    pub client_secret: Option<SecretString>,
    /// Where it sends people's browsers back to.
    pub redirect_uri: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that says which person somebody is.
    pub person_claim: String,
    /// Which person an account is, by its `sub`; stronger than the claim.
    pub subjects: BTreeMap<String, PersonId>,
    /// What it says about groups; `None` if it is not asked.
    pub groups: Option<GroupsClaim>,
    /// Whether terminals may sign in by device code.
    pub device_sign_in: bool,
    /// The roots that it is trusted by; `None` for those of the machine.
    pub ca: Option<PathBuf>,
}

impl Settings {
    /// Whether browsers reach us by TLS.
    pub fn is_public_secure(&self) -> bool {
        self.redirect_uri.starts_with("https://")
    }

    /// The digest of what makes an account of `subject` a person and a member of groups here: it
    /// is another one as soon as the operator has changed any of that.
    pub fn meaning_of(&self, subject: &str) -> String {
        let mut hasher = CanonicalHasher::new("holdpoint-account-meaning-1");
        hasher.field(self.person_claim.as_bytes());
        let named = self.subjects.get(subject);
        hasher.count(usize::from(named.is_some()));
        named.iter().for_each(|person| hasher.field(person.as_str().as_bytes()));
        hasher.count(usize::from(self.groups.is_some()));
        if let Some(groups) = &self.groups {
            hasher.field(groups.claim.as_bytes());
            hasher.count(groups.meaning.len());
            for (value, meant) in &groups.meaning {
                hasher.field(value.as_bytes());
                hasher.count(meant.len());
                meant.iter().for_each(|group| hasher.field(group.as_bytes()));
            }
        }
        hasher.finish().to_hex()
    }
}

/// What an identity provider says about groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupsClaim {
    /// The claim that lists them.
    pub claim: String,
    /// From how many entries on the list counts as cut off.
    pub entries_max: usize,
    /// Which of its values stand for which group of reviewers.
    pub meaning: BTreeMap<String, BTreeSet<String>>,
}

/// Why a provider cannot be set up. Nothing was asked of it yet.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A URL that is none.
    #[error("`{0}` is not a URL that sign-in can use")]
    Url(String),
    /// The roots cannot be read.
    #[error("`{path}` cannot be read as certificates in PEM; it is named by `reviewers.oidc.ca`")]
    Roots {
        /// The file.
        path: PathBuf,
        /// What the system or the parser said.
        source: io::Error,
    },
    /// TLS cannot be used.
    #[error("the machine's certificates cannot be used; name the provider's roots with `reviewers.oidc.ca`")]
    Tls(#[source] rustls::Error),
}
