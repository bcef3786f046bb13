//! How far a long copy is, on standard error, for people only.

use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

/// How often the line is written anew.
const INTERVAL: Duration = Duration::from_millis(200);

/// A line that says how much is done; nothing at all when standard error is no terminal.
pub struct Progress {
    what: &'static str,
    total: Option<u64>,
    done: u64,
    began: Instant,
    shown: Instant,
}

impl Progress {
    /// Begins at nothing. `total` is asked only when somebody watches.
    pub fn begin(what: &'static str, total: impl FnOnce() -> u64) -> Self {
        let now = Instant::now();
        Self {
            what,
            total: io::stderr().is_terminal().then(total),
            done: 0,
            began: now,
            shown: now,
        }
    }

    /// A reader whose bytes count.
    pub fn watch<'a>(&'a mut self, content: &'a mut dyn Read) -> Watched<'a> {
        Watched {
            progress: self,
            content,
        }
    }

    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if let Some(total) = self.total
            && self.shown.elapsed() >= INTERVAL
        {
            self.shown = Instant::now();
            let line = line(self.what, self.done, total, self.began.elapsed());
            let _ = write!(io::stderr(), "\r{line}\x1b[K");
        }
    }

    /// Removes the line.
    pub fn end(&self) {
        if self.total.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, total: u64, elapsed: Duration) -> String {
    // What grows meanwhile may exceed the estimate.
    let percent = (u128::from(done) * 100 / u128::from(total.max(done).max(1))).min(100);
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    format!(
        "{what}: {} of {}, {percent} %, {}/s",
        size(done),
        size(total.max(done)),
        size(rate as u64)
    )
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Counts what is read.
pub struct Watched<'a> {
    progress: &'a mut Progress,
    content: &'a mut dyn Read,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_bytes_percent_and_rate() {
        let second = Duration::from_secs(1);
        assert_eq!(
            line("backup", 512, 1 << 20, second),
            "backup: 512 bytes of 1.0 MiB, 0 %, 512 bytes/s"
        );
        assert_eq!(
            line("backup", 3 << 30, 3 << 29, second * 2),
            "backup: 3.0 GiB of 3.0 GiB, 100 %, 1.5 GiB/s"
        );
        assert_eq!(
            line("x", 0, 0, second),
            "x: 0 bytes of 0 bytes, 0 %, 0 bytes/s"
        );
        assert!(size(u64::MAX).ends_with("PiB"));
    }
}
