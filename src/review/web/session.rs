//! Who is signed in: the sessions of reviewers' browsers.
//!
//! A browser holds a random name in a cookie; everything else is here, in memory, under the hash
//! of that name. A session is worth no more than the token that opened it: whenever it is used,
//! the token is looked up again, so that taking the token away ends the session at once. A session
//! also knows which parts of which long bodies its person was given to read.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;

use crate::identity::KnownToken;
use crate::model::ApprovalId;
use crate::model::Sha256;
use crate::model::Timestamp;

/// How long sessions last, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// After how long without a page that its person has asked for a session ends.
    pub idle_max: Duration,
    /// After how long it ends in any case.
    pub age_max: Duration,
    /// Sessions of one person: a few browsers. One more ends the one that was used least lately.
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

/// Names a session to us; its cookie cannot be made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::review) struct SessionKey(Sha256);

#[derive(Debug)]
struct Session {
    token: KnownToken,
    csrf: String,
    began: Timestamp,
    used: Timestamp,
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
    pub(in crate::review) token: KnownToken,
    /// Stands in every form of this session, and in no other.
    pub(in crate::review) csrf: String,
}

/// Whether somebody has asked for this themselves, or their browser has on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::review) enum By {
    Person,
    Script,
}

impl Sessions {
    pub(in crate::review) fn new(settings: SessionSettings) -> Self {
        Self { open: Mutex::default(), settings }
    }

    /// Begins a session; answers with what its cookie has to hold. `None` if the system gives no
    /// random numbers.
    pub(in crate::review) fn begin(&self, token: KnownToken, now: Timestamp) -> Option<String> {
        let (cookie, csrf) = (random()?, random()?);
        let session = Session { token, csrf, began: now, used: now, looked_at: HashMap::new() };
        let mut open = self.open.lock();
        open.retain(|_, session| self.is_alive(session, now));
        let person = session.token.person().clone();
        let own = |session: &Session| *session.token.person() == person;
        if open.values().filter(|session| own(session)).count() >= self.settings.per_person_max {
            end_oldest(&mut open, own);
        } else if open.len() >= self.settings.sessions_max {
            end_oldest(&mut open, |_| true);
        }
        open.insert(key(&cookie), session);
        Some(cookie)
    }

    /// The session whose cookie this is, if it has not ended by itself. Whether its token is still
    /// good is for the caller to ask.
    pub(in crate::review) fn find(&self, cookie: &str, by: By, now: Timestamp) -> Option<Known> {
        let key = key(cookie);
        self.with(key, now, |session| {
            if by == By::Person {
                session.used = session.used.max(now);
            }
            Known { key, token: session.token.clone(), csrf: session.csrf.clone() }
        })
    }

    /// The token behind a session that has not ended.
    pub(in crate::review) fn token(&self, key: SessionKey, now: Timestamp) -> Option<KnownToken> {
        self.with(key, now, |session| session.token.clone())
    }

    /// Ends a session.
    pub(in crate::review) fn end(&self, key: SessionKey) {
        self.open.lock().remove(&key);
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

    fn is_alive(&self, session: &Session, now: Timestamp) -> bool {
        now.since(session.used) < self.settings.idle_max && now.since(session.began) < self.settings.age_max
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

fn end_oldest(open: &mut HashMap<SessionKey, Session>, among: impl Fn(&Session) -> bool) {
    let oldest = open.iter().filter(|(_, session)| among(session)).min_by_key(|(_, session)| session.used);
    if let Some(key) = oldest.map(|(key, _)| *key) {
        open.remove(&key);
    }
}

fn key(cookie: &str) -> SessionKey {
    SessionKey(Sha256::of(cookie.as_bytes()))
}

/// 256 bits that nobody can guess.
fn random() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

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

    fn token(name: &str) -> KnownToken {
        let now = Timestamp::from_unix_micros(0);
        let holder = KeyHolder::Reviewer(format!("{name}@example.com").parse().unwrap());
        let made = generate(holder, None, now, None).unwrap();
        let tokens = ReviewerTokens::new(vec![made.record]).unwrap();
        tokens.sign_in(made.secret.expose_secret(), now).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_in_any_case_after_a_day_s_work() {
        let sessions = Sessions::new(SessionSettings::default());
        let cookie = sessions.begin(token("bo"), at(0)).unwrap();
        assert!(sessions.find(&cookie, By::Person, at(1_799)).is_some());
        // What the browser does on its own keeps nothing open.
        assert!(sessions.find(&cookie, By::Script, at(3_500)).is_some());
        assert!(sessions.find(&cookie, By::Script, at(3_599)).is_none());
        let cookie = sessions.begin(token("bo"), at(0)).unwrap();
        for minutes in 0..479 {
            assert!(sessions.find(&cookie, By::Person, at(minutes * 60)).is_some(), "after {minutes} min");
        }
        assert!(sessions.find(&cookie, By::Person, at(8 * 3_600)).is_none());
    }

    #[test]
    fn nobody_opens_sessions_without_end() {
        let settings = SessionSettings { per_person_max: 2, sessions_max: 3, ..SessionSettings::default() };
        let sessions = Sessions::new(settings);
        let (bo, cy, dee) = (token("bo"), token("cy"), token("dee"));
        let first = sessions.begin(bo.clone(), at(0)).unwrap();
        let second = sessions.begin(bo.clone(), at(1)).unwrap();
        sessions.find(&first, By::Person, at(2));
        let third = sessions.begin(bo, at(3)).unwrap();
        let there = |cookie: &str| sessions.find(cookie, By::Script, at(9)).is_some();
        assert_eq!((there(&first), there(&second), there(&third)), (true, false, true));
        let fourth = sessions.begin(cy, at(4)).unwrap();
        let fifth = sessions.begin(dee, at(5)).unwrap();
        assert_eq!((there(&first), there(&third), there(&fourth), there(&fifth)), (false, true, true, true));
    }

    #[test]
    fn a_cookie_is_nothing_but_its_own_session() {
        let sessions = Sessions::new(SessionSettings::default());
        let (one, two) = (sessions.begin(token("bo"), at(0)).unwrap(), sessions.begin(token("bo"), at(0)).unwrap());
        let (first, second) =
            (sessions.find(&one, By::Person, at(1)).unwrap(), sessions.find(&two, By::Person, at(1)).unwrap());
        assert!(first.made(&first.csrf) && !first.made(&second.csrf) && !first.made(""));
        assert!(sessions.find("", By::Person, at(1)).is_none());
        sessions.end(first.key);
        assert!(sessions.find(&one, By::Person, at(1)).is_none());
        assert!(sessions.find(&two, By::Person, at(1)).is_some());
    }
}
