//! Identifiers: a prefix that says what it names, and a UUID version 7 (RFC 9562 §5.7).

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use super::time::Timestamp;

/// A text that is not an identifier of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not an id of the form `{prefix}` followed by 32 lower-case hex digits")]
pub struct ParseIdError {
    given: String,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// Draws a new id for something that begins at `now`.
            pub fn new(source: &IdSource, now: Timestamp) -> Self {
                Self(source.next(now))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.as_simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix($prefix)
                    .filter(|hex| hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| ParseIdError { given: text.chars().take(80).collect(), prefix: $prefix })
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }
    };
}

id!(
    /// Names one call: one HTTP request, one query.
    CallId, "call_"
);
id!(
    /// Names one answer of the policy, as in OPA's decision log.
    DecisionId, "dec_"
);
id!(
    /// Names one approval.
    ApprovalId, "apr_"
);
id!(
    /// Names one event of the audit log.
    EventId, "evt_"
);

/// Where ids come from: unique in a process by a counter, across processes by a random seed.
///
/// Ids are names and not secrets; nothing is protected by an id being hard to guess. A counter
/// spares the data plane a system call for each id.
#[derive(Debug)]
pub struct IdSource {
    seed: [u8; 10],
    count: AtomicU64,
}

impl IdSource {
    /// A source with `seed` from the system's random numbers.
    pub fn new(seed: [u8; 10]) -> Self {
        Self { seed, count: AtomicU64::new(0) }
    }

    fn next(&self, now: Timestamp) -> Uuid {
        // The counter is mixed, not hidden: an odd multiplier permutes the 64-bit numbers, so
        // two ids of one process never meet, and the seed sets processes apart.
        let count = self.count.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut random = self.seed;
        // The two top bytes keep the seed; UUIDv7 overwrites six of their bits.
        for (byte, mixed) in random.iter_mut().skip(2).zip(count.to_be_bytes()) {
            *byte ^= mixed;
        }
        uuid::Builder::from_unix_timestamp_millis(now.unix_millis(), &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_source_never_meet() {
        let source = IdSource::new([7; 10]);
        let now = Timestamp::from_unix_micros(1_764_000_000_000_000);
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| CallId::new(&source, now)).collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn an_id_is_read_back_as_it_was_printed() {
        let id = ApprovalId::new(&IdSource::new([1; 10]), Timestamp::from_unix_micros(0));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn only_the_printed_form_is_an_id() {
        for text in
            ["", "apr_", "apr_zz", "call_00000000000070000000000000000000", "apr_0000000000007000000000000000000G"]
        {
            assert!(text.parse::<ApprovalId>().is_err(), "{text}");
        }
    }
}
