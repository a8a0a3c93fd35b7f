//! Points in time on a page: how long ago or until, with the exact time beside it.

use std::time::Duration;

use crate::model::Timestamp;

/// A point in time as a page shows it. A script may count on from it; without one the page says
/// what was true when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// RFC 3339, for machines.
    pub(super) iso: String,
    /// Such as `24 Nov 2026, 13:59:49 UTC`.
    pub(super) exact: String,
    /// Such as `in 29 min` or `3 min ago`.
    pub(super) words: String,
}

impl Moment {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let words = if at > now { format!("in {}", long(at.since(now))) } else { ago(now.since(at)) };
        let exact = jiff::Timestamp::from_microsecond(at.unix_micros());
        let exact = exact.map_or_else(|_| at.to_string(), |time| time.strftime("%-d %b %Y, %H:%M:%S UTC").to_string());
        Self { iso: at.to_string(), exact, words }
    }
}

fn ago(duration: Duration) -> String {
    if duration < Duration::from_secs(1) { "just now".to_owned() } else { format!("{} ago", long(duration)) }
}

/// A duration in the one unit that says enough.
pub(super) fn long(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_said_in_words_and_exactly() {
        let now = Timestamp::from_unix_micros(1_795_238_219_000_000);
        let later = |seconds: i64| Timestamp::from_unix_micros(now.unix_micros() + seconds * 1_000_000);
        let cases = [
            (0, "just now"),
            (-59, "59 s ago"),
            (-3_700, "61 min ago"),
            (-90_000, "25 h ago"),
            (-864_000, "10 days ago"),
            (30, "in 30 s"),
            (1_799, "in 29 min"),
        ];
        for (seconds, words) in cases {
            assert_eq!(Moment::new(later(seconds), now).words, words);
        }
        assert_eq!(Moment::new(now, now).exact, "21 Nov 2026, 05:16:59 UTC");
    }
}
