//! Sign-ins that have begun and are not over: few, for minutes, in memory.
//!
//! After a restart somebody who was on the way begins again.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::model::Sha256;
use crate::model::Timestamp;

use super::error::WITHIN;

/// What has to be remembered of sign-ins under way, each under a secret that only its owner knows.
#[derive(Debug)]
pub struct Attempts<T> {
    open: Mutex<HashMap<Sha256, Attempt<T>>>,
    max: usize,
    per_origin_max: usize,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Attempt<T> {
    /// When it began.
    pub begun: Timestamp,
    /// Where from.
    pub origin: IpAddr,
    /// What is remembered.
    pub content: T,
}

impl<T> Attempts<T> {
    /// Room for `max`, and for `per_origin_max` from one place.
    pub fn new(max: usize, per_origin_max: usize) -> Self {
        Self { open: Mutex::new(HashMap::new()), max, per_origin_max }
    }

    /// Remembers `content`, which comes from `origin`, under `secret`. Where there is no more room the
    /// oldest from there is forgotten, else the oldest of all: who has begun last is the likeliest to
    /// go on, and nobody can keep others out for longer than they pay for.
    pub fn remember(&self, secret: &str, origin: IpAddr, content: T, now: Timestamp) {
        let mut open = self.open.lock();
        open.retain(|_, attempt| now.since(attempt.begun) < WITHIN);
        let theirs = open.values().filter(|attempt| attempt.origin == origin).count();
        let is_theirs = theirs >= self.per_origin_max;
        if is_theirs || open.len() >= self.max {
            let among = open.iter().filter(|(_, attempt)| !is_theirs || attempt.origin == origin);
            if let Some(oldest) = among.min_by_key(|(_, attempt)| attempt.begun).map(|(key, _)| *key) {
                open.remove(&oldest);
            }
        }
        open.insert(Sha256::of(secret.as_bytes()), Attempt { begun: now, origin, content });
    }

    /// What was remembered under `secret`, once.
    pub fn take(&self, secret: &str, now: Timestamp) -> Option<T> {
        let attempt = self.open.lock().remove(&Sha256::of(secret.as_bytes()))?;
        (now.since(attempt.begun) < WITHIN).then_some(attempt.content)
    }

    /// Looks at what was remembered under `secret`, which stays.
    pub fn look<R>(&self, secret: &str, now: Timestamp, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut open = self.open.lock();
        let attempt = open.get_mut(&Sha256::of(secret.as_bytes()))?;
        (now.since(attempt.begun) < WITHIN).then(|| look(&mut attempt.content))
    }

    /// Whether one more from `origin` would be one too many. Whoever has their share there already may
    /// begin anew: their oldest gives way.
    pub fn is_full_for(&self, origin: IpAddr, now: Timestamp) -> bool {
        let open = self.open.lock();
        let good: Vec<_> = open.values().filter(|attempt| now.since(attempt.begun) < WITHIN).collect();
        let theirs = good.iter().filter(|attempt| attempt.origin == origin).count();
        good.len() >= self.max && theirs < self.per_origin_max
    }

    /// Forgets all whose content is `over`.
    pub fn forget(&self, over: impl Fn(&T) -> bool) {
        self.open.lock().retain(|_, attempt| !over(&attempt.content));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_attempt_is_good_once_and_for_minutes() {
        let now = Timestamp::from_unix_micros(1_795_238_219_000_000);
        let attempts = Attempts::new(2, 2);
        let here = IpAddr::from([192, 0, 2, 1]);
        attempts.remember("a", here, 1, now);
        assert_eq!(attempts.take("b", now), None);
        assert_eq!(attempts.take("a", now), Some(1));
        assert_eq!(attempts.take("a", now), None);
        attempts.remember("a", here, 1, now);
        assert_eq!(attempts.take("a", now.plus(WITHIN)), None);
        for (name, after) in [("a", 0), ("b", 1), ("c", 2)] {
            attempts.remember(name, here, after, now.plus(Duration::from_secs(after)));
        }
        assert_eq!((attempts.take("a", now), attempts.take("c", now)), (None, Some(2)));
    }

    #[test]
    fn whoever_begins_many_pushes_out_their_own() {
        let now = Timestamp::from_unix_micros(1_795_238_219_000_000);
        let [one, two, three] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let attempts = Attempts::new(3, 2);
        attempts.remember("other", two, 0, now);
        for (name, after) in [("a", 1), ("b", 2), ("c", 3)] {
            attempts.remember(name, one, after, now.plus(Duration::from_secs(after)));
        }
        let found = ["other", "a", "b", "c"].map(|name| attempts.look(name, now, |content| *content));
        assert_eq!(found, [Some(0), None, Some(2), Some(3)]);
        let full = [one, two, three].map(|origin| attempts.is_full_for(origin, now));
        assert_eq!(full, [false, true, true], "there is no room, but for one's own in the place of one's own");
        attempts.forget(|content| *content == 2);
        assert_eq!(attempts.look("b", now, |content| *content), None);
        assert!(!attempts.is_full_for(three, now));
    }
}
