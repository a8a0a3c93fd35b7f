//! Who is signed in: the sessions of reviewers' browsers and programs.
//!
//! A browser holds a random name in a cookie, a program one in its `Authorization`; everything else
//! is here, under the hash of that name. A session is worth no more than the token or the account
//! that opened it: whenever it is used, that is looked up again, so that taking it away ends the
//! session at once. Sessions of accounts are also kept beside the approvals, so that a restart signs
//! nobody out. A session also knows which parts of which long bodies its person was given to read.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::approval::store::Kept;
use crate::approval::store::Shelf;
use crate::identity::KnownToken;
use crate::identity::oidc::LoggedOut;
use crate::identity::oidc::SignedIn;
use crate::model::ApprovalId;
use crate::model::PersonId;
use crate::model::Sha256;
use crate::model::Timestamp;

/// How long sessions last, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// After how long without a page that its person has asked for a browser's session ends.
    pub idle_max: Duration,
    /// After how long it ends in any case.
    pub age_max: Duration,
    /// Sessions of one person: a few browsers and terminals. One more ends the one that was used least lately.
    pub per_person_max: usize,
    /// Sessions of everybody; the same.
    pub sessions_max: usize,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            idle_max: Duration::from_secs(30 * 60),
            age_max: Duration::from_secs(8 * 60 * 60),
            per_person_max: 16,
            sessions_max: 1_024,
        }
    }
}

/// The sessions that are open.
#[derive(Debug)]
pub(in crate::review) struct Sessions {
    open: Mutex<HashMap<SessionKey, Session>>,
    settings: SessionSettings,
}

/// Names a session to us; its secret cannot be made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::review) struct SessionKey(Sha256);

impl SessionKey {
    /// The session of this secret.
    pub(in crate::review) fn of(secret: &str) -> Self {
        Self(Sha256::of(secret.as_bytes()))
    }

    /// Its name in the store.
    pub(in crate::review) fn name(self) -> String {
        self.0.to_string()
    }
}

/// What carries a session. One kind is never taken for the other: a browser sends cookies along
/// unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::review) enum Carrier {
    /// A browser's cookie.
    Cookie,
    /// A program's `Authorization`.
    Bearer,
}

/// Whose a session is, and what it hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::review) enum Holder {
    /// A reviewer's token.
    Token(KnownToken),
    /// An account of the identity provider.
    Account(Account),
}

impl Holder {
    /// Whose it is.
    pub(in crate::review) fn person(&self) -> &PersonId {
        match self {
            Self::Token(token) => token.person(),
            Self::Account(account) => &account.person,
        }
    }
}

/// An account of the identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::review) struct Account {
    pub(in crate::review) issuer: String,
    pub(in crate::review) subject: String,
    /// The session at the provider that ours began with, if that has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::review) theirs: Option<String>,
    pub(in crate::review) person: PersonId,
}

impl From<&SignedIn> for Account {
    fn from(who: &SignedIn) -> Self {
        Self {
            issuer: who.issuer.clone(),
            subject: who.subject.clone(),
            theirs: who.session.clone(),
            person: who.person.clone(),
        }
    }
}

/// What is kept of a session beside the approvals.
#[derive(Serialize, Deserialize)]
struct Written {
    account: Account,
    carrier: Carrier,
    csrf: String,
    began: Timestamp,
    used: Timestamp,
}

#[derive(Debug)]
struct Session {
    holder: Holder,
    carrier: Carrier,
    csrf: String,
    began: Timestamp,
    used: Timestamp,
    /// What the store knows of `used`.
    written: Timestamp,
    looked_at: HashMap<ApprovalId, LookedAt>,
}

/// What a session was shown of one approval.
#[derive(Debug)]
struct LookedAt {
    first: Timestamp,
    /// Whether they have taken the whole body with them.
    all: bool,
    pieces: BTreeSet<u64>,
}

/// A session that is good.
#[derive(Clone, Debug)]
pub(in crate::review) struct Known {
    pub(in crate::review) key: SessionKey,
    pub(in crate::review) holder: Holder,
    /// Stands in every form of this session, and in no other.
    pub(in crate::review) csrf: String,
    /// When it ends in any case.
    pub(in crate::review) expires: Timestamp,
    /// What the store should know by now, and does not yet.
    pub(in crate::review) unwritten: Option<Kept>,
}

/// A session that has just begun.
#[derive(Debug)]
pub(in crate::review) struct Begun {
    /// What its owner shows.
    pub(in crate::review) secret: String,
    /// When it ends in any case.
    pub(in crate::review) expires: Timestamp,
    /// What to keep of it, if anything.
    pub(in crate::review) kept: Option<Kept>,
    /// Sessions that had to end for it.
    pub(in crate::review) ended: Vec<SessionKey>,
}

/// Whether somebody has asked for this themselves, or their browser has on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::review) enum By {
    Person,
    Script,
}

impl Sessions {
    /// Those that were kept. What cannot be read is nobody's session.
    pub(in crate::review) fn new(settings: SessionSettings, kept: &[Kept]) -> Self {
        let read = |kept: &Kept| {
            let Written { account, carrier, csrf, began, used } = serde_json::from_str(&kept.text).ok()?;
            let holder = Holder::Account(account);
            let session = Session { holder, carrier, csrf, began, used, written: used, looked_at: HashMap::new() };
            Some((SessionKey(kept.name.parse().ok()?), session))
        };
        Self { open: Mutex::new(kept.iter().filter_map(read).collect()), settings }
    }

    /// Begins a session. `None` if the system gives no random numbers.
    pub(in crate::review) fn begin(&self, holder: Holder, carrier: Carrier, now: Timestamp) -> Option<Begun> {
        let secret = match carrier {
            Carrier::Cookie => random()?,
            Carrier::Bearer => format!("{BEARER_PREFIX}{}", random()?),
        };
        let csrf = random()?;
        let session = Session { holder, carrier, csrf, began: now, used: now, written: now, looked_at: HashMap::new() };
        let key = SessionKey::of(&secret);
        let (expires, kept) = (self.expires(&session), self.kept(key, &session));
        let mut open = self.open.lock();
        open.retain(|_, session| self.is_alive(session, now));
        let person = session.holder.person().clone();
        let own = |session: &Session| *session.holder.person() == person;
        let ended = if open.values().filter(|session| own(session)).count() >= self.settings.per_person_max {
            end_oldest(&mut open, own)
        } else if open.len() >= self.settings.sessions_max {
            end_oldest(&mut open, |_| true)
        } else {
            None
        };
        open.insert(key, session);
        Some(Begun { secret, expires, kept, ended: ended.into_iter().collect() })
    }

    /// The session of this secret, if it has not ended by itself. Whether what it hangs on is still
    /// good is for the caller to ask.
    pub(in crate::review) fn find(&self, secret: &str, carrier: Carrier, by: By, now: Timestamp) -> Option<Known> {
        let key = SessionKey::of(secret);
        let found = self.with(key, now, |session| {
            if session.carrier != carrier {
                return None;
            }
            if by == By::Person {
                session.used = session.used.max(now);
            }
            let stale = session.carrier == Carrier::Cookie && session.used.since(session.written) >= WRITTEN_EVERY;
            if stale {
                session.written = session.used;
            }
            Some(Known {
                key,
                holder: session.holder.clone(),
                csrf: session.csrf.clone(),
                expires: self.expires(session),
                unwritten: if stale { self.kept(key, session) } else { None },
            })
        });
        found.flatten()
    }

    /// What a session that has not ended hangs on.
    pub(in crate::review) fn holder(&self, key: SessionKey, now: Timestamp) -> Option<Holder> {
        self.with(key, now, |session| session.holder.clone())
    }

    /// Whether a session has not been ended.
    pub(in crate::review) fn is_open(&self, key: SessionKey) -> bool {
        self.open.lock().contains_key(&key)
    }

    /// Ends a session.
    pub(in crate::review) fn end(&self, key: SessionKey) {
        self.open.lock().remove(&key);
    }

    /// Ends those that the provider says are over.
    pub(in crate::review) fn end_all(&self, over: &LoggedOut) -> Vec<SessionKey> {
        let is_over = |session: &Session| match &session.holder {
            Holder::Account(own) => over.is_about(&own.issuer, &own.subject, own.theirs.as_deref()),
            Holder::Token(_) => false,
        };
        let mut open = self.open.lock();
        let ended: Vec<_> = open.iter().filter(|(_, session)| is_over(session)).map(|(key, _)| *key).collect();
        for key in &ended {
            open.remove(key);
        }
        ended
    }

    /// Notes that its person is looking at an approval; answers with when they first did.
    pub(in crate::review) fn looks_at(&self, key: SessionKey, id: ApprovalId, now: Timestamp) -> Option<Timestamp> {
        self.with(key, now, |session| session.look(id, now).first)
    }

    /// Notes that its person was given the piece `number` of the body of an approval.
    pub(in crate::review) fn was_given(&self, key: SessionKey, id: ApprovalId, number: u64, now: Timestamp) {
        self.with(key, now, |session| session.look(id, now).pieces.insert(number));
    }

    /// Notes that its person was given the whole body of an approval.
    pub(in crate::review) fn was_given_all(&self, key: SessionKey, id: ApprovalId, now: Timestamp) {
        self.with(key, now, |session| session.look(id, now).all = true);
    }

    /// How many of the first `total` pieces its person was given.
    pub(in crate::review) fn given(&self, key: SessionKey, id: ApprovalId, total: u64, now: Timestamp) -> u64 {
        let count = self.with(key, now, |session| {
            session
                .looked_at
                .get(&id)
                .map_or(0, |looked| if looked.all { total } else { looked.pieces.range(..total).count() as u64 })
        });
        count.unwrap_or(0)
    }

    fn with<T>(&self, key: SessionKey, now: Timestamp, ask: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut open = self.open.lock();
        let session = open.get_mut(&key)?;
        if !self.is_alive(session, now) {
            open.remove(&key);
            return None;
        }
        Some(ask(session))
    }

    /// When a session ends in any case.
    fn expires(&self, session: &Session) -> Timestamp {
        session.began.plus(self.settings.age_max)
    }

    /// When it ends if nobody uses it. Programs do not ask only while somebody looks.
    fn ends(&self, session: &Session) -> Timestamp {
        match session.carrier {
            Carrier::Cookie => self.expires(session).min(session.used.plus(self.settings.idle_max)),
            Carrier::Bearer => self.expires(session),
        }
    }

    fn is_alive(&self, session: &Session, now: Timestamp) -> bool {
        now < self.ends(session)
    }

    /// What the store has to know. Sessions of tokens end with the process.
    fn kept(&self, key: SessionKey, session: &Session) -> Option<Kept> {
        let Holder::Account(account) = &session.holder else { return None };
        let written = Written {
            account: account.clone(),
            carrier: session.carrier,
            csrf: session.csrf.clone(),
            began: session.began,
            used: session.used,
        };
        let text = serde_json::to_string(&written).ok()?;
        Some(Kept { shelf: Shelf::Sessions, name: key.name(), until: self.ends(session), text })
    }
}

impl Session {
    fn look(&mut self, id: ApprovalId, now: Timestamp) -> &mut LookedAt {
        if self.looked_at.len() >= LOOKED_AT_MAX && !self.looked_at.contains_key(&id) {
            let oldest = self.looked_at.iter().min_by_key(|(_, looked)| looked.first).map(|(id, _)| *id);
            oldest.and_then(|oldest| self.looked_at.remove(&oldest));
        }
        self.looked_at.entry(id).or_insert_with(|| LookedAt { first: now, all: false, pieces: BTreeSet::new() })
    }
}

impl Known {
    /// Whether a form was made for this session.
    pub(in crate::review) fn made(&self, csrf: &str) -> bool {
        verify_slices_are_equal(self.csrf.as_bytes(), csrf.as_bytes()).is_ok()
    }
}

fn end_oldest(open: &mut HashMap<SessionKey, Session>, among: impl Fn(&Session) -> bool) -> Option<SessionKey> {
    let oldest = open.iter().filter(|(_, session)| among(session)).min_by_key(|(_, session)| session.used);
    let key = oldest.map(|(key, _)| *key)?;
    open.remove(&key);
    Some(key)
}

/// 256 bits that nobody can guess.
pub(in crate::review) fn random() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What the token of a program's session begins with.
pub(in crate::review) const BEARER_PREFIX: &str = "hp_ses_";

/// How old what the store knows of a session's use may be; after a crash it ends that much earlier.
const WRITTEN_EVERY: Duration = Duration::from_secs(5 * 60);

/// How many approvals a session remembers to have been shown; whoever reads more than this at once
/// reads the long body of the first again.
const LOOKED_AT_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use crate::identity::KeyHolder;
    use crate::identity::ReviewerTokens;
    use crate::identity::key::generate;
    use secrecy::ExposeSecret;

    use super::*;

    fn token(name: &str) -> Holder {
        let now = Timestamp::from_unix_micros(0);
        let holder = KeyHolder::Reviewer(format!("{name}@example.com").parse().unwrap());
        let made = generate(holder, None, now, None).unwrap();
        let tokens = ReviewerTokens::new(vec![made.record]).unwrap();
        Holder::Token(tokens.sign_in(made.secret.expose_secret(), now).unwrap())
    }

    fn who(subject: &str, session: Option<&str>) -> Holder {
        Holder::Account(Account {
            issuer: "https://idp".to_owned(),
            subject: subject.to_owned(),
            theirs: session.map(str::to_owned),
            person: format!("{subject}@example.com").parse().unwrap(),
        })
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_in_any_case_after_a_day_s_work() {
        let sessions = Sessions::new(SessionSettings::default(), &[]);
        let cookie = sessions.begin(token("bo"), Carrier::Cookie, at(0)).unwrap().secret;
        assert!(sessions.find(&cookie, Carrier::Cookie, By::Person, at(1_799)).is_some());
        // What the browser does on its own keeps nothing open.
        assert!(sessions.find(&cookie, Carrier::Cookie, By::Script, at(3_500)).is_some());
        assert!(sessions.find(&cookie, Carrier::Cookie, By::Script, at(3_599)).is_none());
        let cookie = sessions.begin(token("bo"), Carrier::Cookie, at(0)).unwrap().secret;
        for minutes in 0..479 {
            assert!(
                sessions.find(&cookie, Carrier::Cookie, By::Person, at(minutes * 60)).is_some(),
                "after {minutes} min"
            );
        }
        assert!(sessions.find(&cookie, Carrier::Cookie, By::Person, at(8 * 3_600)).is_none());
    }

    #[test]
    fn nobody_opens_sessions_without_end() {
        let settings = SessionSettings { per_person_max: 2, sessions_max: 3, ..SessionSettings::default() };
        let sessions = Sessions::new(settings, &[]);
        let (bo, cy, dee) = (token("bo"), token("cy"), token("dee"));
        let first = sessions.begin(bo.clone(), Carrier::Cookie, at(0)).unwrap().secret;
        let second = sessions.begin(bo.clone(), Carrier::Cookie, at(1)).unwrap().secret;
        sessions.find(&first, Carrier::Cookie, By::Person, at(2));
        let third = sessions.begin(bo, Carrier::Cookie, at(3)).unwrap().secret;
        let there = |cookie: &str| sessions.find(cookie, Carrier::Cookie, By::Script, at(9)).is_some();
        assert_eq!((there(&first), there(&second), there(&third)), (true, false, true));
        let fourth = sessions.begin(cy, Carrier::Cookie, at(4)).unwrap().secret;
        let fifth = sessions.begin(dee, Carrier::Cookie, at(5)).unwrap().secret;
        assert_eq!((there(&first), there(&third), there(&fourth), there(&fifth)), (false, true, true, true));
    }

    #[test]
    fn a_cookie_is_nothing_but_its_own_session() {
        let sessions = Sessions::new(SessionSettings::default(), &[]);
        let (one, two) = (
            sessions.begin(token("bo"), Carrier::Cookie, at(0)).unwrap().secret,
            sessions.begin(token("bo"), Carrier::Cookie, at(0)).unwrap().secret,
        );
        let (first, second) = (
            sessions.find(&one, Carrier::Cookie, By::Person, at(1)).unwrap(),
            sessions.find(&two, Carrier::Cookie, By::Person, at(1)).unwrap(),
        );
        assert!(first.made(&first.csrf) && !first.made(&second.csrf) && !first.made(""));
        assert!(sessions.find("", Carrier::Cookie, By::Person, at(1)).is_none());
        sessions.end(first.key);
        assert!(sessions.find(&one, Carrier::Cookie, By::Person, at(1)).is_none());
        assert!(sessions.find(&two, Carrier::Cookie, By::Person, at(1)).is_some());
    }

    #[test]
    fn a_session_of_an_account_outlives_the_process() {
        let sessions = Sessions::new(SessionSettings::default(), &[]);
        let cookie = sessions.begin(who("ana", None), Carrier::Cookie, at(0)).unwrap();
        let bearer = sessions.begin(who("ana", None), Carrier::Bearer, at(0)).unwrap();
        assert!(bearer.secret.starts_with("hp_ses_"));
        assert!(sessions.find(&cookie.secret, Carrier::Bearer, By::Person, at(1)).is_none());
        assert!(sessions.find(&bearer.secret, Carrier::Cookie, By::Person, at(1)).is_none());
        assert!(sessions.find(&cookie.secret, Carrier::Cookie, By::Person, at(1)).is_some());
        assert!(sessions.find(&cookie.secret, Carrier::Cookie, By::Person, at(1_801)).is_none());
        assert!(sessions.find(&bearer.secret, Carrier::Bearer, By::Person, at(28_799)).is_some());
        let (kept_cookie, kept_bearer) = (cookie.kept.unwrap(), bearer.kept.unwrap());
        assert_eq!((kept_cookie.until, kept_bearer.until), (at(1_800), at(28_800)));
        assert!(!kept_cookie.text.contains(&cookie.secret) && !kept_cookie.name.contains(&cookie.secret));
        let next = Sessions::new(SessionSettings::default(), &[kept_cookie, kept_bearer]);
        assert!(next.find(&cookie.secret, Carrier::Cookie, By::Script, at(1_800)).is_none());
        assert!(next.find(&bearer.secret, Carrier::Bearer, By::Script, at(28_799)).is_some());
        assert!(next.find(&bearer.secret, Carrier::Bearer, By::Script, at(28_800)).is_none());
        assert_eq!(next.begin(token("bo"), Carrier::Cookie, at(0)).unwrap().kept, None);
    }

    #[test]
    fn what_the_store_knows_of_a_session_s_use_is_never_old() {
        let sessions = Sessions::new(SessionSettings::default(), &[]);
        let begun = sessions.begin(who("ana", None), Carrier::Cookie, at(0)).unwrap();
        let unwritten = |by, now| {
            let known = sessions.find(&begun.secret, Carrier::Cookie, by, at(now)).unwrap();
            known.unwritten.map(|kept| kept.until)
        };
        assert_eq!(unwritten(By::Person, 299), None);
        assert_eq!(unwritten(By::Script, 300), None);
        assert_eq!(unwritten(By::Person, 301), Some(at(2_101)));
        assert_eq!(unwritten(By::Person, 302), None);
    }

    #[test]
    fn the_provider_ends_one_session_or_all() {
        let cases: [(Option<&str>, Option<&str>, &[&str]); 6] = [
            (Some("ana"), None, &["bo1", "bo2"]),
            (Some("ana"), Some("s1"), &["ana2", "bo1", "bo2"]),
            (None, Some("s2"), &["ana1", "ana0", "bo1", "bo2"]),
            (Some("bo"), Some("s9"), &["ana1", "ana2", "ana0", "bo1", "bo2"]),
            (None, Some("s9"), &["ana1", "ana2", "ana0", "bo1", "bo2"]),
            (Some("cy"), None, &["ana1", "ana2", "ana0", "bo1", "bo2"]),
        ];
        for (subject, session, left) in cases {
            let sessions = Sessions::new(SessionSettings::default(), &[]);
            let begin = |name: &'static str, subject, session| {
                (name, sessions.begin(who(subject, session), Carrier::Bearer, at(0)).unwrap().secret)
            };
            let all = [
                begin("ana1", "ana", Some("s1")),
                begin("ana2", "ana", Some("s2")),
                begin("ana0", "ana", None),
                begin("bo1", "bo", Some("s3")),
                begin("bo2", "bo", Some("s4")),
            ];
            let over = LoggedOut {
                issuer: "https://idp".to_owned(),
                subject: subject.map(str::to_owned),
                session: session.map(str::to_owned),
            };
            let other = LoggedOut { issuer: "https://other".to_owned(), ..over.clone() };
            assert_eq!(sessions.end_all(&other), []);
            assert_eq!(sessions.end_all(&over).len(), all.len() - left.len());
            let there = |secret: &str| sessions.find(secret, Carrier::Bearer, By::Person, at(1)).is_some();
            let found: Vec<_> = all.iter().filter(|(_, secret)| there(secret)).map(|(name, _)| *name).collect();
            assert_eq!(found, left, "{subject:?} {session:?}");
        }
    }
}
