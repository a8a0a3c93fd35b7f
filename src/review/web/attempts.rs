//! How often somebody may fail to sign in.
//!
//! A token has 256 random bits, so there is nothing to guess; the limit keeps the log quiet and
//! guessing loud. It counts by address: whoever sits behind the same address waits together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::Timestamp;

/// Failed attempts, by address.
#[derive(Debug, Default)]
pub(in crate::review) struct Attempts(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Timestamp,
}

impl Attempts {
    /// How long `address` (a [`Peer::network`](super::Peer)) has to wait before it may try; `None` if it may.
    pub(super) fn wait(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let table = self.0.lock();
        let shared = || (table.len() >= ADDRESSES_MAX).then(|| table.get(&SHARED)).flatten();
        let failures = *table.get(&address).or_else(shared)?;
        let left = WINDOW.checked_sub(now.since(failures.since))?;
        (failures.count >= FAILURES_MAX && !left.is_zero()).then_some(left)
    }

    /// Notes a failure.
    pub(super) fn failed(&self, address: IpAddr, now: Timestamp) {
        let mut failures = self.0.lock();
        failures.retain(|_, failures| now.since(failures.since) < WINDOW);
        // Whoever has so many addresses shares one count.
        let is_new = failures.len() >= ADDRESSES_MAX && !failures.contains_key(&address);
        let address = if is_new { SHARED } else { address };
        failures.entry(address).or_insert(Failures { count: 0, since: now }).count += 1;
    }
}

/// Failures of one address within [`WINDOW`]: a few slips of the hand.
const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Where the failures of all others are counted, once so many addresses are remembered.
const SHARED: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const ADDRESSES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_a_minute_are_enough() {
        let attempts = Attempts::default();
        let at = |seconds: i64| Timestamp::from_unix_micros(seconds * 1_000_000);
        let network = |address: &str| super::super::Peer { address: address.parse().unwrap(), tls: false }.network();
        let here = network("2001:db8::1");
        for second in 0..10 {
            assert_eq!(attempts.wait(here, at(second)), None);
            attempts.failed(here, at(second));
        }
        assert_eq!(attempts.wait(here, at(10)), Some(Duration::from_secs(50)));
        assert!(attempts.wait(network("2001:db8::2"), at(10)).is_some());
        assert_eq!(attempts.wait(network("2001:db8:0:1::1"), at(10)), None);
        assert_eq!(attempts.wait(network("::ffff:192.0.2.1"), at(10)), None);
        assert_eq!(attempts.wait(here, at(60)), None);
    }

    #[test]
    fn whoever_has_very_many_addresses_waits_too() {
        let attempts = Attempts::default();
        let now = Timestamp::from_unix_micros(0);
        let address = |number: usize| IpAddr::V4(u32::try_from(number).unwrap().into());
        for number in 1..=ADDRESSES_MAX + 10 {
            assert_eq!(attempts.wait(address(number), now), None);
            attempts.failed(address(number), now);
        }
        assert!(attempts.wait(address(ADDRESSES_MAX + 99), now).is_some());
        assert_eq!(attempts.wait(address(1), now), None, "one that is remembered has its own count");
    }
}
