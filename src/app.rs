//! What a handler may use: the few shared handles, and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use subtle::ConstantTimeEq;
use tokio::sync::{Semaphore, watch};

use crate::auth::cookies::Cookies;
use crate::auth::last_use::LastUse;
use crate::auth::password::Passwords;
pub use crate::auth::secret::{random_secret, sha256};
use crate::auth::throttle::Throttle;
use crate::auth::token::Key;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::engine::Engines;
use crate::feed::Feed;
use crate::feed::frames::Frames;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::model::{Ids, Millis};
use crate::retention::Keeper;
use crate::search::Search;
use crate::store::Store;
use crate::supervisor::Supervisor;
use crate::usage::LastUsage;

/// How long the sign-in link of a start is good for.
pub const SIGN_IN_MS: Millis = 15 * 60 * 1000;

/// The shared handles.
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// The data directory.
    pub data: Arc<DataDir>,
    /// The tables, to read.
    pub store: Arc<Store>,
    /// The journal, to change.
    pub journal: Journal,
    /// The feed.
    pub feed: Arc<Feed>,
    /// Frames of stored events that were written lately.
    pub frames: Frames,
    /// Whoever runs executions.
    pub supervisor: Arc<Supervisor>,
    /// The engines.
    pub engines: Arc<Engines>,
    /// What tools share.
    pub tools: Arc<crate::tool::Shared>,
    /// What signs tokens.
    pub key: Key,
    /// What names cookies.
    pub cookies: Cookies,
    /// Password hashing.
    pub passwords: Passwords,
    /// What slows guessing down.
    pub throttle: Arc<Throttle>,
    /// Which uses of API keys were noted.
    pub last_use: LastUse,
    /// Told whenever a sign-in or an API key ends before its time: what is still being answered looks again.
    pub revoked: watch::Sender<()>,
    /// The sign-in link that is good now.
    pub sign_in: OneTimeCode,
    /// Where it listens; with port 0 in the settings, on the one that was free.
    pub address: SocketAddr,
    /// Where users open the console, without a slash at the end.
    pub public_url: String,
    /// The key by which the command line speaks to this process; SHA-256.
    pub control_sha256: [u8; 32],
    /// Room for streams.
    pub streams: Arc<Semaphore>,
    /// Full-text search.
    pub search: Arc<Search>,
    /// Who removes what is old.
    pub keeper: Arc<Keeper>,
    /// What uses the disk.
    pub usage: LastUsage,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where new ids come from.
    pub ids: Ids,
    /// The clock.
    pub clock: fn() -> Millis,
}

impl App {
    /// Now.
    pub fn now(&self) -> Millis {
        (self.clock)()
    }

    /// What issues this instance's tokens.
    pub fn issuer(&self) -> String {
        self.data.instance().id.to_string()
    }

    /// Whether this is a copy that waits for its confirmation.
    pub fn is_held(&self) -> bool {
        self.supervisor.is_held()
    }

    /// The absolute path of an execution's log.
    pub fn log_path(&self, relative: &str) -> PathBuf {
        self.data.root().join(relative)
    }
}

/// Unix time in milliseconds.
pub fn system_clock() -> Millis {
    let age = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

/// A code that is good once, for a while.
pub struct OneTimeCode(Mutex<Option<([u8; 32], Millis)>>);

impl OneTimeCode {
    /// `code` is good until `expires_at`.
    pub fn new(code: &str, expires_at: Millis) -> Self {
        Self(Mutex::new(Some((sha256(code), expires_at))))
    }

    /// Another code takes its place.
    pub fn renew(&self, code: &str, expires_at: Millis) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((sha256(code), expires_at));
    }

    /// Uses it up, if this is it and its time is not over.
    pub fn redeem(&self, code: &str, now: Millis) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_right = kept.as_ref().is_some_and(|(hash, expires_at)| {
            bool::from(hash.ct_eq(&sha256(code))) && now < *expires_at
        });
        if is_right {
            *kept = None;
        }
        is_right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_for_a_while() {
        let code = OneTimeCode::new("secret", 1000);
        assert!(!code.redeem("guess", 0));
        assert!(!code.redeem("secret", 1000));
        assert!(code.redeem("secret", 999));
        assert!(!code.redeem("secret", 999));
    }
}
