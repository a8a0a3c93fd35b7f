//! Which people review, in which groups, and which names are one and the same person.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::PersonId;

/// The people that the configuration names.
///
/// One human being may go by several names: an e-mail address, a chat id, an old address. All
/// comparisons here are between people, not between names, so that nobody approves their own call
/// under another name and nobody counts twice in a quorum. Names with an `@` compare without
/// regard to case; others must match exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    groups: BTreeMap<String, BTreeSet<PersonId>>, // Invariant: canonical names only.
    aliases: BTreeMap<String, PersonId>,          // Invariant: folded name to canonical name.
    open: BTreeSet<String>,                       // Invariant: each is a group of `groups`.
}

/// Why the people of the configuration cannot be told apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    /// An alias that leads back to itself.
    #[error("the alias `{0}` leads back to itself; an alias names a person by another name")]
    Circle(String),
    /// Two spellings of one alias name different people.
    #[error("the alias `{alias}` names both `{first}` and `{second}`; one name is one person")]
    Contradiction {
        /// The alias.
        alias: String,
        /// One of the people.
        first: PersonId,
        /// The other.
        second: PersonId,
    },
}

impl People {
    /// The people of `groups`, where `aliases` says which further names they go by. An alias may
    /// lead to another alias.
    ///
    /// # Errors
    /// [`PeopleError`] if an alias is a circle or names two people.
    pub fn new(
        groups: BTreeMap<String, BTreeSet<PersonId>>,
        aliases: BTreeMap<String, PersonId>,
    ) -> Result<Self, PeopleError> {
        let mut direct: BTreeMap<String, PersonId> = BTreeMap::new();
        for (alias, person) in aliases {
            let person = folded_person(&person);
            if let Some(first) = direct.insert(fold(&alias).into_owned(), person.clone())
                && first != person
            {
                return Err(PeopleError::Contradiction { alias, first, second: person });
            }
        }
        let resolved = direct
            .keys()
            .map(|alias| Ok((alias.clone(), follow(&direct, alias)?)))
            .collect::<Result<BTreeMap<_, _>, PeopleError>>()?;
        let mut people = Self { groups: BTreeMap::new(), aliases: resolved, open: BTreeSet::new() };
        people.groups = groups
            .into_iter()
            .map(|(group, members)| (group, members.iter().map(|member| people.canonical_person(member)).collect()))
            .collect();
        Ok(people)
    }

    /// The same people, where an identity provider names further members of `groups` once they
    /// sign in. Groups that were not there are, and have nobody yet.
    #[must_use]
    pub fn with_open(mut self, groups: impl IntoIterator<Item = String>) -> Self {
        for group in groups {
            self.groups.entry(group.clone()).or_default();
            self.open.insert(group);
        }
        self
    }

    /// The same people, where `person` is in `group` too. Only open groups get further members.
    #[must_use]
    pub fn with_member(mut self, person: &PersonId, group: &str) -> Self {
        let person = self.canonical_person(person);
        if self.open.contains(group)
            && let Some(members) = self.groups.get_mut(group)
        {
            members.insert(person);
        }
        self
    }

    /// Whether `group` has people whom nobody here knows before they sign in.
    pub fn is_open(&self, group: &str) -> bool {
        self.open.contains(group)
    }

    /// The one name by which whoever goes by `name` is compared. A name that is nobody's alias,
    /// such as that of an agent, is its own.
    pub fn canonical<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        let folded = fold(name);
        match self.aliases.get(folded.as_ref()) {
            Some(person) => Cow::Borrowed(person.as_str()),
            None => folded,
        }
    }

    /// The one name by which `person` is compared.
    pub fn canonical_person(&self, person: &PersonId) -> PersonId {
        let folded = folded_person(person);
        self.aliases.get(folded.as_str()).cloned().unwrap_or(folded)
    }

    /// Whether `name` is `person` by this or another name.
    pub fn same_person(&self, name: &str, person: &PersonId) -> bool {
        self.canonical(name) == self.canonical(person.as_str())
    }

    /// Whether `person`, by any name, is in `group`. Nobody is in a group that does not exist.
    pub fn in_group(&self, person: &PersonId, group: &str) -> bool {
        self.groups.get(group).is_some_and(|members| members.contains(&self.canonical_person(person)))
    }

    /// Whether `person`, by any name, is one of the people of `names`, such as a requester's
    /// closure.
    pub fn among<'a>(&self, person: &PersonId, names: impl IntoIterator<Item = &'a str>) -> bool {
        names.into_iter().any(|name| self.same_person(name, person))
    }

    /// The people of `group` under their canonical names, each once; `None` if there is no such
    /// group.
    pub fn members(&self, group: &str) -> Option<&BTreeSet<PersonId>> {
        self.groups.get(group)
    }

    /// The groups that `person` is in, by any name.
    pub fn groups_of<'a>(&'a self, person: &PersonId) -> impl Iterator<Item = &'a str> + use<'a> {
        let person = self.canonical_person(person);
        self.groups.iter().filter(move |(_, members)| members.contains(&person)).map(|(group, _)| group.as_str())
    }

    /// The names of all groups.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }
}

/// The form in which names are compared. Mail systems that tell `Ana@` from `ana@` are rarer
/// than people who write both; a wrong difference here would let somebody approve their own call.
fn fold(name: &str) -> Cow<'_, str> {
    if name.contains('@') && name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn folded_person(person: &PersonId) -> PersonId {
    match fold(person.as_str()) {
        Cow::Borrowed(_) => person.clone(),
        Cow::Owned(folded) => folded.parse().expect("lower case keeps a valid name valid"),
    }
}

/// Where a chain of aliases ends.
fn follow(direct: &BTreeMap<String, PersonId>, alias: &str) -> Result<PersonId, PeopleError> {
    let circle = || PeopleError::Circle(alias.to_owned());
    let mut person = direct.get(alias).ok_or_else(circle)?;
    for _ in 0..direct.len() {
        match direct.get(person.as_str()) {
            Some(next) => person = next,
            None => return Ok(person.clone()),
        }
    }
    Err(circle())
}
