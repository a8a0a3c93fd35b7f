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
    /// How long `address` has to wait before it may try; `None` if it may.
    pub(super) fn wait(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let failures = *self.0.lock().get(&network(address))?;
        let left = WINDOW.checked_sub(now.since(failures.since))?;
        (failures.count >= FAILURES_MAX && !left.is_zero()).then_some(left)
    }

    /// Notes a failure.
    pub(super) fn failed(&self, address: IpAddr, now: Timestamp) {
        let mut failures = self.0.lock();
        failures.retain(|_, failures| now.since(failures.since) < WINDOW);
        let address = network(address);
        // Whoever has so many addresses shares one count.
        let address = if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&address) {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        } else {
            address
        };
        failures.entry(address).or_insert(Failures { count: 0, since: now }).count += 1;
    }
}

/// One customer of a provider has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

/// Failures of one address within [`WINDOW`]: a few slips of the hand.
const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_a_minute_are_enough() {
        let attempts = Attempts::default();
        let at = |seconds: i64| Timestamp::from_unix_micros(seconds * 1_000_000);
        let here: IpAddr = "2001:db8::1".parse().unwrap();
        for second in 0..10 {
            assert_eq!(attempts.wait(here, at(second)), None);
            attempts.failed(here, at(second));
        }
        assert_eq!(attempts.wait(here, at(10)), Some(Duration::from_secs(50)));
        assert!(attempts.wait("2001:db8::2".parse().unwrap(), at(10)).is_some());
        assert_eq!(attempts.wait("2001:db8:0:1::1".parse().unwrap(), at(10)), None);
        assert_eq!(attempts.wait("::ffff:192.0.2.1".parse().unwrap(), at(10)), None);
        assert_eq!(attempts.wait(here, at(60)), None);
    }
}
