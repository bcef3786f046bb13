//! A data directory as entries, in the order that makes a copy of it whole while a server writes.
//!
//! The journal comes first and logs, uploads and the rest after it: whatever a record speaks of was on disk before the
//! record was, so it is there when its turn comes. Segments and snapshots are opened before any is read, so that none of
//! them goes away in between. A length is taken when the file is opened. Links are never followed.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::{BackupError, DEPTH_MAX, Entry, Kind, Part, Sink};

/// How many segments and snapshots are held open at once. There are two generations of each.
const HELD_OPEN_MAX: usize = 512;
/// How often these files are listed again because one of them went away meanwhile.
const ATTEMPTS_MAX: usize = 100;
/// A file up to this length is read before it is announced, so that its length is certain.
const SMALL_BYTES_MAX: u64 = 256 << 10;

/// Reads the hive at `root` into `sink`. What could not be taken along and is no loss to the hive itself comes back as
/// notes.
pub fn read(root: &Path, with_keys: bool, sink: &mut dyn Sink) -> Result<Vec<String>, BackupError> {
    let dir = File::open(root).map_err(BackupError::io("open", root))?;
    let mut walk = Walk {
        sink,
        notes: Vec::new(),
    };
    let dir = OwnedFd::from(dir);
    let held = [Part::Journal, Part::Snapshots].map(|part| Held::open(&dir, part));
    for held in held {
        held?.read(&mut walk)?;
    }
    for part in Part::ALL {
        let is_done = matches!(part, Part::Journal | Part::Snapshots);
        if !is_done && (with_keys || part != Part::Keys) {
            walk.visit(&dir, OsStr::new(part.name()), Path::new(part.name()), part)?;
        }
    }
    Ok(walk.notes)
}

/// Bytes of what a backup of `root` holds, roughly: for showing progress.
pub fn estimate(root: &Path) -> u64 {
    fn of(path: &Path, depth: usize) -> u64 {
        let Ok(metadata) = path.symlink_metadata() else {
            return 0;
        };
        if !metadata.is_dir() {
            return metadata.len();
        }
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        match depth < DEPTH_MAX {
            true => entries.map(|entry| of(&entry.path(), depth + 1)).sum(),
            false => 0,
        }
    }
    Part::ALL
        .into_iter()
        .map(|part| of(&root.join(part.name()), 0))
        .sum()
}

/// The files of `journal/` or `snapshots/`, all open.
struct Held {
    part: Part,
    dir: Option<OwnedFd>,
    files: Vec<(PathBuf, OwnedFd)>,
}

impl Held {
    /// Opens all of them as they are at one time: a part that was listed before a purge and opened after it could have a
    /// gap.
    fn open(root: &OwnedFd, part: Part) -> Result<Self, BackupError> {
        let path = Path::new(part.name());
        let dir = match open_dir(root, OsStr::new(part.name())) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => {
                return Ok(Self {
                    part,
                    dir: None,
                    files: Vec::new(),
                });
            }
            Err(error) => return Err(failed("open", path, error)),
        };
        for _ in 0..ATTEMPTS_MAX {
            if let Some(files) = Self::open_all(&dir, part)? {
                return Ok(Self {
                    part,
                    dir: Some(dir),
                    files,
                });
            }
        }
        Err(failed("open all of", path, Errno::BUSY))
    }

    /// `None` if one of them went away.
    fn open_all(dir: &OwnedFd, part: Part) -> Result<Option<Vec<(PathBuf, OwnedFd)>>, BackupError> {
        let path = Path::new(part.name());
        let mut names = Vec::new();
        for name in names_in(dir, path)? {
            let name = name?;
            if part.takes(&name) {
                names.push(name);
            }
        }
        names.sort();
        if names.len() > HELD_OPEN_MAX {
            return Err(failed("hold open all of", path, Errno::MFILE));
        }
        let mut files = Vec::new();
        for name in names {
            match open_file(dir, &name) {
                Ok(file) => files.push((path.join(&name), file)),
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(failed("open", &path.join(&name), error)),
            }
        }
        Ok(Some(files))
    }

    fn read(self, walk: &mut Walk<'_>) -> Result<(), BackupError> {
        let Some(dir) = self.dir else { return Ok(()) };
        walk.directory(&dir, Path::new(self.part.name()))?;
        for (path, file) in self.files {
            walk.file(file, &path, self.part)?;
        }
        Ok(())
    }
}

struct Walk<'a> {
    sink: &'a mut dyn Sink,
    notes: Vec<String>,
}

impl Walk<'_> {
    fn visit(
        &mut self,
        dir: &OwnedFd,
        name: &OsStr,
        path: &Path,
        part: Part,
    ) -> Result<(), BackupError> {
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return self.lost(part, path, "look at", error),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => match open_file(dir, name) {
                Ok(file) => self.file(file, path, part),
                Err(error) => self.lost(part, path, "open", error),
            },
            FileType::Directory => match open_dir(dir, name) {
                Ok(inner) => self.inside(&inner, path, part),
                Err(error) => self.lost(part, path, "open", error),
            },
            FileType::Symlink if part == Part::Workers && path.components().count() > 2 => {
                match readlinkat(dir, name, Vec::new()) {
                    Ok(target) => self.link(&target, &stat, path),
                    Err(error) => self.lost(part, path, "read", error),
                }
            }
            _ => {
                self.note(path, "is no file, directory or link of a worker");
                Ok(())
            }
        }
    }

    fn inside(&mut self, dir: &OwnedFd, path: &Path, part: Part) -> Result<(), BackupError> {
        if path.components().count() >= DEPTH_MAX {
            self.note(path, "is nested too deeply");
            return Ok(());
        }
        self.directory(dir, path)?;
        for name in names_in(dir, path)? {
            let name = name?;
            let is_top = path.components().count() == 1;
            let is_ours = part != Part::Uploads || part.takes(&name);
            if is_ours && (!is_top || part.takes(&name)) {
                self.visit(dir, &name, &path.join(&name), part)?;
            }
        }
        Ok(())
    }

    fn directory(&mut self, dir: &OwnedFd, path: &Path) -> Result<(), BackupError> {
        let stat = fstat(dir).map_err(|error| failed("look at", path, error))?;
        let entry = entry(path, Kind::Directory, &stat);
        self.sink.put(&entry, &mut io::empty())
    }

    fn link(&mut self, target: &CStr, stat: &Stat, path: &Path) -> Result<(), BackupError> {
        let target = PathBuf::from(OsStr::from_bytes(target.to_bytes()));
        let entry = entry(path, Kind::Link { target }, stat);
        self.sink.put(&entry, &mut io::empty())
    }

    fn file(&mut self, file: OwnedFd, path: &Path, part: Part) -> Result<(), BackupError> {
        let stat = fstat(&file).map_err(|error| failed("look at", path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            self.note(path, "is no file any more");
            return Ok(());
        }
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        let mut file = File::from(file).take(bytes);
        if bytes <= SMALL_BYTES_MAX && part != Part::Journal {
            let mut content = Vec::new();
            file.read_to_end(&mut content)
                .map_err(BackupError::io("read", path))?;
            let bytes = content.len() as u64;
            let entry = entry(path, Kind::File { bytes }, &stat);
            return self.sink.put(&entry, &mut content.as_slice());
        }
        let mut content = Whole {
            file,
            left: bytes,
            is_short: false,
        };
        let entry = entry(path, Kind::File { bytes }, &stat);
        self.sink.put(&entry, &mut content)?;
        // The journal's reserved space, which is zeros, goes when a segment is sealed. Nothing else of ours ever shrinks.
        if content.is_short && part != Part::Journal {
            self.note(
                path,
                "became shorter while it was read; the copy ends in zeros",
            );
        }
        Ok(())
    }

    /// What belongs to the hive must be in a backup; of an engine's files as much as can be read.
    fn lost(
        &mut self,
        part: Part,
        path: &Path,
        action: &'static str,
        error: Errno,
    ) -> Result<(), BackupError> {
        match error {
            // It went away, or something else took its place.
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Ok(()),
            error if part == Part::Workers => {
                let reason = io::Error::from(error);
                self.notes
                    .push(format!("{} was left out: {reason}", path.display()));
                Ok(())
            }
            error => Err(failed(action, path, error)),
        }
    }

    fn note(&mut self, path: &Path, reason: &str) {
        let verb = match reason.starts_with("became") {
            true => "",
            false => "was left out: it ",
        };
        self.notes
            .push(format!("{} {verb}{reason}", path.display()));
    }
}

/// A file of exactly the length it had when it was opened.
struct Whole {
    file: io::Take<File>,
    left: u64,
    is_short: bool,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.left.min(buffer.len() as u64) as usize;
        let mut count = match self.is_short {
            true => 0,
            false => self.file.read(&mut buffer[..wanted])?,
        };
        if count == 0 && wanted > 0 {
            self.is_short = true;
            buffer[..wanted].fill(0);
            count = wanted;
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[allow(clippy::unnecessary_cast)] // The fields have other types on other systems.
fn entry(path: &Path, kind: Kind, stat: &Stat) -> Entry {
    Entry {
        path: path.to_owned(),
        kind,
        mode: stat.st_mode as u32 & 0o777,
        modified: u64::try_from(stat.st_mtime).unwrap_or(0),
    }
}

/// Not blocked by a pipe, not led astray by a link.
fn open_file(dir: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

fn open_dir(dir: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// The names in a directory but `.` and `..`, one at a time.
fn names_in<'a>(
    dir: &OwnedFd,
    path: &'a Path,
) -> Result<impl Iterator<Item = Result<std::ffi::OsString, BackupError>> + use<'a>, BackupError> {
    let list = Dir::read_from(dir.as_fd()).map_err(|error| failed("list", path, error))?;
    let names = list.map(move |item| {
        let item = item.map_err(|error| failed("list", path, error))?;
        Ok(OsStr::from_bytes(item.file_name().to_bytes()).to_owned())
    });
    Ok(names.filter(|name| !matches!(name, Ok(name) if name == "." || name == "..")))
}

fn failed(action: &'static str, path: &Path, error: Errno) -> BackupError {
    BackupError::io(action, path)(error.into())
}
