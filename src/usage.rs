//! What uses the disk: counted seldom, away from the runtime's threads, and kept with its age.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// How long a count is good for.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// Files and folders that one count looks at; a work directory can hold any number.
const ENTRIES_MAX: usize = 1_000_000;
/// What `st_blocks` counts in, whatever the file system's own blocks are.
const BLOCK_BYTES: u64 = 512;

/// Room that is taken, as the file system counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The journal.
    pub journal: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// The tables.
    pub hive: u64,
    /// Logs of executions.
    pub logs: u64,
    /// What was attached.
    pub uploads: u64,
    /// Work directories that Skep made.
    pub workers: u64,
    /// The search index.
    pub search: u64,
    /// Everything else in the data directory.
    pub other: u64,
    /// Room that is left on the disk.
    pub free: u64,
    /// Whether everything was looked at.
    pub is_complete: bool,
}

impl Usage {
    /// Counts, by a walk that follows no link.
    pub fn count(root: &Path) -> io::Result<Usage> {
        let stat = rustix::fs::statvfs(root)?;
        let mut usage = Usage {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            ..Usage::default()
        };
        let mut left = ENTRIES_MAX;
        for entry in fs::read_dir(root)?.flatten() {
            let bytes = bytes_below(entry.path(), &mut left);
            let sum = match entry.file_name().to_str() {
                Some("journal") => &mut usage.journal,
                Some("snapshots") => &mut usage.snapshots,
                Some("hive.redb") => &mut usage.hive,
                Some("logs") => &mut usage.logs,
                Some("uploads") => &mut usage.uploads,
                Some("workers") => &mut usage.workers,
                Some("search") => &mut usage.search,
                _ => &mut usage.other,
            };
            *sum += bytes;
        }
        usage.is_complete = left > 0;
        Ok(usage)
    }
}

fn bytes_below(path: PathBuf, left: &mut usize) -> u64 {
    let mut bytes = 0;
    let mut waiting = vec![path];
    // What vanishes meanwhile takes no room.
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        bytes += metadata.blocks() * BLOCK_BYTES;
        if metadata.is_dir()
            && let Ok(entries) = fs::read_dir(&path)
        {
            for entry in entries.flatten() {
                if *left == 0 {
                    return bytes;
                }
                *left -= 1;
                waiting.push(entry.path());
            }
        }
    }
    bytes
}

/// The last count. Whoever comes while one is made waits for it instead of making another.
#[derive(Debug, Default)]
pub struct LastUsage(Mutex<Option<(Instant, Usage)>>);

impl LastUsage {
    /// What uses the disk, and how old that is.
    pub async fn get(&self, root: &Path) -> io::Result<(Usage, Duration)> {
        let mut last = self.0.lock().await;
        if let Some((at, usage)) = *last
            && at.elapsed() < GOOD_FOR
        {
            return Ok((usage, at.elapsed()));
        }
        let root = root.to_owned();
        let counted = tokio::task::spawn_blocking(move || Usage::count(&root)).await;
        let usage = counted.map_err(io::Error::other)??;
        *last = Some((Instant::now(), usage));
        Ok((usage, Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_part_is_counted_and_no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("large"), vec![1; 1 << 20]).unwrap();
        for dir in ["logs/2026-11", "uploads", "workers/w/deep/er"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        fs::write(root.path().join("logs/2026-11/a.log"), vec![1; 100_000]).unwrap();
        fs::write(root.path().join("workers/w/deep/er/x"), vec![1; 300_000]).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("uploads/out")).unwrap();
        let usage = Usage::count(root.path()).unwrap();
        assert!((100_000..200_000).contains(&usage.logs), "{usage:?}");
        assert!((300_000..400_000).contains(&usage.workers), "{usage:?}");
        assert!(usage.uploads < 100_000, "{usage:?}");
        assert!(usage.free > 0 && usage.is_complete, "{usage:?}");
    }

    #[test]
    fn a_count_ends_at_its_limit() {
        let root = tempfile::tempdir().unwrap();
        for n in 0..10 {
            fs::write(root.path().join(n.to_string()), "x").unwrap();
        }
        let mut left = 10;
        bytes_below(root.path().to_owned(), &mut left);
        assert_eq!(left, 0);
        let mut left = 11;
        bytes_below(root.path().to_owned(), &mut left);
        assert_eq!(left, 1);
    }
}
