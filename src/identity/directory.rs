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

#[cfg(test)]
mod tests {
    use super::*;

    type Told = Arc<Mutex<Arc<People>>>;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    fn configured(aliases: &[(&str, &str)]) -> Arc<People> {
        let aliases = aliases.iter().map(|(alias, person)| ((*alias).to_owned(), person.parse().unwrap()));
        let groups = BTreeMap::from([("named".to_owned(), BTreeSet::from(["ana@x".parse().unwrap()]))]);
        Arc::new(People::new(groups, aliases.collect()).unwrap().with_open(["owners".to_owned()]))
    }

    fn directory(accounts: Vec<Account>) -> (Directory, Told) {
        let told: Told = Arc::new(Mutex::new(configured(&[])));
        let teller = Arc::clone(&told);
        let trusted = Some(("https://idp".to_owned(), Duration::from_secs(100)));
        let tell = Box::new(move |people| *teller.lock() = people);
        (Directory::new(configured(&[]), trusted, accounts, tell), told)
    }

    fn who(subject: &str, person: &str, named: Named, groups: &[&str]) -> SignedIn {
        SignedIn {
            issuer: "https://idp".to_owned(),
            subject: subject.to_owned(),
            session: None,
            person: person.parse().unwrap(),
            named,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    fn members(told: &Told, group: &str) -> Vec<String> {
        told.lock().members(group).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_provider_fills_open_groups_for_a_while() {
        let (directory, told) = directory(Vec::new());
        let account = directory.admit(&who("1", "Ana@x", Named::ByClaim, &["owners", "named"]), at(0)).unwrap();
        directory.admit(&who("2", "bo@x", Named::ByClaim, &["owners", "named", "none"]), at(50)).unwrap();
        assert_eq!(
            (members(&told, "owners"), members(&told, "named")),
            (vec!["ana@x".into(), "bo@x".into()], vec!["ana@x".to_owned()])
        );
        directory.sweep(at(100));
        assert_eq!(members(&told, "owners"), ["bo@x"]);
        // The last word counts.
        directory.admit(&who("2", "bo@x", Named::ByClaim, &[]), at(101)).unwrap();
        assert!(members(&told, "owners").is_empty());
        // Another process knows the same.
        let (next, told) = self::directory(vec![account]);
        next.sweep(at(99));
        assert_eq!(members(&told, "owners"), ["ana@x"]);
        next.configure(configured(&[]), Some(("https://other".to_owned(), Duration::from_secs(100))), at(99));
        assert!(members(&told, "owners").is_empty());
    }

    #[test]
    fn an_account_is_one_person_and_a_person_one_account() {
        let (directory, _told) = directory(Vec::new());
        let admit = |subject, person, named| directory.admit(&who(subject, person, named, &[]), at(0)).is_ok();
        assert!(admit("1", "ana@x", Named::ByClaim));
        assert!(admit("1", "ANA@x", Named::ByClaim));
        assert!(!admit("1", "ana2@x", Named::ByClaim));
        assert!(!admit("2", "ana@x", Named::ByClaim));
        assert!(admit("2", "bo@x", Named::ByClaim));
        directory.configure(
            configured(&[("ana2@x", "ana@x")]),
            Some(("https://idp".to_owned(), Duration::ZERO)),
            at(0),
        );
        assert!(admit("1", "ana2@x", Named::ByClaim));
        assert!(directory.is_still("https://idp", "1", &"ana@x".parse().unwrap()));
        assert!(!directory.is_still("https://idp", "1", &"bo@x".parse().unwrap()));
        // The operator's word is stronger.
        assert!(admit("3", "ana@x", Named::ByOperator));
        assert!(admit("1", "cy@x", Named::ByOperator));
        assert!(!directory.is_still("https://idp", "1", &"ana@x".parse().unwrap()));
        directory.configure(configured(&[]), None, at(0));
        assert!(!directory.is_still("https://idp", "1", &"cy@x".parse().unwrap()));
    }
}
