//! Who is calling.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use super::person::PersonId;

/// Who is calling, once a credential has proved it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The configured name, such as `deploy-bot`.
    pub id: String,
    /// What sort of caller this is.
    pub kind: PrincipalKind,
    /// The people who answer for it. They can never approve its calls.
    pub owners: Vec<PersonId>,
    /// Groups that policies may ask for.
    pub groups: Vec<String>,
    /// Anything else the operator wrote about it, for policies.
    pub claims: BTreeMap<String, serde_json::Value>,
    /// How it proved who it is.
    pub authn: Authn,
    /// On whose behalf it acts, nearest first (RFC 8693 §4.1); empty where it acts for itself.
    pub chain: Vec<String>,
}

/// What sort of caller a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// An AI agent or another program.
    Agent,
}

/// How a principal proved who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authn {
    /// The kind of credential, such as `api-key`.
    pub method: String,
    /// The public id of the credential; never any part of its secret.
    pub key_id: String,
    /// Who made the credential. They can never approve what is done with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<PersonId>,
}

impl Principal {
    /// Every name that stands behind this caller and so must not approve its calls: itself, its
    /// owners, its key's creator and each link of its delegation chain (EDGES F). Aliases of these
    /// people are added where the people are known, in `approval`.
    pub fn closure(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.chain.iter().cloned().collect();
        names.insert(self.id.clone());
        names.extend(self.owners.iter().map(ToString::to_string));
        names.extend(self.authn.created_by.iter().map(ToString::to_string));
        names
    }
}
