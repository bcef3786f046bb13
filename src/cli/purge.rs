//! `skep purge`: what was deleted is gone from disk, too, when this ends.

use std::path::PathBuf;

use super::control;
use super::hive::{Hive, HiveError};

/// Writes a snapshot and removes everything older.
pub fn purge(data: Option<PathBuf>) -> Result<(), HiveError> {
    match Hive::open(data)? {
        Hive::Running(server) => {
            control::ask(&server, "POST", "/api/purge", None)?;
        }
        Hive::Stopped(hive) => {
            hive.purge()?;
            hive.close();
        }
    }
    eprintln!("What was deleted is gone from this disk. Backups and copies still hold it.");
    Ok(())
}
