//! What the tests stand on: the real binary, and clients that show what they saw when something is not as promised.
//!
//! Owns how a server is started, spoken to and ended. Must never reach into the crate, but for the
//! contract that every answer is judged by: a test that needs more than the wire, the process and the data directory
//! belongs beside the code. Start reading at [`TestServer`] and [`User`].
#![allow(dead_code, unused_imports)]

pub mod contract;
pub mod engine;
pub mod http;
pub mod json;
pub mod model;
pub mod processes;
pub mod random;
pub mod schema;
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

/// A number that a longer run sets, such as how many kills there are; `ordinarily` is the ordinary run's.
pub fn number_from(name: &str, ordinarily: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?} and no number")),
        Err(_) => ordinarily,
    }
}

/// Resident memory of a process: now, and at most so far, bytes.
pub fn memory(pid: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("the kernel says so") * 1024
    };
    (bytes("VmRSS:"), bytes("VmHWM:"))
}

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
