//! Counters and histograms, and their text in Prometheus' format.
//!
//! Owns how something is counted (atomics, no lock, no allocation) and how it is written. Must never know who counts:
//! layers above hold what they count with, and every label comes from a fixed set, never from a request.
//! Start reading at [`Metrics`].

mod histogram;
mod process;
mod requests;
pub mod text;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use histogram::Histogram;
pub use process::Process;
pub use requests::{RequestMetrics, Requests};
pub use writer::WriterMetrics;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted while the server runs. What has a state of its own is looked at when somebody asks.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests by route.
    pub requests: Requests,
    /// Connections that are open.
    pub connections: Arc<AtomicU64>,
    /// Executions that ended, by how: completed, failed, cancelled.
    pub ended: [Counter; 3],
}

/// Panics since the start, of the whole process: there is one hook.
pub static PANICS: AtomicU64 = AtomicU64::new(0);
