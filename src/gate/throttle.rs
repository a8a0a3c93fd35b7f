//! Says the same thing once a second, however often it happens.

use parking_lot::Mutex;

use crate::model::Timestamp;

/// Lets a line through once a second.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Timestamp>,
    suppressed: u64,
}

impl Throttle {
    /// Whether to say it at `now`: if so, how often it was kept back since it was said last.
    pub(super) fn pass(&self, now: Timestamp) -> Option<u64> {
        let mut state = self.0.lock();
        // A clock that was set back begins anew.
        let silent = |last: Timestamp| (0..EVERY_MICROS).contains(&(now.unix_micros() - last.unix_micros()));
        if state.last.is_some_and(silent) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

const EVERY_MICROS: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_passes_once_a_second_and_tells_how_many_did_not() {
        let throttle = Throttle::default();
        let cases = [
            (5_000_000, Some(0)),
            (5_000_000, None),
            (5_999_999, None),
            (6_000_000, Some(2)),
            (6_500_000, None),
            (9_000_000, Some(1)),
            (8_999_999, Some(0)),
            (9_000_000, None),
        ];
        for (micros, passed) in cases {
            assert_eq!(throttle.pass(Timestamp::from_unix_micros(micros)), passed, "{micros}");
        }
    }
}
