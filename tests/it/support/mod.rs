//! What the tests stand on: the real binary, and clients that show what they saw when something is not as promised.
//!
//! Owns how a server is started, spoken to and ended. Must never reach into the crate: a test that needs more than the
//! wire, the process and the data directory belongs beside the code. Start reading at [`TestServer`] and [`User`].
#![allow(dead_code, unused_imports)]

pub mod engine;
pub mod http;
pub mod json;
pub mod processes;
pub mod server;
pub mod sse;
pub mod token;
pub mod user;

use std::time::Duration;

pub use http::{Answer, Method};
pub use json::masked;
pub use server::{Setup, TestServer};
pub use sse::{Event, EventStream};
pub use user::{Reply, User};

/// Far above what anything here takes, also on a slow machine with other work; a test that gets there has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that has no event to wait for, such as the end of a process that is nobody's child.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
