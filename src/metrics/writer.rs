//! What the journal's writer counts.

use std::time::Duration;

use super::text::Text;
use super::{Counter, Histogram};

static COMMANDS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024];
/// Upper bounds in microseconds, from memory to a disk that is in trouble.
static SYNC_US: [u64; 11] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000,
];

/// The batches and checkpoints of one writer.
#[derive(Debug)]
pub struct WriterMetrics {
    batch_commands: Histogram<10>,
    sync_us: Histogram<11>,
    checkpoints: Counter,
}

impl Default for WriterMetrics {
    fn default() -> Self {
        Self {
            batch_commands: Histogram::new(&COMMANDS),
            sync_us: Histogram::new(&SYNC_US),
            checkpoints: Counter::default(),
        }
    }
}

impl WriterMetrics {
    /// A batch of so many commands was appended and synced in so long.
    pub fn batch(&self, commands: usize, took: Duration) {
        self.batch_commands.observe(commands as u64);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sync_us.observe(us);
    }

    /// The tables were made durable.
    pub fn checkpoint(&self) {
        self.checkpoints.add(1);
    }

    /// Writes it.
    pub fn write(&self, text: &mut Text) {
        let name = "skep_journal_batch_commands";
        let help = "Commands that shared one sync of the journal.";
        text.family(name, "histogram", help);
        text.histogram(name, &[], self.batch_commands.read(), 1.0);
        let name = "skep_journal_sync_duration_seconds";
        let help = "Time to append a batch to the journal and sync it.";
        text.family(name, "histogram", help);
        text.histogram(name, &[], self.sync_us.read(), 1e6);
        let help = "Times the tables were made durable.";
        let checkpoints = self.checkpoints.get() as f64;
        text.counter("skep_journal_checkpoints_total", help, checkpoints);
    }
}
