//! Whether a hive is whole, and what is in it: read, never changed.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::journal::rebuild::{Base, Rebuild};
use crate::journal::{JournalError, Log, materialise, snapshot};
use crate::model::{Execution, SessionId};
use crate::store::executions::{Filter, Order};
use crate::store::{
    Cursor, Page, ReadTx, Store, StoreError, executions, messages, pruned, sessions, workers,
};

/// How many rows are read at once.
const PAGE_ROWS: usize = 1_000;
/// What redb may cache of tables that are looked at once.
pub const CACHE_BYTES: usize = 16 << 20;
/// How many findings of one kind are listed one by one.
const LISTED_MAX: usize = 100;

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// What is wrong and what can be done; any of it means that something is lost or will be.
    pub damage: Vec<String>,
    /// What is unusual and no loss.
    pub notes: Vec<String>,
    /// What is in the hive, as far as it reads.
    pub contents: Contents,
}

/// What is in a hive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Changes ever made.
    pub records: u64,
    /// Snapshots.
    pub snapshots: usize,
    /// Chats.
    pub chats: u64,
    /// Messages.
    pub messages: u64,
    /// Workers.
    pub workers: u64,
    /// Executions.
    pub executions: u64,
    /// Logs of those.
    pub logs: u64,
    /// Bytes of the logs.
    pub log_bytes: u64,
    /// Files attached to messages.
    pub uploads: u64,
    /// Bytes of those.
    pub upload_bytes: u64,
}

impl Contents {
    /// One line for people.
    pub fn line(&self) -> String {
        use super::progress::size;
        format!(
            "{} records, {} snapshots, {} workers, {} chats, {} messages, {} executions, {} logs ({}), {} uploads ({})",
            self.records,
            self.snapshots,
            self.workers,
            self.chats,
            self.messages,
            self.executions,
            self.logs,
            size(self.log_bytes),
            self.uploads,
            size(self.upload_bytes)
        )
    }
}

/// How a directory is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// It is a copy, or an archive's content, possibly taken while a server was writing.
    pub is_copy: bool,
    /// A server is writing in it.
    pub is_running: bool,
    /// From where the tables are made.
    pub base: Base,
}

/// Looks at the hive in `root`. The tables that snapshots and journal make, and the last record they hold, come back,
/// too, if they can be made; they are in a file in `scratch`.
pub fn check(
    root: &Path,
    scratch: &Path,
    circumstances: Circumstances,
) -> (Report, Option<(Store, u64)>) {
    let disk = Disk::real();
    let mut report = Report::default();
    let is_copy = circumstances.is_copy || circumstances.is_running;
    check_snapshots(&disk, root, &mut report);
    if !check_journal(&disk, root, is_copy, &mut report) {
        return (report, None);
    }
    let rebuild = Rebuild {
        journal: &root.join("journal"),
        snapshots: &root.join("snapshots"),
        is_copy,
        base: circumstances.base,
        until: None,
        cache_bytes: CACHE_BYTES,
    };
    let made = rebuild.run(&disk, &scratch.join("check.redb"));
    let looked = made.and_then(|(store, reached)| {
        report.contents.records = reached;
        let files = Files {
            root,
            circumstances,
            report: &mut report,
            listed: 0,
        };
        files.check(&store.view()?)?;
        Ok((store, reached))
    });
    match looked {
        Ok(tables) => (report, Some(tables)),
        Err(error) => {
            report.damage.push(cannot_rebuild(&error));
            (report, None)
        }
    }
}

fn cannot_rebuild(error: &materialise::Error) -> String {
    let remedy = match error {
        // It says so itself.
        materialise::Error::Gap { .. } => "",
        _ => "; restore a backup with `skep restore`",
    };
    format!("the tables cannot be made from snapshots and journal: {error}{remedy}")
}

fn check_snapshots(disk: &Disk, root: &Path, report: &mut Report) {
    let snapshots = match snapshot::list(disk, &root.join("snapshots")) {
        Ok(snapshots) => snapshots,
        Err(error) => return report.damage.push(error.to_string()),
    };
    report.contents.snapshots = snapshots.len();
    let checked: Vec<(u64, Result<u64, JournalError>)> = snapshots
        .iter()
        .map(|file| (file.seq, snapshot::check(disk, &file.path)))
        .collect();
    let good: BTreeSet<u64> = checked
        .iter()
        .filter(|(_, result)| result.is_ok())
        .map(|(seq, _)| *seq)
        .collect();
    for (seq, result) in &checked {
        let Err(error) = result else { continue };
        let remedy = match good.iter().next_back() {
            Some(other) => format!(
                "the snapshot of record {other} is good, and a start uses it: remove the damaged file, `skep purge` writes a new one"
            ),
            None => "if the journal begins at record 1 nothing is lost: remove the file; else restore a backup with \
                     `skep restore`"
                .to_owned(),
        };
        report
            .damage
            .push(format!("{error} (snapshot of record {seq}); {remedy}"));
    }
}

/// Looks at every byte of the journal; tells whether it can be replayed.
fn check_journal(disk: &Disk, root: &Path, is_copy: bool, report: &mut Report) -> bool {
    match Log::verify(disk, &root.join("journal"), is_copy) {
        Ok(verification) => {
            report.contents.records = verification.next_seq.saturating_sub(1);
            for torn in verification.recovery.torn {
                report.notes.push(format!(
                    "{}: {} bytes from byte {} on are an unfinished batch of a crash or of a copy; nothing of it was \
                     acknowledged, and the next start cuts it off",
                    torn.file.display(),
                    torn.bytes_cut,
                    torn.offset
                ));
            }
            for file in verification.recovery.set_aside {
                report.notes.push(format!(
                    "{} begins after a gap that the copy left; the next start sets it aside",
                    file.display()
                ));
            }
            true
        }
        Err(error) => {
            report.damage.push(remedy(disk, root, &error));
            false
        }
    }
}

/// What is wrong with the journal, and what can be done about it.
fn remedy(disk: &Disk, root: &Path, error: &JournalError) -> String {
    let damaged = match error {
        JournalError::Damaged { file, .. } | JournalError::MissingRecords { file, .. } => file,
        _ => return error.to_string(),
    };
    // The first record after the damaged segment: a snapshot that reaches it makes the segment superfluous.
    let mut segments: Vec<PathBuf> = fs::read_dir(root.join("journal"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    segments.sort();
    let next = segments.iter().find(|path| *path > damaged);
    let next = next.and_then(|path| path.file_stem()?.to_str()?.parse::<u64>().ok());
    let good = snapshot::list(disk, &root.join("snapshots"))
        .unwrap_or_default()
        .into_iter()
        .rev()
        .find(|file| snapshot::check(disk, &file.path).is_ok());
    match (next, good) {
        (Some(next), Some(good)) if good.seq + 1 >= next => format!(
            "{error}; the snapshot of record {} holds all of it: move this segment and those before it away, and start again",
            good.seq
        ),
        (_, Some(good)) => format!(
            "{error}; the snapshot of record {} is good, what came after it in this file is not certain: restore a backup \
             with `skep restore`",
            good.seq
        ),
        (_, None) => format!("{error}; restore a backup with `skep restore`"),
    }
}

/// The files that records speak of.
struct Files<'a> {
    root: &'a Path,
    circumstances: Circumstances,
    report: &'a mut Report,
    listed: usize,
}

impl Files<'_> {
    fn check(mut self, view: &ReadTx) -> Result<(), StoreError> {
        self.report.contents.workers = workers::count(view)?;
        pages(
            |after| {
                executions::list(
                    view,
                    Filter::default(),
                    Order::OldestFirst,
                    after,
                    PAGE_ROWS,
                )
            },
            |execution| {
                let removed_at = pruned::log(view, execution.id)?;
                self.log(&execution, removed_at.is_some());
                Ok(())
            },
        )?;
        pages(
            |after| sessions::list(view, after, PAGE_ROWS),
            |session| {
                self.report.contents.chats += 1;
                pages(
                    |after| messages::list(view, session.id, after, PAGE_ROWS),
                    |message| {
                        self.report.contents.messages += 1;
                        for media in &message.media {
                            if pruned::upload(view, session.id, &media.name)?.is_none() {
                                self.upload(session.id, &media.name, media.size);
                            }
                        }
                        Ok(())
                    },
                )
            },
        )?;
        if self.listed > LISTED_MAX {
            let more = self.listed - LISTED_MAX;
            self.report.damage.push(format!("and {more} files more"));
        }
        Ok(())
    }

    fn log(&mut self, execution: &Execution, is_removed: bool) {
        self.report.contents.executions += 1;
        if !execution.status.is_final() || is_removed {
            return;
        }
        let path = execution.log_path();
        let found = fs::symlink_metadata(self.root.join(&path));
        let bytes = found.as_ref().map_or(0, |metadata| metadata.len());
        if found.is_ok() {
            self.report.contents.logs += 1;
            self.report.contents.log_bytes += bytes;
        }
        if bytes < execution.log_bytes {
            let missing = execution.log_bytes - bytes;
            self.lost(
                &path,
                &format!("lacks {missing} of its {} bytes", execution.log_bytes),
            );
        } else if bytes > execution.log_bytes && execution.log_bytes > 0 {
            let more = bytes - execution.log_bytes;
            self.found(
                &path,
                &format!("has {more} bytes more than when it was sealed"),
            );
        }
    }

    fn upload(&mut self, session: SessionId, name: &str, bytes: u64) {
        let dir = format!("uploads/{session}");
        let path = format!("{dir}/{name}");
        match fs::symlink_metadata(self.root.join(&path)) {
            Ok(metadata) if metadata.len() == bytes => {
                self.report.contents.uploads += 1;
                self.report.contents.upload_bytes += bytes;
            }
            Ok(metadata) => self.lost(
                &path,
                &format!("has {} bytes instead of {bytes}", metadata.len()),
            ),
            // The chat was deleted after its records were read.
            Err(_) if self.circumstances.is_running && !self.root.join(&dir).exists() => {}
            Err(_) => self.lost(&path, "is not there"),
        }
    }

    /// Bytes that were acknowledged are missing. In a copy that was taken while a server wrote it is no damage of the
    /// copy: what was written after the copy began may be there in part.
    fn lost(&mut self, path: &str, what: &str) {
        if self.circumstances.is_copy {
            self.report.notes.push(format!(
                "{path} {what}: this is a copy, the original may have it"
            ));
        } else {
            self.found(path, what);
        }
    }

    fn found(&mut self, path: &str, what: &str) {
        self.listed += 1;
        if self.listed <= LISTED_MAX {
            self.report
                .damage
                .push(format!("{path} {what}; a backup may have it"));
        }
    }
}

/// Every row of a list, page by page.
fn pages<T>(
    mut page: impl FnMut(Option<Cursor>) -> Result<Page<T>, StoreError>,
    mut row: impl FnMut(T) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let Page { rows, next } = page(after)?;
        rows.into_iter().try_for_each(&mut row)?;
        match next {
            Some(_) => after = next,
            None => return Ok(()),
        }
    }
}

/// A directory for what a check makes. It is removed when it is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one beside `path`, hidden and private.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::make(parent.join(format!(".{name}.{}.check", std::process::id())))
    }

    /// Makes one in `dir`.
    pub fn within(dir: &Path) -> io::Result<Self> {
        Self::make(dir.join(format!("check-{}.tmp", std::process::id())))
    }

    fn make(path: PathBuf) -> io::Result<Self> {
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| {
            let text = format!("cannot create {} to work in: {error}", path.display());
            io::Error::new(error.kind(), text)
        })?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
