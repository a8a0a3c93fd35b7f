//! Who calls and who reviews.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use crate::identity::People;
use crate::identity::PeopleError;
use crate::model::PersonId;

use super::file::FileRef;
use super::name::Name;
use super::oidc::Oidc;

/// An agent or another program that may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Its name in policies (`input.principal.id`) and records.
    pub id: Name,
    /// The people who answer for it. They can never approve its calls. Default none, which is
    /// worth a warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub owners: Vec<PersonId>,
    /// Groups that it is in, for policies (`input.principal.groups`). These are not groups of
    /// reviewers. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Name>,
    /// Anything else, for policies (`input.principal.claims`). Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, serde_json::Value>,
    /// Files with the records of its keys, as `holdpoint keys create` writes them: hashes, not
    /// the keys. Default none: it cannot call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<FileRef>,
}

impl Principal {
    pub(super) fn resolve(&mut self, base: &Path) {
        for file in &mut self.api_keys {
            file.resolve(base);
        }
    }
}

/// Who may decide over held calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reviewers {
    /// The groups that policies can ask for, each with its people. Default none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, BTreeSet<String>>")]
    pub groups: BTreeMap<Name, BTreeSet<PersonId>>,
    /// Further names that people go by, such as a chat id or an old address, each with the name
    /// of the person. Nobody approves their own call under another name. Default none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub aliases: BTreeMap<String, PersonId>,
    /// Files with the records of reviewers' tokens, as `holdpoint tokens create` writes them:
    /// hashes, not the tokens. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<FileRef>,
    /// Sign-in with the organisation's own accounts. Default none: reviewers need tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
}

impl Reviewers {
    /// The people of the groups and their other names, as they are compared. Cannot fail for a
    /// configuration that was read, which has been checked for it.
    ///
    /// # Errors
    /// [`PeopleError`] if an alias is a circle or names two people.
    pub fn people(&self) -> Result<People, PeopleError> {
        let groups = self.groups.iter().map(|(name, people)| (name.to_string(), people.clone()));
        let people = People::new(groups.collect(), self.aliases.clone())?;
        Ok(people.with_open(self.open_groups().map(ToString::to_string)))
    }

    /// The names of all groups, whoever says who is in them.
    pub fn group_names(&self) -> BTreeSet<&Name> {
        self.groups.keys().chain(self.open_groups()).collect()
    }

    /// The groups whose people the identity provider names.
    fn open_groups(&self) -> impl Iterator<Item = &Name> {
        self.oidc.iter().flat_map(|oidc| oidc.groups.keys())
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        for file in &mut self.tokens {
            file.resolve(base);
        }
        if let Some(oidc) = &mut self.oidc {
            oidc.resolve(base);
        }
    }
}
