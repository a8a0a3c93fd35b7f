//! Who is signed in with an account of the identity provider.
//!
//! A browser's cookie or a program's token is a random name; all else is here, under the hash of
//! that name, and beside the approvals, so that a restart signs nobody out. A session is worth no
//! more than its account: whoever that is not any more has no session.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::approval::store::Kept;
use crate::approval::store::Shelf;
use crate::identity::oidc::LoggedOut;
use crate::identity::oidc::SignedIn;
use crate::model::PersonId;
use crate::model::Sha256;
use crate::model::Timestamp;

/// How long sessions last, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// After how long a browser's session ends that its person does not use.
    pub idle_max: Duration,
    /// After how long any session ends.
    pub age_max: Duration,
    /// Sessions of one person: a few browsers and terminals. One more ends the oldest.
    pub per_person_max: usize,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { idle_max: Duration::from_secs(30 * 60), age_max: Duration::from_secs(8 * 60 * 60), per_person_max: 16 }
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

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::review) struct Session {
    pub(in crate::review) issuer: String,
    pub(in crate::review) subject: String,
    /// The session at the provider that it began with, if that has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::review) theirs: Option<String>,
    pub(in crate::review) person: PersonId,
    pub(in crate::review) carrier: Carrier,
    pub(in crate::review) began: Timestamp,
    #[serde(skip)]
    used: Option<Timestamp>,
}

/// Names a session to us; its secret cannot be made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// A session that has just begun.
pub(in crate::review) struct Begun {
    /// What its owner shows.
    pub(in crate::review) secret: String,
    /// What to keep of it.
    pub(in crate::review) kept: Kept,
    /// Sessions that had to end for it.
    pub(in crate::review) ended: Vec<SessionKey>,
}

/// The sessions that are open.
#[derive(Debug)]
pub(in crate::review) struct Sessions {
    open: Mutex<HashMap<SessionKey, Session>>,
    settings: SessionSettings,
}

impl Sessions {
    /// Those that were kept. What cannot be read is nobody's session.
    pub(in crate::review) fn new(settings: SessionSettings, kept: &[Kept]) -> Self {
        let read = |kept: &Kept| Some((SessionKey(kept.name.parse().ok()?), serde_json::from_str(&kept.text).ok()?));
        Self { open: Mutex::new(kept.iter().filter_map(read).collect()), settings }
    }

    /// Begins one. `None` if the system gives no random numbers.
    pub(in crate::review) fn begin(&self, who: &SignedIn, carrier: Carrier, now: Timestamp) -> Option<Begun> {
        let secret = match carrier {
            Carrier::Cookie => random()?,
            Carrier::Bearer => format!("{BEARER_PREFIX}{}", random()?),
        };
        let session = Session {
            issuer: who.issuer.clone(),
            subject: who.subject.clone(),
            theirs: who.session.clone(),
            person: who.person.clone(),
            carrier,
            began: now,
            used: None,
        };
        let key = SessionKey::of(&secret);
        let kept = Kept {
            shelf: Shelf::Sessions,
            name: key.name(),
            until: now.plus(self.settings.age_max),
            text: serde_json::to_string(&session).expect("strings and numbers are always JSON"),
        };
        let mut open = self.open.lock();
        open.retain(|_, session| self.is_alive(session, now));
        let own = open.iter().filter(|(_, other)| other.person == session.person);
        let mut own: Vec<_> = own.map(|(key, other)| (other.began, *key)).collect();
        own.sort_unstable();
        let surplus = (own.len() + 1).saturating_sub(self.settings.per_person_max);
        let ended: Vec<_> = own.into_iter().take(surplus).map(|(_, key)| key).collect();
        for key in &ended {
            open.remove(key);
        }
        open.insert(key, session);
        Some(Begun { secret, kept, ended })
    }

    /// The session of this secret, if it has not ended by itself.
    pub(in crate::review) fn find(
        &self,
        secret: &str,
        carrier: Carrier,
        now: Timestamp,
    ) -> Option<(SessionKey, Session)> {
        let key = SessionKey::of(secret);
        let mut open = self.open.lock();
        let session = open.get_mut(&key).filter(|session| session.carrier == carrier)?;
        if !self.is_alive(session, now) {
            open.remove(&key);
            return None;
        }
        session.used = Some(now);
        Some((key, session.clone()))
    }

    /// Ends one.
    pub(in crate::review) fn end(&self, key: SessionKey) {
        self.open.lock().remove(&key);
    }

    /// Ends those that the provider says are over. Where a session does not know its name there, it
    /// ends with any session of its account.
    pub(in crate::review) fn end_all(&self, over: &LoggedOut) -> Vec<SessionKey> {
        let mut open = self.open.lock();
        let is_over = |session: &Session| {
            let account = over.subject.as_ref().is_none_or(|subject| *subject == session.subject);
            let theirs = match (&over.session, &session.theirs) {
                (Some(over), Some(theirs)) => over == theirs,
                (Some(_), None) => over.subject.is_some(),
                (None, _) => true,
            };
            session.issuer == over.issuer && account && theirs
        };
        let ended: Vec<_> = open.iter().filter(|(_, session)| is_over(session)).map(|(key, _)| *key).collect();
        for key in &ended {
            open.remove(key);
        }
        ended
    }

    /// When a session ends in any case.
    pub(in crate::review) fn expires(&self, session: &Session) -> Timestamp {
        session.began.plus(self.settings.age_max)
    }

    /// How long one lasts at most.
    pub(in crate::review) fn age_max(&self) -> Duration {
        self.settings.age_max
    }

    fn is_alive(&self, session: &Session, now: Timestamp) -> bool {
        // After a restart nobody knows when it was used; it has as long again.
        let idle = match (session.carrier, session.used) {
            (Carrier::Cookie, Some(used)) => now.since(used) >= self.settings.idle_max,
            (Carrier::Cookie, None) | (Carrier::Bearer, _) => false,
        };
        !idle && now < self.expires(session)
    }
}

/// 256 bits that nobody can guess.
pub(super) fn random() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What the token of a program's session begins with.
pub(in crate::review) const BEARER_PREFIX: &str = "hp_ses_";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::identity::oidc::Named;

    use super::*;

    fn who(subject: &str, session: Option<&str>) -> SignedIn {
        SignedIn {
            issuer: "https://idp".to_owned(),
            subject: subject.to_owned(),
            session: session.map(str::to_owned),
            person: format!("{subject}@example.com").parse().unwrap(),
            named: Named::ByClaim,
            groups: BTreeSet::new(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_session_ends_by_itself_and_outlives_the_process() {
        let sessions = Sessions::new(SessionSettings::default(), &[]);
        let cookie = sessions.begin(&who("ana", None), Carrier::Cookie, at(0)).unwrap();
        let bearer = sessions.begin(&who("ana", None), Carrier::Bearer, at(0)).unwrap();
        assert!(bearer.secret.starts_with("hp_ses_"));
        assert!(sessions.find(&cookie.secret, Carrier::Bearer, at(1)).is_none());
        assert!(sessions.find(&bearer.secret, Carrier::Cookie, at(1)).is_none());
        assert!(sessions.find(&cookie.secret, Carrier::Cookie, at(1)).is_some());
        assert!(sessions.find(&cookie.secret, Carrier::Cookie, at(1_801)).is_none());
        assert!(sessions.find(&bearer.secret, Carrier::Bearer, at(28_799)).is_some());
        let next = Sessions::new(SessionSettings::default(), &[cookie.kept.clone(), bearer.kept]);
        assert!(next.find(&bearer.secret, Carrier::Bearer, at(28_799)).is_some());
        assert!(next.find(&bearer.secret, Carrier::Bearer, at(28_800)).is_none());
        assert!(!cookie.kept.text.contains(&cookie.secret) && !cookie.kept.name.contains(&cookie.secret));
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
                (name, sessions.begin(&who(subject, session), Carrier::Bearer, at(0)).unwrap().secret)
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
            let there = |secret: &str| sessions.find(secret, Carrier::Bearer, at(1)).is_some();
            let found: Vec<_> = all.iter().filter(|(_, secret)| there(secret)).map(|(name, _)| *name).collect();
            assert_eq!(found, left, "{subject:?} {session:?}");
        }
    }

    #[test]
    fn nobody_opens_sessions_without_end() {
        let settings = SessionSettings { per_person_max: 2, ..SessionSettings::default() };
        let sessions = Sessions::new(settings, &[]);
        let all: Vec<_> =
            (0..4).map(|second| sessions.begin(&who("ana", None), Carrier::Bearer, at(second)).unwrap()).collect();
        let there = all.iter().map(|begun| sessions.find(&begun.secret, Carrier::Bearer, at(9)).is_some());
        assert_eq!(there.collect::<Vec<_>>(), [false, false, true, true]);
        assert_eq!(all[3].ended, [SessionKey::of(&all[1].secret)]);
    }
}
