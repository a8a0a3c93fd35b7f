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
use super::oidc::Settings;
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
    /// What made the provider's words mean that, as [`Settings::meaning_of`] has it. Empty for an
    /// account that was kept before this was known, which counts once it has signed in again.
    #[serde(default)]
    pub under: String,
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

/// The provider whose word counts.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// It, and what its words mean now.
    pub settings: Settings,
    /// How long after a sign-in its word about groups counts.
    pub valid_for: Duration,
}

impl Trusted {
    /// Whether what is known of an account is what would be known of it now. Whoever the operator
    /// names otherwise since, or whose groups stand for something else, has to sign in again.
    fn stands_by(&self, account: &Account) -> bool {
        account.issuer == self.settings.issuer && account.under == self.settings.meaning_of(&account.subject)
    }
}

struct Inner {
    configured: Arc<People>,
    trusted: Option<Trusted>,
    accounts: BTreeMap<String, Account>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory({} accounts)", self.inner.lock().accounts.len())
    }
}

impl Directory {
    /// The people of the configuration and these accounts, as far as `trusted` has named them.
    pub fn new(
        configured: Arc<People>,
        trusted: Option<Trusted>,
        accounts: impl IntoIterator<Item = Account>,
        tell: Tell,
    ) -> Self {
        let accounts = accounts.into_iter().map(|account| (account.key(), account)).collect();
        Self { inner: Mutex::new(Inner { configured, trusted, accounts }), tell }
    }

    /// Puts another configuration in the place of the one before.
    pub fn configure(&self, configured: Arc<People>, trusted: Option<Trusted>, now: Timestamp) {
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
        let account = Account {
            issuer: signed_in.issuer.clone(),
            subject: signed_in.subject.clone(),
            person: inner.configured.canonical_person(&signed_in.person),
            groups: signed_in.groups.clone(),
            seen: now,
            under: signed_in.under.clone(),
        };
        if signed_in.named == Named::ByClaim {
            inner.check(&account)?;
        }
        inner.accounts.insert(account.key(), account.clone());
        (self.tell)(inner.people(now));
        Ok(account)
    }

    /// Whether an account is still this person, by what the configuration says now.
    pub fn is_still(&self, issuer: &str, subject: &str, person: &PersonId) -> bool {
        let inner = self.inner.lock();
        let Some(trusted) = &inner.trusted else { return false };
        let account = inner.accounts.get(&format!("{issuer} {subject}")).filter(|account| trusted.stands_by(account));
        account.is_some_and(|account| inner.configured.same_person(account.person.as_str(), person))
    }

    /// Forgets whose groups nobody has confirmed for too long.
    pub fn sweep(&self, now: Timestamp) {
        let inner = self.inner.lock();
        (self.tell)(inner.people(now));
    }
}

impl Inner {
    fn people(&self, now: Timestamp) -> Arc<People> {
        let Some(trusted) = &self.trusted else { return Arc::clone(&self.configured) };
        let valid = |account: &&Account| trusted.stands_by(account) && now.since(account.seen) < trusted.valid_for;
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
    use super::super::oidc::GroupsClaim;
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

    fn settings(issuer: &str, subjects: &[(&str, &str)], meaning: &[(&str, &str)]) -> Settings {
        let subjects = subjects.iter().map(|(subject, person)| ((*subject).to_owned(), person.parse().unwrap()));
        let one = |group: &str| BTreeSet::from([group.to_owned()]);
        let meaning = meaning.iter().map(|(value, group)| ((*value).to_owned(), one(group)));
        Settings {
            issuer: issuer.to_owned(),
            client_id: "holdpoint".to_owned(),
            client_secret: None,
            redirect_uri: "https://holdpoint/signin/oidc/callback".to_owned(),
            scopes: Vec::new(),
            person_claim: "email".to_owned(),
            subjects: subjects.collect(),
            groups: Some(GroupsClaim { claim: "groups".to_owned(), entries_max: 100, meaning: meaning.collect() }),
            device_sign_in: false,
            ca: None,
        }
    }

    fn trusted(issuer: &str, seconds: u64) -> Option<Trusted> {
        Some(Trusted { settings: settings(issuer, &[], &[]), valid_for: Duration::from_secs(seconds) })
    }

    fn directory(accounts: Vec<Account>) -> (Directory, Told) {
        let told: Told = Arc::new(Mutex::new(configured(&[])));
        let teller = Arc::clone(&told);
        let trusted = trusted("https://idp", 100);
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
            under: settings("https://idp", &[], &[]).meaning_of(subject),
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
        next.configure(configured(&[]), trusted("https://other", 100), at(99));
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
        directory.configure(configured(&[("ana2@x", "ana@x")]), trusted("https://idp", 0), at(0));
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
    #[test]
    fn what_the_operator_takes_back_counts_no_more() {
        let named = &[("1", "ana@x"), ("2", "bo@x")];
        let meaning = &[("a", "owners"), ("b", "owners")];
        let before = settings("https://idp", named, meaning);
        let (ana, bo) = ("ana@x".parse().unwrap(), "bo@x".parse().unwrap());
        for (what, after, ana_stays, bo_stays) in [
            ("nothing", before.clone(), true, true),
            ("a mapping", settings("https://idp", &named[1..], meaning), false, true),
            ("another person", settings("https://idp", &[("1", "cy@x"), ("2", "bo@x")], meaning), false, true),
            ("a value of a group", settings("https://idp", named, &meaning[1..]), false, false),
            ("what a value means", settings("https://idp", named, &[("a", "others"), ("b", "owners")]), false, false),
            ("the claim", Settings { person_claim: "sub".to_owned(), ..before.clone() }, false, false),
            ("the groups", Settings { groups: None, ..before.clone() }, false, false),
            ("the issuer", settings("https://other", named, meaning), false, false),
        ] {
            let (directory, told) = directory(Vec::new());
            let trust = |settings| Some(Trusted { settings, valid_for: Duration::from_secs(100) });
            directory.configure(configured(&[]), trust(before.clone()), at(0));
            let mut kept = Vec::new();
            for (subject, person) in named {
                let under = before.meaning_of(subject);
                let who = SignedIn { under, ..who(subject, person, Named::ByOperator, &["owners"]) };
                kept.push(directory.admit(&who, at(0)).unwrap());
            }
            assert_eq!(members(&told, "owners"), ["ana@x", "bo@x"]);
            let expected: Vec<_> = [(ana_stays, "ana@x"), (bo_stays, "bo@x")]
                .into_iter()
                .filter(|(stays, _)| *stays)
                .map(|(_, who)| who)
                .collect();
            // After a reload, and after a restart.
            directory.configure(configured(&[]), trust(after.clone()), at(1));
            let (next, next_told) = self::directory(kept);
            next.configure(configured(&[]), trust(after), at(1));
            for (directory, told) in [(directory, told), (next, next_told)] {
                let still = (directory.is_still("https://idp", "1", &ana), directory.is_still("https://idp", "2", &bo));
                assert_eq!(still, (ana_stays, bo_stays), "{what}");
                assert_eq!(members(&told, "owners"), expected, "{what}");
            }
        }
    }

    #[test]
    fn an_account_of_which_nobody_knows_how_it_came_to_be_counts_for_nothing() {
        let kept = r#"{"issuer":"https://idp","subject":"1","person":"ana@x","groups":["owners"],"seen":"1970-01-01T00:00:00Z"}"#;
        let (directory, told) = directory(vec![serde_json::from_str(kept).unwrap()]);
        directory.sweep(at(1));
        assert!(!directory.is_still("https://idp", "1", &"ana@x".parse().unwrap()));
        assert!(members(&told, "owners").is_empty());
        // It is still known which account that is.
        assert!(directory.admit(&who("2", "ana@x", Named::ByClaim, &[]), at(1)).is_err());
    }
}
