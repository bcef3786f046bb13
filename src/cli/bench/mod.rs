//! `skep bench`: what this machine's disk, network and processes can do, and what Skep makes of it.
//!
//! Owns the load generator, the table and the figures that anybody can repeat; `benches/figures` asks more questions with
//! the same parts. Must never touch the hive it is pointed at: it measures servers of its own in a directory of its own on
//! the same disk. Start reading at [`bench`], then [`Lab`].

mod client;
pub mod fill;
mod load;
pub mod machine;
mod rows;
mod server;
mod table;

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

pub use client::{Client, Target};
pub use fill::{CHATS, MESSAGE};
pub use load::{Load, Streams, hammer};
pub use rows::{Effort, Lab, Rounds, ended, remove, short};
pub use server::{Process, Server, answers, text};
pub use table::{Asked, Measure, Row, table};

use super::hive::HiveError;
use crate::config::data_dir;

/// What is measured how long.
#[derive(Debug, Args)]
pub struct Bench {
    /// About how long it may take
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The figures that are measured; the time is shared among them.
const FIGURES: u32 = 8;
/// Below this nothing is measured well, and only a little of everything is done.
const SECONDS_MIN: u64 = 30;

/// How much there is of everything.
struct Sizes {
    samples: usize,
    /// In the hive that pages are read from.
    messages: usize,
    /// That a message goes out to.
    streams: usize,
}

impl Sizes {
    fn within(seconds: u64) -> Self {
        let (samples, messages, streams) = match seconds {
            SECONDS_MIN.. => (800, 10_000, 1_000),
            _ => (80, 1_000, 100),
        };
        Self {
            samples,
            messages,
            streams,
        }
    }
}

/// Measures and prints the table. Everything that was made is removed, also after Ctrl-C.
pub fn bench(asked: &Bench, data: Option<PathBuf>) -> Result<(), HiveError> {
    let data = data_dir(data, |name| std::env::var_os(name))?;
    let dir = beside(&data)?;
    let sizes = Sizes::within(asked.seconds);
    let lab = Lab {
        binary: std::env::current_exe()?,
        dir: dir.0.clone(),
        effort: Effort {
            time: Duration::from_secs(asked.seconds) / FIGURES / 2,
            rounds_min: 3,
            samples: sizes.samples,
        },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let sizes = Sizes {
        // Some files are open besides.
        streams: sizes.streams.min(descriptors()?.saturating_sub(200)),
        ..sizes
    };
    let rows = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        tokio::select! {
            rows = measure(&lab, &sizes) => rows,
            _ = terminate.recv() => Err(io::Error::other("stopped; nothing is left of it")),
            _ = interrupt.recv() => Err(io::Error::other("stopped; nothing is left of it")),
        }
    });
    say(None);
    // What still writes ends before its directory goes.
    drop(runtime);
    drop(dir);
    let rows = rows?;
    let mut out = io::stdout().lock();
    if asked.json {
        let rows: Vec<serde_json::Value> = rows.iter().map(Row::json).collect();
        serde_json::to_writer_pretty(&mut out, &rows).map_err(io::Error::other)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", table(&rows))?;
    }
    Ok(())
}

async fn measure(lab: &Lab, sizes: &Sizes) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let samples = sizes.samples;
    say(Some("the machine"));
    let alone = |what, value| Row::new(what, "ms", value);
    rows.push(alone(
        "the machine: fdatasync",
        machine::fdatasync(&lab.dir, samples)?,
    ));
    rows.push(alone("the machine: loopback", machine::loopback(samples)?));
    rows.push(alone(
        "the machine: fork+exec",
        machine::fork_exec(samples / 20)?,
    ));
    say(Some("durable post, 1 client"));
    rows.extend(lab.post_alone().await?);
    say(Some("durable posts, 64 clients"));
    rows.extend(lab.post_together().await?);
    say(Some("pages"));
    let chats = lab.filled("filled", sizes.messages).await?;
    // The first start hashes a password.
    lab.again("filled", "").await?.process.stop();
    rows.push(lab.page("filled", &chats, sizes.messages).await?);
    say(Some("starts"));
    rows.push(lab.start("filled", sizes.messages, Asked::AtMost(15.0))?);
    say(Some("memory"));
    rows.extend(lab.memory().await?);
    say(Some("streams"));
    rows.extend(lab.fan_out(sizes.streams, 15.0).await?);
    say(Some("message → its engine runs"));
    rows.extend(lab.exec().await?);
    Ok(rows)
}

/// What is being measured, for people only.
fn say(what: Option<&str>) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let line = what.map_or(String::new(), |what| format!("measuring: {what} …"));
        let _ = write!(stderr, "\r{line}\x1b[K");
        let _ = stderr.flush();
    }
}

/// A directory that goes with this value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// A new directory on the disk of `data`: beside it, or inside where a disk is mounted on it.
fn beside(data: &Path) -> io::Result<Scratch> {
    let data = std::path::absolute(data)?;
    let parent = data.parent().unwrap_or(Path::new("/"));
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    let is_mounted = device(&data).is_some_and(|found| Some(found) != device(parent));
    let place = if is_mounted { &data } else { parent };
    let dir = place.join(format!(".skep-bench-{}", std::process::id()));
    std::fs::create_dir(&dir).map_err(|error| {
        let message = format!(
            "cannot measure in {}: {error}; say where with --data",
            place.display()
        );
        io::Error::new(error.kind(), message)
    })?;
    Ok(Scratch(dir))
}

/// Lets this process and its children have as many files open as they ever may; how many that is.
pub fn descriptors() -> io::Result<usize> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(maximum.map_or(usize::MAX, |maximum| maximum as usize))
}

/// Milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Milliseconds since 1970.
pub fn unix_ms() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, millis)
}

/// The one in the middle; sorts them.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 50)
}

/// The one that so many of a hundred do not exceed; sorts them.
fn quantile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len() * percent / 100)
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_there_is() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        let mut values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&mut values, 99), 100.0);
    }
}
