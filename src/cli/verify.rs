//! `skep verify`: every checksum of the data directory, and what can be done about damage.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::check::{CACHE_BYTES, Circumstances, Report, Scratch, check};
use super::hive::{HiveError, existing};
use crate::data_dir::{DataDir, DataDirError, FileIdentity};
use crate::disk::Disk;
use crate::journal::rebuild::{Base, Rebuild};
use crate::store::{Store, StoreError, copy, meta};

/// How often damage is looked at again while a server runs.
const ATTEMPTS_MAX: usize = 5;

/// Says what is wrong, file by file; an error when anything is.
pub fn verify(data: Option<PathBuf>) -> Result<(), HiveError> {
    let root = existing(data)?;
    let is_copy = DataDir::looks_like_copy(&root)?;
    // The lock keeps a server from starting in between.
    let stopped = match DataDir::open(&root) {
        Ok(data) => Some(data),
        Err(DataDirError::InUse { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let circumstances = Circumstances {
        is_copy,
        is_running: stopped.is_none(),
        base: Base::Oldest,
    };
    let mut attempt = 1;
    let (scratch, mut report, tables) = loop {
        let scratch = Scratch::within(&root)?;
        let (report, tables) = check(&root, scratch.path(), circumstances);
        // A running server removes what it has superseded, and what is damaged stays so.
        let may_be_passing = circumstances.is_running && !report.damage.is_empty();
        if !may_be_passing || attempt == ATTEMPTS_MAX {
            break (scratch, report, tables);
        }
        attempt += 1;
    };
    let is_counted = tables.is_some();
    match tables {
        Some((tables, reached)) if stopped.is_some() && !is_copy => {
            let compare = Compare {
                root: &root,
                scratch: scratch.path(),
                tables,
                reached,
            };
            compare.run(&mut report);
        }
        Some(_) if is_copy => report.notes.push(
            "this is a copy: its tables are made anew when it starts, and were not compared"
                .to_owned(),
        ),
        Some(_) => report.notes.push(
            "a server is running: its tables were not compared; stop it to have that done, too"
                .to_owned(),
        ),
        None => {}
    }
    for note in &report.notes {
        println!("note: {note}");
    }
    for damage in &report.damage {
        println!("damaged: {damage}");
    }
    match is_counted {
        true => println!("{}: {}", root.display(), report.contents.line()),
        // Zeros would look as if all of it were gone.
        false => println!("{}: not counted, because of the damage", root.display()),
    }
    match report.damage.is_empty() {
        true => {
            println!("All of it is whole.");
            Ok(())
        }
        false => Err(HiveError::Damaged(
            "not all of it is whole; see above for what can be done",
        )),
    }
}

/// The tables as they are, beside those that the journal makes.
struct Compare<'a> {
    root: &'a Path,
    scratch: &'a Path,
    tables: Store,
    reached: u64,
}

impl Compare<'_> {
    fn run(&self, report: &mut Report) {
        let hive = self.root.join("hive.redb");
        if !hive.exists() {
            return report
                .notes
                .push("there is no hive.redb; the next start makes it".to_owned());
        }
        // A damaged redb file may make redb panic.
        let compared = catch_unwind(AssertUnwindSafe(|| self.compare(&hive)));
        let remedy = "remove it, and the next start makes it anew from snapshots and journal; nothing is lost";
        match compared {
            Ok(Ok(Same::Yes)) => {}
            Ok(Ok(Same::Unknown(why))) => report.notes.push(format!("hive.redb {why}")),
            Ok(Ok(Same::No)) => report.damage.push(format!(
                "hive.redb is not what the journal makes of it; {remedy}"
            )),
            Ok(Err(error)) => report
                .damage
                .push(format!("hive.redb does not read: {error}; {remedy}")),
            Err(_) => report
                .damage
                .push(format!("hive.redb is damaged; {remedy}")),
        }
    }

    fn compare(&self, hive: &Path) -> Result<Same, StoreError> {
        let store = Store::open(hive, CACHE_BYTES)?;
        let identity: Option<FileIdentity> = store.read(|tx| meta::get(tx, meta::FILE_IDENTITY))?;
        if identity.is_none() || identity != FileIdentity::of(hive).ok() {
            let why = "was not written in this place; the next start makes it anew";
            return Ok(Same::Unknown(why.to_owned()));
        }
        let applied: u64 = store
            .read(|tx| meta::get(tx, meta::APPLIED_SEQ))?
            .unwrap_or(0);
        if applied > self.reached {
            let why = format!(
                "is ahead of the journal ({applied} > {}); the next start makes it anew",
                self.reached
            );
            return Ok(Same::Unknown(why));
        }
        let found = copy::digest(&store.view()?)?;
        if applied == self.reached {
            return Ok(Same::of(found, copy::digest(&self.tables.view()?)?));
        }
        // It was not closed in peace: the journal is ahead, and a start replays what is missing.
        let rebuild = Rebuild {
            journal: &self.root.join("journal"),
            snapshots: &self.root.join("snapshots"),
            is_copy: false,
            base: Base::Oldest,
            until: Some(applied),
            cache_bytes: CACHE_BYTES,
        };
        match rebuild.run(&Disk::real(), &self.scratch.join("earlier.redb")) {
            Ok((earlier, reached)) if reached == applied => {
                Ok(Same::of(found, copy::digest(&earlier.view()?)?))
            }
            _ => Ok(Same::Unknown(format!(
                "is at record {applied}, which no snapshot reaches any more; the next start replays the rest"
            ))),
        }
    }
}

enum Same {
    Yes,
    No,
    Unknown(String),
}

impl Same {
    fn of(found: [u8; 32], expected: [u8; 32]) -> Self {
        match found == expected {
            true => Self::Yes,
            false => Self::No,
        }
    }
}
