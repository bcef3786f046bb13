//! From the journal to the tables: what a start does, and what a snapshot holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::JournalError;
use super::log::{Log, Options, Position, Recovery};
use super::reader::Records;
use super::snapshot::{self, Item, SnapshotReader, SnapshotWriter};
use crate::command::{self, Apply, Rejection};
use crate::data_dir::{DataDir, FileIdentity};
use crate::disk::Disk;
use crate::model::Millis;
use crate::store::{ReadTx, Store, StoreError, copy, meta};

/// How many records one transaction of a replay holds.
const RECORDS_PER_COMMIT: u64 = 1_000;

/// How many records are replayed between two durable commits, so that redb can use its pages again.
const RECORDS_PER_CHECKPOINT: u64 = 100_000;

/// Why the tables could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal or a snapshot does not read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The tables cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record of the journal does not do now what it did when it was written.
    #[error("record {seq} of the journal ({kind}) is refused on replay: {reason}")]
    Refused {
        /// Its number.
        seq: u64,
        /// The kind of command.
        kind: &'static str,
        /// Why.
        reason: String,
    },
    /// A record was written by a newer version.
    #[error("record {seq} of the journal has version {version}: it was written by a newer Skep")]
    NewerRecord {
        /// Its number.
        seq: u64,
        /// Its version.
        version: u16,
    },
    /// Neither a snapshot nor the journal reaches back far enough.
    #[error(
        "the journal begins at record {first_seq} and no good snapshot reaches it; restore a backup with `skep restore`"
    )]
    Gap {
        /// The first record that there is.
        first_seq: u64,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A journal and its tables, equal.
pub struct Opened {
    /// The tables.
    pub store: Arc<Store>,
    /// The journal.
    pub log: Log,
    /// What was repaired in the journal.
    pub recovery: Recovery,
    /// Why the tables were made anew, if they were.
    pub rebuilt: Option<String>,
    /// How many records were replayed.
    pub replayed: u64,
}

/// Opens the journal and brings the tables up to it: from redb's last checkpoint where it can be trusted, else from the
/// newest good snapshot, else from the first record.
pub fn open(disk: &Disk, data: &DataDir, cache_bytes: usize, now: Millis) -> Result<Opened, Error> {
    let hive = data.hive();
    let (trusted, mut rebuilt) = match open_trusted(&hive, cache_bytes, data.is_copy()) {
        Ok(Some((store, applied, position))) => (Some((store, applied, position)), None),
        Ok(None) => (None, None),
        Err(reason) => (None, Some(reason)),
    };
    let snapshots = snapshot::list(disk, &data.snapshots())?;
    let options = Options {
        is_copy: data.is_copy(),
        first_seq: snapshots.last().map_or(1, |newest| newest.seq + 1),
        trusted: trusted.as_ref().and_then(|(_, _, position)| *position),
        now_ms: now,
        ..Options::default()
    };
    let (mut log, recovery) = Log::open(disk.clone(), &data.journal(), &options)?;
    let first_seq = log
        .segments()
        .first()
        .map_or(1, |segment| segment.first_seq);
    if let Some((store, applied, position)) = trusted {
        if applied > log.last_seq() {
            rebuilt = Some(format!(
                "it is ahead of the journal ({applied} > {})",
                log.last_seq()
            ));
        } else if applied + 1 < first_seq {
            rebuilt = Some("it is older than the journal".to_owned());
        } else {
            let replayed = replay_from(&store, &log, applied, position)?;
            return Ok(Opened {
                store: Arc::new(store),
                log,
                recovery,
                rebuilt: None,
                replayed,
            });
        }
        store.close();
    }
    if hive.exists() {
        let aside = hive.with_extension("redb.aside");
        std::fs::rename(&hive, &aside).map_err(io_error("set aside", &hive))?;
    }
    let store = Store::open(&hive, cache_bytes)?;
    let mut reached = 0;
    for candidate in snapshots.iter().rev() {
        match load_snapshot(disk, &candidate.path, &store) {
            Ok(()) => {
                reached = candidate.seq;
                break;
            }
            Err(error) => {
                tracing::warn!(file = %candidate.path.display(), %error, "a snapshot does not read; trying an older one");
                store.close();
                std::fs::remove_file(&hive).map_err(io_error("remove", &hive))?;
                store.reopen()?;
            }
        }
    }
    if reached > log.last_seq() {
        // A copy whose snapshot was taken after its journal was copied: the snapshot holds all of the journal.
        drop(log);
        set_segments_aside(disk, &data.journal())?;
        log = Log::open(
            disk.clone(),
            &data.journal(),
            &Options {
                first_seq: reached + 1,
                ..options
            },
        )?
        .0;
    } else if reached + 1 < first_seq {
        return Err(Error::Gap { first_seq });
    }
    let replayed = go_on_from(&store, &log, reached)?;
    Ok(Opened {
        store: Arc::new(store),
        log,
        recovery,
        rebuilt,
        replayed,
    })
}

/// Makes the tables of a new file, which hold the journal up to `reached`, those of this hive.
fn go_on_from(store: &Store, log: &Log, reached: u64) -> Result<u64, Error> {
    let tx = store.begin_write(false)?;
    let hive = store.path();
    let identity = FileIdentity::of(hive).map_err(io_error("look at", hive))?;
    meta::set(&tx, meta::FILE_IDENTITY, &identity)?;
    meta::set(&tx, meta::APPLIED_SEQ, &reached)?;
    tx.commit()?;
    let replayed = replay_from(store, log, reached, None)?;
    checkpoint(store, log)?;
    Ok(replayed)
}

/// Replaces the file of the tables by a new one, made of the snapshot after record `seq` and of the journal: the free
/// pages of the old one still hold what was deleted.
pub(super) fn renew(
    disk: &Disk,
    snapshots: &Path,
    seq: u64,
    store: &Store,
    log: &Log,
) -> Result<(), Error> {
    let files = snapshot::list(disk, snapshots)?;
    let snapshot = files.iter().find(|file| file.seq == seq);
    let Some(snapshot) = snapshot else {
        return Err(Error::Gap { first_seq: seq + 1 });
    };
    let hive = store.path();
    let new = hive.with_extension("redb.new");
    remove_if_there(&new)?;
    let fresh = Store::open(&new, store.cache_bytes())?;
    load_snapshot(disk, &snapshot.path, &fresh)?;
    go_on_from(&fresh, log, seq)?;
    fresh.close();
    std::fs::rename(&new, hive).map_err(io_error("replace", hive))?;
    if let Some(dir) = hive.parent() {
        disk.sync_dir(dir).map_err(io_error("sync", dir))?;
    }
    store.reopen()?;
    remove_if_there(&hive.with_extension("redb.aside"))
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

type Trusted = (Store, u64, Option<Position>);

/// redb, if it is the file that Skep wrote here; a reason why not, if there is another one.
fn open_trusted(hive: &Path, cache_bytes: usize, is_copy: bool) -> Result<Option<Trusted>, String> {
    if !hive.exists() {
        return Ok(None);
    }
    if is_copy {
        return Err("the directory is a copy".to_owned());
    }
    let opened = || -> Result<_, StoreError> {
        let store = Store::open(hive, cache_bytes)?;
        let identity: Option<FileIdentity> = store.read(|tx| meta::get(tx, meta::FILE_IDENTITY))?;
        let applied: Option<u64> = store.read(|tx| meta::get(tx, meta::APPLIED_SEQ))?;
        let position = read_position(&store)?;
        Ok((store, identity, applied, position))
    };
    // A damaged redb file may make redb panic; it is as good as one that does not open.
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(opened));
    match opened {
        Ok(Ok((store, identity, applied, position))) => {
            if identity.is_none() || identity != FileIdentity::of(hive).ok() {
                return Err("it was not written in this place".to_owned());
            }
            Ok(Some((store, applied.unwrap_or(0), position)))
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it is damaged".to_owned()),
    }
}

/// Brings the tables up to the journal; tells how many records that took.
pub(super) fn replay(store: &Store, log: &Log) -> Result<u64, Error> {
    let applied: u64 = store
        .read(|tx| meta::get(tx, meta::APPLIED_SEQ))?
        .unwrap_or(0);
    let position = read_position(store)?;
    replay_from(store, log, applied, position)
}

fn replay_from(
    store: &Store,
    log: &Log,
    applied: u64,
    position: Option<Position>,
) -> Result<u64, Error> {
    if applied >= log.last_seq() {
        return Ok(0);
    }
    let records = log.records(applied + 1, position)?;
    replay_records(store, records, applied, log.last_seq())
}

/// Applies the records after `applied` up to `last`; tells how many that were.
pub(super) fn replay_records(
    store: &Store,
    mut records: Records,
    applied: u64,
    last: u64,
) -> Result<u64, Error> {
    let mut seq = applied;
    while seq < last {
        let is_checkpoint =
            (seq - applied) % RECORDS_PER_CHECKPOINT >= RECORDS_PER_CHECKPOINT - RECORDS_PER_COMMIT;
        let tx = store.begin_write(is_checkpoint)?;
        for _ in 0..RECORDS_PER_COMMIT {
            let Some(record) = records.next()? else { break };
            if record.version != super::writer::PAYLOAD_VERSION {
                return Err(Error::NewerRecord {
                    seq: record.seq,
                    version: record.version,
                });
            }
            let command = command::decode(record.payload)?;
            seq = record.seq;
            // Nobody waits for events of the past: streams read them from the tables.
            command
                .apply(&mut Apply::new(&tx))
                .map_err(|rejection| match rejection {
                    Rejection::Refused(refusal) => Error::Refused {
                        seq,
                        kind: command.kind(),
                        reason: refusal.to_string(),
                    },
                    Rejection::Store(error) => error.into(),
                })?;
        }
        meta::set(&tx, meta::APPLIED_SEQ, &seq)?;
        tx.commit()?;
    }
    Ok(seq - applied)
}

fn read_position(store: &Store) -> Result<Option<Position>, StoreError> {
    let kept: Option<(u64, u64, u64)> = store.read(|tx| meta::get(tx, meta::POSITION))?;
    Ok(kept.map(|(segment, offset, seq)| Position {
        segment,
        offset,
        seq,
    }))
}

/// Makes the tables durable and keeps the journal's position with them.
pub(super) fn checkpoint(store: &Store, log: &Log) -> Result<(), StoreError> {
    let tx = store.begin_write(true)?;
    let Position {
        segment,
        offset,
        seq,
    } = log.position();
    meta::set(&tx, meta::POSITION, &(segment, offset, seq))?;
    tx.commit()
}

/// Writes every table as they were in `view`, after record `seq`.
pub(super) fn write_snapshot(
    disk: &Disk,
    dir: &Path,
    seq: u64,
    view: &ReadTx,
) -> Result<(), Error> {
    let mut writer = SnapshotWriter::begin(disk, dir, seq)?;
    let mut sink = SnapshotSink {
        writer: &mut writer,
        failed: None,
    };
    let dumped = copy::dump(view, &mut sink);
    if let Some(error) = sink.failed {
        return Err(error.into());
    }
    dumped?;
    writer.finish()?;
    Ok(())
}

/// Takes the segments out of the journal without deleting them.
fn set_segments_aside(disk: &Disk, dir: &Path) -> Result<(), Error> {
    for name in disk.list(dir).map_err(JournalError::io("list", dir))? {
        let path = dir.join(&name);
        if path.extension().is_some_and(|extension| extension == "seg") {
            let aside = path.with_extension("seg.aside");
            disk.rename(&path, &aside)
                .map_err(JournalError::io("set aside", &path))?;
        }
    }
    Ok(disk.sync_dir(dir).map_err(JournalError::io("sync", dir))?)
}

struct SnapshotSink<'a> {
    writer: &'a mut SnapshotWriter,
    /// The journal's own error, which is more than what an `io::Error` can carry.
    failed: Option<JournalError>,
}

impl SnapshotSink<'_> {
    fn keep(&mut self, result: Result<(), JournalError>) -> std::io::Result<()> {
        result.map_err(|error| {
            let text = error.to_string();
            self.failed = Some(error);
            std::io::Error::other(text)
        })
    }
}

impl copy::Sink for SnapshotSink<'_> {
    fn table(&mut self, name: &'static str) -> std::io::Result<()> {
        let result = self.writer.section(name);
        self.keep(result)
    }

    fn row(&mut self, key: &[u8], value: &[u8]) -> std::io::Result<()> {
        let result = self.writer.entry(key, value);
        self.keep(result)
    }
}

pub(super) fn load_snapshot(disk: &Disk, path: &Path, store: &Store) -> Result<(), Error> {
    let mut reader = SnapshotReader::open(disk, path)?;
    let tx = store.begin_write(false)?;
    let mut table = String::new();
    while let Some(item) = reader.next()? {
        match item {
            Item::Section(name) => name.clone_into(&mut table),
            Item::Entry { key, value } => copy::load(&tx, &table, key, value)?,
        }
    }
    Ok(tx.commit()?)
}

pub(super) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
