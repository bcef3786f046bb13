//! Entries back into a directory that did not exist before.
//!
//! Nothing is ever written through a link: links come last, when every file is there, and only those that stay within
//! their worker's directory. Room is counted before a byte is written.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::{BackupError, COPY_BYTES, Entry, Kind, Part, Sink, part_of};

/// How many files, directories and links a backup may hold.
pub const ENTRIES_MAX: u64 = 10_000_000;
/// What stays free on the disk.
pub const FREE_BYTES_MIN: u64 = 64 << 20;

/// How much of the content is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All of it.
    Everything,
    /// Journal and snapshots; of other files the length alone, which takes no room.
    Checkable,
}

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was left out and why.
    pub notes: Vec<String>,
}

/// Unpacks into a new directory. Dropped before [`Unpacker::finish`], it leaves what it wrote to its caller to remove.
pub struct Unpacker {
    root: PathBuf,
    depth: Depth,
    free: u64,
    entries: u64,
    done: Unpacked,
    /// Made last, so that nothing is written through them.
    links: Vec<(PathBuf, PathBuf)>,
    /// Set last, so that a read-only directory can be filled.
    modes: Vec<(PathBuf, u32)>,
}

impl Unpacker {
    /// Makes `root`, which must not exist.
    pub fn new(root: &Path, depth: Depth) -> Result<Self, BackupError> {
        DirBuilder::new()
            .mode(0o700)
            .create(root)
            .map_err(BackupError::io("create", root))?;
        let disk = rustix::fs::statvfs(root)
            .map_err(|error| BackupError::io("look at", root)(error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        Ok(Self {
            root: root.to_owned(),
            depth,
            free: free.saturating_sub(FREE_BYTES_MIN),
            entries: 0,
            done: Unpacked::default(),
            links: Vec::new(),
            modes: Vec::new(),
        })
    }

    /// Makes links and modes, and everything durable.
    pub fn finish(mut self) -> Result<Unpacked, BackupError> {
        if self.depth == Depth::Checkable {
            return Ok(self.done);
        }
        for (path, target) in &self.links {
            let place = self.root.join(path);
            std::os::unix::fs::symlink(target, &place).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => BackupError::hostile("a file twice", path),
                _ => BackupError::io("link", &place)(error),
            })?;
        }
        // Deepest first: a directory that may not be entered is closed after what is in it.
        for (path, mode) in self.modes.drain(..).rev() {
            let place = self.root.join(path);
            fs::set_permissions(&place, Permissions::from_mode(mode))
                .map_err(BackupError::io("set the mode of", &place))?;
        }
        sync(&self.root).map_err(BackupError::io("sync", &self.root))?;
        Ok(self.done)
    }

    fn parents(&self, entry: &Entry) -> Result<(), BackupError> {
        match entry.path.parent() {
            Some(parent) => DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(self.root.join(parent))
                .map_err(|error| twice("create the directory of", entry, error)),
            None => Ok(()),
        }
    }

    fn directory(&mut self, entry: &Entry, part: Part) -> Result<(), BackupError> {
        let place = self.root.join(&entry.path);
        match DirBuilder::new().mode(0o700).create(&place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && place.is_dir() => {}
            made => made.map_err(|error| twice("create", entry, error))?,
        }
        let mode = entry.mode & 0o777;
        if part == Part::Workers && entry.path.components().count() > 2 && mode != 0o700 {
            self.modes.push((entry.path.clone(), mode));
        }
        Ok(())
    }

    fn file(
        &mut self,
        entry: &Entry,
        part: Part,
        bytes: u64,
        content: &mut dyn Read,
    ) -> Result<(), BackupError> {
        let place = self.root.join(&entry.path);
        let mode = match part {
            Part::Workers => entry.mode & 0o777,
            _ => entry.mode & 0o700,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode | 0o200)
            .open(&place)
            .map_err(|error| twice("create", entry, error))?;
        let is_whole = self.depth == Depth::Everything
            || matches!(part, Part::Journal | Part::Snapshots | Part::Instance);
        if is_whole {
            let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(bytes).unwrap_or(COPY_BYTES))];
            let mut left = bytes;
            while left > 0 {
                let wanted = left.min(buffer.len() as u64) as usize;
                content
                    .read_exact(&mut buffer[..wanted])
                    .map_err(BackupError::io("read", &entry.path))?;
                file.write_all(&buffer[..wanted])
                    .map_err(BackupError::io("write", &place))?;
                left -= wanted as u64;
            }
        } else {
            file.set_len(bytes)
                .map_err(BackupError::io("write", &place))?;
        }
        if mode & 0o200 == 0 {
            file.set_permissions(Permissions::from_mode(mode))
                .map_err(BackupError::io("set the mode of", &place))?;
        }
        let modified =
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(entry.modified.min(1 << 40));
        // A log's time is what its readers are told; any other time is no loss.
        let _ = file.set_modified(modified);
        self.done.files += 1;
        self.done.bytes += bytes;
        Ok(())
    }

    fn link(&mut self, entry: &Entry, target: &Path) {
        match stays_within(&entry.path, target) {
            true => self.links.push((entry.path.clone(), target.to_owned())),
            false => self.done.notes.push(format!(
                "{} was left out: it is a link to {}, outside its worker's directory",
                entry.path.display(),
                target.display()
            )),
        }
    }
}

impl Sink for Unpacker {
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), BackupError> {
        let part = part_of(entry)?;
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(BackupError::hostile("too many files", &entry.path));
        }
        match &entry.kind {
            Kind::File { bytes } => {
                let needed = self.done.bytes.saturating_add(*bytes);
                if needed > self.free {
                    return Err(BackupError::TooLarge {
                        needed,
                        free: self.free,
                    });
                }
                self.parents(entry)?;
                self.file(entry, part, *bytes, content)
            }
            Kind::Directory => {
                self.parents(entry)?;
                self.directory(entry, part)
            }
            Kind::Link { target } => {
                self.parents(entry)?;
                self.link(entry, target);
                Ok(())
            }
        }
    }
}

/// Whether a link of a worker's directory leads to somewhere in that directory.
fn stays_within(path: &Path, target: &Path) -> bool {
    // `workers/<id>/…/link`: as many directories up as there are below the worker's.
    let Some(mut depth) = path.components().count().checked_sub(3) else {
        return false;
    };
    if target.as_os_str().is_empty() {
        return false;
    }
    let mut goes_down = false;
    for component in target.components() {
        match component {
            Component::Normal(_) => goes_down = true,
            Component::CurDir => {}
            // Up again, after what may itself be a link, could be anywhere.
            Component::ParentDir if goes_down => return false,
            Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

fn twice(action: &'static str, entry: &Entry, error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            BackupError::hostile("a file twice", &entry.path)
        }
        _ => BackupError::io(action, &entry.path)(error),
    }
}

/// Makes everything below `root` durable.
#[cfg(target_os = "linux")]
fn sync(root: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(root)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync(root: &Path) -> io::Result<()> {
    rustix::fs::sync();
    File::open(root)?.sync_all()
}
