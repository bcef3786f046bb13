//! `skep purge`: what was deleted is gone from disk, too, when this ends, with the executions of deleted chats and their
//! logs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::control;
use super::hive::{Hive, HiveError, existing};
use super::progress::size;

/// Removes what chats left behind, writes a snapshot and new tables, and removes everything older.
pub fn purge(data: Option<PathBuf>) -> Result<(), HiveError> {
    let root = existing(data.clone())?;
    let before = files(&root);
    match Hive::open(data)? {
        Hive::Running(server) => {
            control::ask(&server, "POST", "/api/purge", None)?;
        }
        Hive::Stopped(hive) => {
            hive.purge()?;
            hive.close();
        }
    }
    let after = files(&root);
    let removed = before.iter().filter(|(path, _)| !after.contains_key(*path));
    let (count, bytes) = removed.fold((0, 0), |(count, sum), (_, bytes)| (count + 1, sum + bytes));
    match count {
        0 => eprintln!("Nothing to remove."),
        _ => eprintln!(
            "Removed {} of old journal and snapshots ({count} files). What was deleted is gone from this disk; backups \
             and copies still hold it.",
            size(bytes)
        ),
    }
    Ok(())
}

/// What a purge may remove, and how large it is.
fn files(root: &Path) -> BTreeMap<PathBuf, u64> {
    let dirs = ["journal", "snapshots"].map(|dir| fs::read_dir(root.join(dir)));
    let entries = dirs.into_iter().flatten().flatten().flatten();
    let sized = |entry: fs::DirEntry| Some((entry.path(), entry.metadata().ok()?.len()));
    entries.filter_map(sized).collect()
}
