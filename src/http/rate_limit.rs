//! How often somebody may ask: a token bucket for each address and each user, by family of routes.
//!
//! A bucket is the moment at which it is full again (the generic cell rate algorithm), so one number is all that is kept,
//! and a bucket that is full need not be kept at all: that is how the map stays small.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;

use super::error::ApiError;

/// The window that quotas are told in.
const WINDOW_S: u64 = 60;
/// Buckets that are kept, of addresses and of users each. What does not fit shares one bucket for each family.
pub const BUCKETS_MAX: usize = 16_384;
/// How often buckets that are full again are looked for, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The family of routes that are never limited.
pub const UNLIMITED: &str = "unlimited";

/// How many requests a family's bucket gets back in a minute, and how many it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests a minute, at least 1.
    pub per_minute: u32,
    /// Requests at once, at least 1.
    pub burst: u32,
}

impl Quota {
    fn per_request(self) -> Duration {
        Duration::from_secs(WINDOW_S) / self.per_minute.max(1)
    }
}

/// The limits of all families, and every bucket that is not full.
pub struct RateLimits {
    families: Vec<Family>,
    addresses: Buckets<IpAddr>,
    users: Buckets<u128>,
    began: Instant,
}

struct Family {
    name: &'static str,
    quota: Quota,
    policy: HeaderValue,
}

/// What a bucket says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    remaining: u32,
    full_in: Duration,
    /// How long to wait, when it was empty.
    wait: Option<Duration>,
}

/// What is told of the limits on one answer: the tighter one of its address and its user.
pub(super) struct Meter {
    family: usize,
    level: Option<Level>,
}

impl RateLimits {
    /// The families that are limited; any other name is not.
    pub fn new(families: impl IntoIterator<Item = (&'static str, Quota)>) -> RateLimits {
        RateLimits::bounded(families, BUCKETS_MAX)
    }

    fn bounded(
        families: impl IntoIterator<Item = (&'static str, Quota)>,
        buckets_max: usize,
    ) -> RateLimits {
        let families = families.into_iter().map(|(name, quota)| Family {
            name,
            quota,
            policy: policy(name, quota),
        });
        RateLimits {
            families: families.collect(),
            addresses: Buckets::new(buckets_max),
            users: Buckets::new(buckets_max),
            began: Instant::now(),
        }
    }

    /// What a request to a route of this family is measured by, if it is.
    pub(super) fn meter(&self, family: &str) -> Option<Meter> {
        let family = self
            .families
            .iter()
            .position(|known| known.name == family)?;
        Some(Meter {
            family,
            level: None,
        })
    }

    /// Counts a request of an address.
    pub(super) fn count_address(&self, meter: &mut Meter, address: IpAddr) -> Result<(), ApiError> {
        self.count(meter, &self.addresses, network(address))
    }

    /// Counts a request of a user.
    pub(super) fn count_user(&self, meter: &mut Meter, user: u128) -> Result<(), ApiError> {
        self.count(meter, &self.users, user)
    }

    fn count<K: Hash + Eq>(
        &self,
        meter: &mut Meter,
        buckets: &Buckets<K>,
        key: K,
    ) -> Result<(), ApiError> {
        let family = &self.families[meter.family];
        let level = buckets.take(meter.family, key, family.quota, self.began.elapsed());
        let is_tighter = meter
            .level
            .is_none_or(|before| level.wait.is_some() || level.remaining < before.remaining);
        if is_tighter {
            meter.level = Some(level);
        }
        let Some(wait) = level.wait else {
            return Ok(());
        };
        let message = format!(
            "Too many requests: {} a minute are allowed here",
            family.quota.per_minute
        );
        Err(
            ApiError::rate_limited(message, whole_seconds(wait).max(1)).details(json!({
                "family": family.name,
                "limit": family.quota.per_minute,
                "windowSeconds": WINDOW_S,
            })),
        )
    }

    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
    pub(super) fn headers(&self, meter: &Meter) -> Vec<(HeaderName, HeaderValue)> {
        let family = &self.families[meter.family];
        let mut said = vec![(
            HeaderName::from_static("ratelimit-policy"),
            family.policy.clone(),
        )];
        if let Some(level) = meter.level {
            let (remaining, full_in_s) = (level.remaining, whole_seconds(level.full_in));
            let text = format!("\"{}\";r={remaining};t={full_in_s}", family.name);
            if let Ok(value) = HeaderValue::try_from(text) {
                said.push((HeaderName::from_static("ratelimit"), value));
            }
        }
        said
    }
}

/// The quota is what comes back in a window; how much is there at once is a parameter of ours, as the draft allows.
fn policy(name: &str, quota: Quota) -> HeaderValue {
    let text = format!(
        "\"{name}\";q={};w={WINDOW_S};skep-burst={}",
        quota.per_minute, quota.burst
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
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

/// When each bucket is full again. `None` is the bucket of those for whom there was no room.
struct Buckets<K> {
    buckets_max: usize,
    kept: Mutex<Kept<K>>,
}

struct Kept<K> {
    full_at: HashMap<(usize, Option<K>), Duration>,
    swept_at: Option<Duration>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(buckets_max: usize) -> Buckets<K> {
        let kept = Kept {
            full_at: HashMap::new(),
            swept_at: None,
        };
        Buckets {
            buckets_max,
            kept: Mutex::new(kept),
        }
    }

    fn take(&self, family: usize, key: K, quota: Quota, now: Duration) -> Level {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (family, Some(key));
        if kept.full_at.len() >= self.buckets_max && !kept.full_at.contains_key(&key) {
            if kept.swept_at.is_none_or(|at| at + SWEEP_INTERVAL <= now) {
                kept.swept_at = Some(now);
                kept.full_at.retain(|_, full_at| *full_at > now);
            }
            if kept.full_at.len() >= self.buckets_max {
                key.1 = None;
            }
        }
        let cost = quota.per_request();
        let capacity = cost * quota.burst;
        let full_at = kept.full_at.get(&key).map_or(now, |at| *at).max(now);
        let after = full_at + cost;
        let is_empty = after > now + capacity;
        if !is_empty {
            kept.full_at.insert(key, after);
        }
        let full_in = if is_empty { full_at } else { after } - now;
        let remaining = (capacity.saturating_sub(full_in)).as_nanos() / cost.as_nanos().max(1);
        Level {
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            full_in,
            wait: is_empty.then(|| after - (now + capacity)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const QUOTA: Quota = Quota {
        per_minute: 60,
        burst: 3,
    };

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let buckets = Buckets::new(10);
        let take = |ms| {
            let level = buckets.take(0, 1, QUOTA, at(ms));
            (level.remaining, level.full_in, level.wait)
        };
        assert_eq!(take(0), (2, at(1000), None));
        assert_eq!(take(0), (1, at(2000), None));
        assert_eq!(take(0), (0, at(3000), None));
        assert_eq!(take(0), (0, at(3000), Some(at(1000))));
        assert_eq!(take(999), (0, at(2001), Some(at(1))));
        assert_eq!(take(1000), (0, at(3000), None));
        assert_eq!(take(1000), (0, at(3000), Some(at(1000))));
        assert_eq!(take(60_000), (2, at(1000), None));
    }

    #[test]
    fn families_and_keys_have_their_own_buckets() {
        let buckets = Buckets::new(10);
        for _ in 0..3 {
            assert!(buckets.take(0, 1, QUOTA, at(0)).wait.is_none());
        }
        assert!(buckets.take(0, 1, QUOTA, at(0)).wait.is_some());
        assert!(buckets.take(1, 1, QUOTA, at(0)).wait.is_none());
        assert!(buckets.take(0, 2, QUOTA, at(0)).wait.is_none());
    }

    /// Thousands of addresses do not grow the map, and do not lock out those who were there before.
    #[test]
    fn buckets_are_bounded_and_what_does_not_fit_shares_one() {
        let buckets = Buckets::new(3);
        for key in 0..3 {
            assert!(buckets.take(0, key, QUOTA, at(0)).wait.is_none());
        }
        // The fourth and all after it share a bucket of three.
        for key in 3..6 {
            assert!(buckets.take(0, key, QUOTA, at(0)).wait.is_none());
        }
        for key in 6..1000 {
            assert!(buckets.take(0, key, QUOTA, at(0)).wait.is_some());
        }
        assert!(buckets.take(0, 0, QUOTA, at(0)).wait.is_none());
        assert_eq!(buckets.kept.lock().unwrap().full_at.len(), 4);
        // What is full again makes room.
        assert_eq!(buckets.take(0, 7, QUOTA, at(5000)).remaining, 2);
        assert_eq!(buckets.kept.lock().unwrap().full_at.len(), 1);
    }

    #[test]
    fn both_the_address_and_the_user_have_to_have_room() {
        let limits = RateLimits::bounded([("chat", QUOTA)], 10);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let ask = |address: &str, user| {
            let mut meter = limits.meter("chat").unwrap();
            limits.count_address(&mut meter, ip(address))?;
            limits.count_user(&mut meter, user)
        };
        for n in 0..3 {
            ask(&format!("192.0.2.{n}"), 1).unwrap();
        }
        // One user from many addresses; then many users from one.
        assert!(ask("192.0.2.9", 1).is_err());
        for user in 2..5 {
            ask("198.51.100.1", user).unwrap();
        }
        assert!(ask("198.51.100.1", 9).is_err());
        // One customer's IPv6 addresses are one.
        for host in 0..3 {
            ask(&format!("2001:db8:1:2::{host}"), 20 + host).unwrap();
        }
        assert!(ask("2001:db8:1:2:ffff::1", 30).is_err());
        ask("2001:db8:1:3::1", 31).unwrap();
        assert!(limits.meter("default").is_none());
    }

    #[test]
    fn an_answer_tells_the_tighter_of_both() {
        let limits = RateLimits::bounded([("chat", QUOTA)], 10);
        let said = |address: &str, user| {
            let mut meter = limits.meter("chat").unwrap();
            let _ = limits.count_address(&mut meter, address.parse().unwrap());
            let _ = limits.count_user(&mut meter, user);
            let headers = limits.headers(&meter);
            let [policy, now] = headers.as_slice() else {
                panic!("{headers:?}")
            };
            assert_eq!(policy.0, "ratelimit-policy");
            assert_eq!(policy.1, "\"chat\";q=60;w=60;skep-burst=3");
            assert_eq!(now.0, "ratelimit");
            now.1.to_str().unwrap().to_owned()
        };
        assert_eq!(said("192.0.2.1", 1), "\"chat\";r=2;t=1");
        assert_eq!(said("192.0.2.2", 1), "\"chat\";r=1;t=2");
        assert_eq!(said("192.0.2.1", 2), "\"chat\";r=1;t=2");
    }
}
