//! `skep restore`: an empty data directory is filled from an archive or a copy, after all of it was checked.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::check::{Circumstances, Report, Scratch, check};
use super::hive::{HiveError, is_hive};
use super::progress::{Progress, size};
use crate::backup::unpack::{Depth, Unpacked, Unpacker};
use crate::backup::{BackupError, Entry, Manifest, Part, Sink, archive, source};
use crate::config::data_dir;
use crate::data_dir::{make_dir, replace_file, sync_parent};
use crate::journal::rebuild::Base;

/// Restores `from`, or says only what would be restored.
pub fn restore(from: &Path, is_dry_run: bool, data: Option<PathBuf>) -> Result<(), HiveError> {
    let target = std::path::absolute(data_dir(data, |name| std::env::var_os(name))?)?;
    let room = refuse_if_full(&target);
    // Whether an archive is good can be asked at any time.
    if !is_dry_run {
        room?;
        return fill(from, &target, is_dry_run);
    }
    fill(from, &target, is_dry_run)?;
    room
}

fn fill(from: &Path, target: &Path, is_dry_run: bool) -> Result<(), HiveError> {
    let is_directory = fs::metadata(from).map_err(cannot_read(from))?.is_dir();
    if is_directory && !is_hive(from) {
        let text = format!("there is no hive in {}", from.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text).into());
    }
    let depth = match is_dry_run {
        true => Depth::Checkable,
        false => Depth::Everything,
    };
    let staging = stage(target, is_dry_run)?;
    let root = staging.path().join("hive");
    let mut unpacker = Watched {
        unpacker: Unpacker::new(&root, depth)?,
        progress: Progress::begin("restore", || total(from, is_directory)),
    };
    let mut notes = Vec::new();
    let manifest = match is_directory {
        true => {
            notes = source::read(from, true, &mut unpacker)?;
            None
        }
        false => {
            let file = File::open(from).map_err(cannot_read(from))?;
            Some(archive::read(file, &mut unpacker)?)
        }
    };
    unpacker.progress.end();
    // What does not know that it is a copy would go on with the queue of the original.
    forget_place(&root)?;
    let circumstances = Circumstances {
        is_copy: true,
        is_running: false,
        base: Base::Newest,
    };
    let (report, tables) = check(&root, staging.path(), circumstances);
    let is_usable = tables.is_some();
    drop(tables);
    // Links and read-only directories come when nothing can fail any more: what is given up can then be removed.
    let unpacked = match is_usable {
        true => unpacker.unpacker.finish()?,
        false => Unpacked::default(),
    };
    for note in notes.iter().chain(&unpacked.notes).chain(&report.notes) {
        eprintln!("note: {note}");
    }
    for damage in &report.damage {
        eprintln!("damaged: {damage}");
    }
    if !is_usable {
        return Err(HiveError::Damaged(
            "nothing was restored: no hive can be made of this",
        ));
    }
    if is_dry_run {
        println!(
            "{}",
            would(from, target, manifest.as_ref(), &unpacked, &report)
        );
        return Ok(());
    }
    publish(&root, target)?;
    println!(
        "{}\n{}",
        did(from, target, manifest.as_ref(), &unpacked, &report),
        next_steps(target, manifest.as_ref())
    );
    Ok(())
}

fn refuse_if_full(target: &Path) -> Result<(), HiveError> {
    let refuse = |what: &str| {
        let text = format!(
            "{} {what}: restore fills an empty directory only; move it away, or choose another one with --data",
            target.display()
        );
        Err(io::Error::new(io::ErrorKind::AlreadyExists, text).into())
    };
    match fs::read_dir(target) {
        Ok(mut entries) => match entries.find(|entry| !is_of_the_file_system(entry)) {
            Some(_) => refuse("is not empty"),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => match target.symlink_metadata() {
            Ok(_) => refuse("is a link to nowhere"),
            Err(_) => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => refuse("is no directory"),
        Err(error) => Err(cannot_read(target)(error).into()),
    }
}

/// What a file system puts into its own root.
fn is_of_the_file_system(entry: &io::Result<fs::DirEntry>) -> bool {
    matches!(entry, Ok(entry) if entry.file_name() == "lost+found")
}

/// Where the hive is made: on the disk of the target, so that it can get its place by a rename.
fn stage(target: &Path, is_dry_run: bool) -> Result<Scratch, HiveError> {
    if is_mount(target) {
        return Ok(Scratch::within(target)?);
    }
    let parent = target.parent().unwrap_or(Path::new("/"));
    if is_dry_run {
        let there = parent.ancestors().find(|path| path.is_dir());
        return Ok(Scratch::within(there.unwrap_or(parent))?);
    }
    if !parent.is_dir() {
        make_dir(parent)?;
    }
    Ok(Scratch::beside(target)?)
}

/// Whether a file system begins here, as in a container whose volume is the data directory.
fn is_mount(target: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let parent = target.parent().and_then(device);
    device(target).is_some_and(|own| parent.is_some_and(|parent| parent != own))
}

/// Puts the checked hive in its place.
fn publish(root: &Path, target: &Path) -> Result<(), HiveError> {
    if !is_mount(target) {
        fs::rename(root, target)?;
        return Ok(sync_parent(target)?);
    }
    // The journal last: before it is there, nobody takes the directory for a hive.
    for part in Part::ALL.into_iter().rev() {
        let from = root.join(part.name());
        if from.exists() {
            fs::rename(&from, target.join(part.name()))?;
        }
    }
    Ok(File::open(target)?.sync_all()?)
}

/// The restored directory is not the one whose identity it carries, whatever numbers the file system gives out.
fn forget_place(root: &Path) -> Result<(), HiveError> {
    let path = root.join(Part::Instance.name());
    let Ok(text) = fs::read(&path) else {
        return Ok(());
    };
    match serde_json::from_slice::<Value>(&text) {
        Ok(mut instance) => {
            instance["directory"] = json!({ "inode": 0, "created_ns": 0 });
            Ok(replace_file(&path, instance.to_string().as_bytes())?)
        }
        // Without it the directory is a copy, too.
        Err(_) => Ok(fs::remove_file(&path)?),
    }
}

struct Watched {
    unpacker: Unpacker,
    progress: Progress,
}

impl Sink for Watched {
    fn put(&mut self, entry: &Entry, content: &mut dyn io::Read) -> Result<(), BackupError> {
        let mut content = self.progress.watch(content);
        self.unpacker.put(entry, &mut content)
    }
}

fn total(from: &Path, is_directory: bool) -> u64 {
    match is_directory {
        true => source::estimate(from),
        // It grows while it is read, which the line allows for.
        false => fs::metadata(from).map_or(0, |metadata| metadata.len()),
    }
}

fn origin(from: &Path, manifest: Option<&Manifest>) -> String {
    match manifest {
        Some(manifest) => format!(
            "{}, a backup of {}",
            from.display(),
            date(manifest.created_at)
        ),
        None => format!("{}, a copy of a data directory", from.display()),
    }
}

fn date(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "an unknown time".to_owned(), |at| format!("{at:.0}"))
}

fn would(
    from: &Path,
    target: &Path,
    manifest: Option<&Manifest>,
    unpacked: &Unpacked,
    report: &Report,
) -> String {
    format!(
        "Would restore to {}, from {}: {}; {} files, {}. Nothing was written.",
        target.display(),
        origin(from, manifest),
        report.contents.line(),
        unpacked.files,
        size(unpacked.bytes)
    )
}

fn did(
    from: &Path,
    target: &Path,
    manifest: Option<&Manifest>,
    unpacked: &Unpacked,
    report: &Report,
) -> String {
    format!(
        "Restored to {}, from {}: {}; {} files, {}.",
        target.display(),
        origin(from, manifest),
        report.contents.line(),
        unpacked.files,
        size(unpacked.bytes)
    )
}

fn next_steps(target: &Path, manifest: Option<&Manifest>) -> String {
    let keys = match manifest.is_some_and(|manifest| !manifest.with_keys) {
        true => " It came without keys: everyone signs in again.",
        false => "",
    };
    format!(
        "It starts as a copy, with its queue held: start it with `skep --data {}`, look at it, and let it go on with the \
         button in the console (or POST /api/resume).{keys}",
        target.display()
    )
}

fn cannot_read(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let path = path.display().to_string();
    move |error| io::Error::new(error.kind(), format!("cannot read {path}: {error}"))
}
