//! `skep backup`: one archive of everything, taken from the files, whether a server runs or not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::check::Scratch;
use super::hive::{HiveError, existing};
use super::progress::Progress;
use crate::app::system_clock;
use crate::backup::unpack::{Depth, Unpacker};
use crate::backup::{BackupError, Entry, Manifest, Sink, archive, file_name, source};
use crate::data_dir::sync_parent;
use crate::disk::Disk;
use crate::journal::Log;

/// Writes the archive to `out` (`-` is standard output), or to a file named by the time.
pub fn write(
    out: Option<PathBuf>,
    with_keys: bool,
    data: Option<PathBuf>,
) -> Result<(), HiveError> {
    let root = existing(data)?;
    let now = system_clock();
    let manifest = Manifest::new(now, with_keys);
    if out.as_deref() == Some(Path::new("-")) {
        if io::stdout().is_terminal() {
            return Err(io::Error::other(
                "standard output is a terminal; name a file, or redirect: skep backup - > hive.tar.zst",
            )
            .into());
        }
        let (mut out, taken) = take(&root, &manifest, io::stdout().lock())?;
        out.flush()?;
        done("Wrote the backup: ", &taken);
        return Ok(());
    }
    let out = match out {
        Some(dir) if dir.is_dir() => dir.join(file_name(now)),
        Some(file) => file,
        None => PathBuf::from(file_name(now)),
    };
    if out.symlink_metadata().is_ok() {
        return Err(exists(&out));
    }
    if let Some(dir) = out.parent()
        && !dir.as_os_str().is_empty()
        && !dir.exists()
    {
        let text = format!("{} does not exist", dir.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text).into());
    }
    let temporary = Temporary::beside(&out)?;
    let (file, taken) = take(&root, &manifest, BufWriter::new(temporary.file()?))?;
    file.into_inner()
        .map_err(|error| BackupError::Output(error.into_error()))?
        .sync_all()
        .map_err(BackupError::Output)?;
    let records = check(&temporary.path, &out)?;
    temporary.keep(&out)?;
    let archive_bytes = fs::metadata(&out)?.len();
    let text = format!(
        "Wrote {} ({archive_bytes} bytes, read back and whole): {records} records, ",
        out.display()
    );
    done(&text, &taken);
    Ok(())
}

struct Taken {
    files: u64,
    bytes: u64,
    notes: Vec<String>,
}

fn done(text: &str, taken: &Taken) {
    for note in &taken.notes {
        eprintln!("note: {note}");
    }
    eprintln!("{text}{} files, {} bytes.", taken.files, taken.bytes);
}

fn take<W: Write>(root: &Path, manifest: &Manifest, out: W) -> Result<(W, Taken), HiveError> {
    let mut sink = Watched {
        writer: archive::Writer::begin(out, manifest)?,
        progress: Progress::begin("backup", || source::estimate(root)),
    };
    let notes = source::read(root, manifest.with_keys, &mut sink)?;
    sink.progress.end();
    let taken = Taken {
        files: sink.writer.files,
        bytes: sink.writer.bytes,
        notes,
    };
    Ok((sink.writer.finish()?, taken))
}

/// A sink that shows how far it is.
struct Watched<W: Write> {
    writer: archive::Writer<W>,
    progress: Progress,
}

impl<W: Write> Sink for Watched<W> {
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), BackupError> {
        let mut content = self.progress.watch(content);
        self.writer.put(entry, &mut content)
    }
}

/// Reads the archive again and looks at every record of its journal; tells how many the hive has.
fn check(archive: &Path, out: &Path) -> Result<u64, HiveError> {
    let scratch = Scratch::beside(out)?;
    let root = scratch.path().join("hive");
    let mut sink = JournalOnly(Unpacker::new(&root, Depth::Checkable)?);
    archive::read(File::open(archive)?, &mut sink)?;
    sink.0.finish()?;
    let disk = Disk::real();
    let verification = Log::verify(&disk, &root.join("journal"), true)
        .map_err(|error| BackupError::Damaged(error.to_string()))?;
    Ok(verification.next_seq - 1)
}

struct JournalOnly(Unpacker);

impl Sink for JournalOnly {
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), BackupError> {
        match entry.path.starts_with("journal") {
            true => self.0.put(entry, content),
            false => Ok(()),
        }
    }
}

/// An archive that has not got its name yet. Dropped before, it leaves nothing.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn beside(out: &Path) -> Result<Self, HiveError> {
        let mut name = out.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        Ok(Self { path: name.into() })
    }

    fn file(&self) -> Result<File, HiveError> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        options.open(&self.path).map_err(|source| {
            let path = self.path.clone();
            BackupError::Io {
                action: "create",
                path,
                source,
            }
            .into()
        })
    }

    /// Gives it its name, which must still be free.
    fn keep(self, out: &Path) -> Result<(), HiveError> {
        match renameat_with(CWD, &self.path, CWD, out, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(sync_parent(&fs::canonicalize(out)?)?),
            Err(rustix::io::Errno::EXIST) => Err(exists(out)),
            // Not every file system can do both at once.
            Err(_) if out.symlink_metadata().is_err() => {
                fs::rename(&self.path, out)?;
                Ok(sync_parent(&fs::canonicalize(out)?)?)
            }
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Once it has its name there is nothing under this one.
        let _ = fs::remove_file(&self.path);
    }
}

fn exists(out: &Path) -> HiveError {
    let text = format!(
        "{} is there already and is not overwritten; choose another name or remove it",
        out.display()
    );
    io::Error::new(io::ErrorKind::AlreadyExists, text).into()
}
