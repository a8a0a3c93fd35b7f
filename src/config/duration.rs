//! Lengths of time, such as `30s` or `1h30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::text::shown;
use super::text::written_as_text;

/// A length of time: whole numbers with a unit of `ms`, `s`, `m`, `h` or `d`, such as `30s` or
/// `1h30m`. More than nothing, and at most 365 days.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^([0-9]+(ms|s|m|h|d))+$", "examples" = ["30s", "1h30m"]))]
pub struct HumanDuration(Duration); // Invariant: 1 ms to DURATION_MAX, whole milliseconds.

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// A number alone.
    #[error("`{0}` has no unit; write for example `{0}s` or `{0}ms`")]
    NoUnit(String),
    /// Something else.
    #[error(
        "`{0}` is not a length of time; write whole numbers with `ms`, `s`, `m`, `h` or `d`, such as `30s` or `1h30m`"
    )]
    Form(String),
    /// None at all, or longer than a year.
    #[error("`{0}` is out of range; a length of time is at least `1ms` and at most `365d`")]
    Range(String),
}

impl HumanDuration {
    /// So many seconds.
    ///
    /// # Panics
    /// If there are none, or more than a year has: for constants only.
    pub(super) const fn seconds(seconds: u64) -> Self {
        assert!(seconds > 0 && seconds <= DURATION_MAX.as_secs(), "a constant within the range");
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let form = || ParseDurationError::Form(shown(text));
        let range = || ParseDurationError::Range(shown(text));
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseDurationError::NoUnit(shown(text)));
        }
        let mut millis: u64 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let (number, after) = split_while(rest, |c| c.is_ascii_digit());
            let (unit, after) = split_while(after, |c| c.is_ascii_alphabetic());
            if number.is_empty() {
                return Err(form());
            }
            let number: u64 = number.parse().map_err(|_| range())?;
            let unit = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis).ok_or_else(form)?;
            millis = number.checked_mul(unit).and_then(|part| millis.checked_add(part)).ok_or_else(range)?;
            rest = after;
        }
        match Duration::from_millis(millis) {
            _ if text.is_empty() => Err(form()),
            duration if duration.is_zero() || duration > DURATION_MAX => Err(range()),
            duration => Ok(Self(duration)),
        }
    }
}

written_as_text!(HumanDuration, ParseDurationError);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        for (name, millis) in UNITS {
            if rest >= millis {
                write!(f, "{}{name}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A year. Whoever writes more means something else.
const DURATION_MAX: Duration = Duration::from_secs(365 * 86_400);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_of_time_is_numbers_with_units() {
        for (text, millis, canonical) in [
            ("30s", 30_000, "30s"),
            ("90s", 90_000, "1m30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("1500ms", 1_500, "1s500ms"),
            ("365d", 365 * 86_400_000, "365d"),
        ] {
            let duration: HumanDuration = text.parse().unwrap();
            assert_eq!((duration.get().as_millis(), duration.to_string().as_str()), (millis, canonical), "{text}");
        }
        for (text, expected) in [
            ("30", "`30` has no unit; write for example `30s` or `30ms`"),
            ("0s", "out of range"),
            ("366d", "out of range"),
            ("99999999999999999999s", "out of range"),
            ("9999999999999999d", "out of range"),
            ("", "not a length of time"),
            ("s", "not a length of time"),
            ("1 s", "not a length of time"),
            ("1.5h", "not a length of time"),
            ("-1s", "not a length of time"),
            ("1y", "not a length of time"),
            ("30S", "not a length of time"),
        ] {
            let error = text.parse::<HumanDuration>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_as_the_same(millis in 1..=365 * 86_400_000_u64) {
            let duration = HumanDuration(Duration::from_millis(millis));
            prop_assert_eq!(duration.to_string().parse::<HumanDuration>().unwrap(), duration);
        }
    }
}
