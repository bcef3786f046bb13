//! An engine that says what time it is.

use std::io::{self, Write};
use std::time::Duration;

use skep::cli::bench::unix_ms;

/// What this binary is started with to be it.
pub const WORD: &str = "--ticker";
/// Lines that it prints.
pub const LINES: usize = 40;
/// Between two lines: longer than running text is held together for a reader.
const INTERVAL: Duration = Duration::from_millis(50);

/// Prints lines of milliseconds since 1970, each at the moment it tells.
pub fn tick() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for _ in 0..LINES {
        std::thread::sleep(INTERVAL);
        let line = format!("{:.3}\n", unix_ms());
        out.write_all(line.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}
