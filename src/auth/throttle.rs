//! How often a password may be guessed.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failed logins within the window after which no more are looked at.
pub const FAILURES_MAX: usize = 5;
/// The window.
pub const WINDOW_MS: u64 = 60_000;
/// Pairs of address and account that are remembered.
const PAIRS_MAX: usize = 10_000;

/// Failed logins of the last minute, for each pair of address and account. Times are milliseconds of any one clock.
pub struct Throttle {
    pairs_max: usize,
    failures: Mutex<HashMap<(IpAddr, String), VecDeque<u64>>>,
}

impl Throttle {
    /// Nobody has failed yet.
    pub fn new() -> Throttle {
        Throttle {
            pairs_max: PAIRS_MAX,
            failures: Mutex::default(),
        }
    }

    /// Whether this pair may try now; else in how many seconds.
    pub fn check(&self, address: IpAddr, account: &str, now_ms: u64) -> Result<(), u64> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (network(address), account.to_lowercase());
        let Some(times) = failures.get_mut(&key) else {
            if failures.len() >= self.pairs_max {
                failures.retain(|_, times| !times.back().is_none_or(|last| is_over(*last, now_ms)));
            }
            return match failures.len() < self.pairs_max {
                true => Ok(()),
                // Somebody tries thousands of pairs within a minute: new ones wait.
                false => Err(WINDOW_MS / 1000),
            };
        };
        while times.front().is_some_and(|first| is_over(*first, now_ms)) {
            times.pop_front();
        }
        match times.front() {
            Some(first) if times.len() >= FAILURES_MAX => {
                Err((first + WINDOW_MS - now_ms).div_ceil(1000))
            }
            _ => Ok(()),
        }
    }

    /// The password was wrong.
    pub fn failed(&self, address: IpAddr, account: &str, now_ms: u64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (network(address), account.to_lowercase());
        if failures.len() < self.pairs_max || failures.contains_key(&key) {
            let times = failures.entry(key).or_default();
            times.push_back(now_ms);
            if times.len() > FAILURES_MAX {
                times.pop_front();
            }
        }
    }

    /// The password was right: this pair starts anew.
    pub fn succeeded(&self, address: IpAddr, account: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&(network(address), account.to_lowercase()));
    }
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle::new()
    }
}

fn is_over(failed_ms: u64, now_ms: u64) -> bool {
    failed_ms + WINDOW_MS <= now_ms
}

/// Who counts as one address: in IPv6 a customer has at least a /64 to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6((u128::from(address) >> 64 << 64).into())
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(throttle: &Throttle, address: &str, account: &str, now_ms: u64) -> Result<(), u64> {
        throttle.check(ip(address), account, now_ms)?;
        throttle.failed(ip(address), account, now_ms);
        Ok(())
    }

    #[test]
    fn the_sixth_failure_within_a_minute_waits_until_the_first_is_a_minute_old() {
        let throttle = Throttle::new();
        let a = "10.0.0.1";
        for second in 0..5 {
            assert_eq!(fail(&throttle, a, "admin", second * 1000), Ok(()));
        }
        assert_eq!(fail(&throttle, a, "admin", 5000), Err(55));
        assert_eq!(fail(&throttle, a, "ADMIN", 59_999), Err(1));
        assert_eq!(fail(&throttle, a, "admin", 60_000), Ok(()));
        assert_eq!(fail(&throttle, a, "admin", 60_000), Err(1));
        assert_eq!(fail(&throttle, a, "other", 60_000), Ok(()));
        assert_eq!(fail(&throttle, "10.0.0.2", "admin", 60_000), Ok(()));
    }

    #[test]
    fn success_starts_anew() {
        let throttle = Throttle::new();
        for _ in 0..4 {
            fail(&throttle, "10.0.0.1", "admin", 0).unwrap();
        }
        throttle.succeeded(ip("10.0.0.1"), "admin");
        for _ in 0..5 {
            fail(&throttle, "10.0.0.1", "admin", 0).unwrap();
        }
        assert_eq!(fail(&throttle, "10.0.0.1", "admin", 0), Err(60));
    }

    #[test]
    fn one_customers_ipv6_addresses_are_one() {
        let throttle = Throttle::new();
        for host in 0..5 {
            fail(&throttle, &format!("2001:db8:1:2::{host}"), "admin", 0).unwrap();
        }
        assert!(fail(&throttle, "2001:db8:1:2:f::", "admin", 0).is_err());
        assert!(fail(&throttle, "2001:db8:1:3::", "admin", 0).is_ok());
        assert!(fail(&throttle, "::ffff:10.0.0.1", "admin", 0).is_ok());
    }

    /// Memory stays bounded, and what is old makes room.
    #[test]
    fn pairs_are_bounded() {
        let throttle = Throttle {
            pairs_max: 3,
            ..Throttle::new()
        };
        for name in ["a", "b", "c"] {
            fail(&throttle, "10.0.0.1", name, 0).unwrap();
        }
        assert_eq!(fail(&throttle, "10.0.0.1", "d", 59_999), Err(60));
        assert_eq!(fail(&throttle, "10.0.0.1", "a", 59_999), Ok(()));
        assert_eq!(fail(&throttle, "10.0.0.1", "d", 60_000), Ok(()));
        assert_eq!(throttle.failures.lock().unwrap().len(), 2);
    }
}
