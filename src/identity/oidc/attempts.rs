//! Sign-ins that have begun and are not over: few, for minutes, in memory.
//!
//! After a restart somebody who was on the way begins again.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::Sha256;
use crate::model::Timestamp;

use super::error::WITHIN;

/// What has to be remembered of sign-ins under way, each under a secret that only its owner knows.
#[derive(Debug)]
pub struct Attempts<T> {
    open: Mutex<HashMap<Sha256, Attempt<T>>>,
    max: usize,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Attempt<T> {
    /// When it began.
    pub begun: Timestamp,
    /// What is remembered.
    pub content: T,
}

impl<T> Attempts<T> {
    /// Room for `max`.
    pub fn new(max: usize) -> Self {
        Self { open: Mutex::new(HashMap::new()), max }
    }

    /// Remembers `content` under `secret`. Where there is no more room the oldest is forgotten: who
    /// has begun last is the likeliest to go on, and nobody can keep others out for longer than
    /// they pay for.
    pub fn remember(&self, secret: &str, content: T, now: Timestamp) {
        let mut open = self.open.lock();
        open.retain(|_, attempt| now.since(attempt.begun) < WITHIN);
        if open.len() >= self.max
            && let Some(oldest) = open.iter().min_by_key(|(_, attempt)| attempt.begun).map(|(key, _)| *key)
        {
            open.remove(&oldest);
        }
        open.insert(Sha256::of(secret.as_bytes()), Attempt { begun: now, content });
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

    /// How many there are.
    pub fn len(&self, now: Timestamp) -> usize {
        self.open.lock().values().filter(|attempt| now.since(attempt.begun) < WITHIN).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_attempt_is_good_once_and_for_minutes() {
        let now = Timestamp::from_unix_micros(1_795_238_219_000_000);
        let attempts = Attempts::new(2);
        attempts.remember("a", 1, now);
        assert_eq!(attempts.take("b", now), None);
        assert_eq!(attempts.take("a", now), Some(1));
        assert_eq!(attempts.take("a", now), None);
        attempts.remember("a", 1, now);
        assert_eq!(attempts.take("a", now.plus(WITHIN)), None);
        for (name, after) in [("a", 0), ("b", 1), ("c", 2)] {
            attempts.remember(name, after, now.plus(Duration::from_secs(after)));
        }
        assert_eq!((attempts.take("a", now), attempts.take("c", now)), (None, Some(2)));
    }
}
