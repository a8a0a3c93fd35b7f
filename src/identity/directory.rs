//! Who is who now: the people of the configuration, and those whom the identity provider has named
//! since.
//!
//! An account (issuer and subject) is one person, and a person one account, whatever their claims
//! say later: whoever changes their e-mail address must not become somebody else, who could then
//! approve their own call or count twice. Only the operator's own word changes who an account is.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::model::PersonId;
use crate::model::Timestamp;

use super::oidc::Named;
use super::oidc::SignInError;
use super::oidc::SignedIn;
use super::people::People;

/// What is known of an account, for as long as anybody may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The provider that it is with.
    pub issuer: String,
    /// What the provider calls it, for ever.
    pub subject: String,
    /// Who that is here.
    pub person: PersonId,
    /// The groups of reviewers that the provider named last.
    pub groups: BTreeSet<String>,
    /// When that was.
    pub seen: Timestamp,
}

impl Account {
    /// What names it, and nothing else.
    pub fn key(&self) -> String {
        format!("{} {}", self.issuer, self.subject)
    }
}

/// Hears who is who, whenever that changes.
pub type Tell = Box<dyn Fn(Arc<People>) + Send + Sync>;

/// Who is who now.
pub struct Directory {
    inner: Mutex<Inner>,
    tell: Tell,
}

struct Inner {
    configured: Arc<People>,
    /// The provider whose word counts, and for how long.
    trusted: Option<(String, Duration)>,
    accounts: BTreeMap<String, Account>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory({} accounts)", self.inner.lock().accounts.len())
    }
}

impl Directory {
    /// The people of the configuration and these accounts, as far as `trusted` has named them: the
    /// issuer whose word about groups counts, and for how long after a sign-in.
    pub fn new(
        configured: Arc<People>,
        trusted: Option<(String, Duration)>,
        accounts: impl IntoIterator<Item = Account>,
        tell: Tell,
    ) -> Self {
        let accounts = accounts.into_iter().map(|account| (account.key(), account)).collect();
        Self { inner: Mutex::new(Inner { configured, trusted, accounts }), tell }
    }

    /// Puts another configuration in the place of the one before.
    pub fn configure(&self, configured: Arc<People>, trusted: Option<(String, Duration)>, now: Timestamp) {
        let mut inner = self.inner.lock();
        inner.configured = configured;
        inner.trusted = trusted;
        (self.tell)(inner.people(now));
    }

    /// Takes note of somebody who has just signed in. Answers with what to keep.
    ///
    /// # Errors
    /// [`SignInError::Person`] if the account was another person before, or the person had another
    /// account.
    pub fn admit(&self, signed_in: &SignedIn, now: Timestamp) -> Result<Account, SignInError> {
        let mut inner = self.inner.lock();
        let SignedIn { issuer, subject, person, groups, named, .. } = signed_in;
        let person = inner.configured.canonical_person(person);
        let account =
            Account { issuer: issuer.clone(), subject: subject.clone(), person, groups: groups.clone(), seen: now };
        if *named == Named::ByClaim {
            inner.check(&account)?;
        }
        inner.accounts.insert(account.key(), account.clone());
        (self.tell)(inner.people(now));
        Ok(account)
    }

    /// Whether an account is still this person.
    pub fn is_still(&self, issuer: &str, subject: &str, person: &PersonId) -> bool {
        let inner = self.inner.lock();
        let trusted = inner.trusted.as_ref().is_some_and(|(trusted, _)| trusted == issuer);
        let account = inner.accounts.get(&format!("{issuer} {subject}"));
        trusted && account.is_some_and(|account| inner.configured.same_person(account.person.as_str(), person))
    }

    /// Forgets whose groups nobody has confirmed for too long.
    pub fn sweep(&self, now: Timestamp) {
        let inner = self.inner.lock();
        (self.tell)(inner.people(now));
    }
}

impl Inner {
    fn people(&self, now: Timestamp) -> Arc<People> {
        let Some((issuer, valid_for)) = &self.trusted else { return Arc::clone(&self.configured) };
        let valid = |account: &&Account| account.issuer == *issuer && now.since(account.seen) < *valid_for;
        let mut people = People::clone(&self.configured);
        for account in self.accounts.values().filter(valid) {
            people = account.groups.iter().fold(people, |people, group| people.with_member(&account.person, group));
        }
        Arc::new(people)
    }

    fn check(&self, account: &Account) -> Result<(), SignInError> {
        let same = |before: &Account| self.configured.same_person(before.person.as_str(), &account.person);
        if let Some(before) = self.accounts.get(&account.key())
            && !same(before)
        {
            return Err(SignInError::Person(format!(
                "your account was `{}` before, and is `{}` by what the provider says now; whoever runs this can say \
                 that the two are one person in `reviewers.aliases`, or name your account (its `sub`) in \
                 `reviewers.oidc.subjects`",
                before.person, account.person
            )));
        }
        let other = |before: &&Account| before.issuer == account.issuer && before.subject != account.subject;
        if self.accounts.values().filter(other).any(same) {
            return Err(SignInError::Person(format!(
                "`{}` was another account before; if you have got a new one, whoever runs this can name it (its `sub`) \
                 in `reviewers.oidc.subjects`",
                account.person
            )));
        }
        Ok(())
    }
}
