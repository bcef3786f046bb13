//! A directory that is never left: files are opened beneath it, whatever its links say and whoever swaps them meanwhile.
//!
//! Every path is looked up by the kernel in one step (`openat2` with `RESOLVE_BENEATH`), or, where it has none, name by
//! name without following a single link. Nothing is checked first and opened later.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::ToolError;
use crate::model::limits::PATH_BYTES_MAX;

/// How deep a path may go.
pub const DEPTH_MAX: usize = 64;

/// Files that are not ordinary must not block whoever opens them, and a terminal must not become ours.
const OPEN: OFlags = OFlags::CLOEXEC
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);
const NEW_FILE: Mode = Mode::from_raw_mode(0o666);
const NEW_DIRECTORY: Mode = Mode::from_raw_mode(0o777);

/// A path below a directory: relative, without `..`, not empty unless it means the directory itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelativePath(PathBuf);

impl RelativePath {
    /// The path that `text` names. `.` and the empty text are the directory itself.
    pub fn parse(text: &str) -> Result<Self, ToolError> {
        if text.contains('\0') {
            return Err(ToolError::InvalidArguments(
                "a path cannot hold NUL characters".to_owned(),
            ));
        }
        if text.len() > PATH_BYTES_MAX {
            return Err(ToolError::InvalidArguments(format!(
                "a path has at most {PATH_BYTES_MAX} bytes"
            )));
        }
        let mut path = PathBuf::new();
        for component in Path::new(text).components() {
            match component {
                Component::CurDir => {}
                Component::Normal(name) => path.push(name),
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(outside(text));
                }
            }
        }
        if path.components().count() > DEPTH_MAX {
            return Err(ToolError::InvalidArguments(format!(
                "a path has at most {DEPTH_MAX} parts"
            )));
        }
        Ok(Self(path))
    }

    /// The path, `.` for the directory itself.
    pub fn as_path(&self) -> &Path {
        if self.is_root() {
            Path::new(".")
        } else {
            &self.0
        }
    }

    /// Whether it is the directory itself.
    pub fn is_root(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    /// The directory it is in, and its name there; `None` for the directory itself.
    fn split(&self) -> Option<(RelativePath, &Path)> {
        let name = Path::new(self.0.file_name()?);
        let parent = self.0.parent().unwrap_or(Path::new(""));
        Some((Self(parent.to_owned()), name))
    }

    /// `name` in this directory.
    pub fn join(&self, name: &Path) -> Self {
        Self(self.0.join(name))
    }
}

impl std::fmt::Display for RelativePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&printable(&self.as_path().to_string_lossy()))
    }
}

/// A name as one line of text: what would steer a terminal, or turn the text around, is spelled out.
pub fn printable(text: &str) -> String {
    let mut printed = String::with_capacity(text.len());
    for character in text.chars() {
        let steers = character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if steers {
            printed.extend(character.escape_unicode());
        } else {
            printed.push(character);
        }
    }
    printed
}

/// What is in a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name; it need not be text.
    pub name: PathBuf,
    /// What it is; a link is not followed.
    pub kind: FileType,
}

/// A directory, open.
#[derive(Debug)]
pub struct Beneath {
    root: OwnedFd,
}

impl Beneath {
    /// Opens `path`, which has no links: whoever chose it resolved them, and what has become one since is somebody
    /// else's idea.
    pub fn open(path: &Path) -> Result<Self, ToolError> {
        match open_root(path) {
            Ok(root) => Ok(Self { root }),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(ToolError::Refused(
                "the work directory is no directory any more; somebody put a link or a file in its place"
                    .to_owned(),
            )),
            Err(Errno::NOENT) => Err(ToolError::NotFound(
                "the work directory is gone; somebody removed it".to_owned(),
            )),
            Err(error) => Err(ToolError::Failed(format!(
                "the work directory cannot be opened: {error}"
            ))),
        }
    }

    /// An ordinary file, for reading.
    pub fn file(&self, path: &RelativePath) -> Result<(File, Stat), ToolError> {
        ordinary(self.find(path, OFlags::RDONLY, Mode::empty())?, path)
    }

    /// An ordinary file, for writing at its end; made if it is not there, and so are its directories.
    pub fn file_to_append(&self, path: &RelativePath) -> Result<(File, Stat), ToolError> {
        self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        ordinary(self.find(path, flags, NEW_FILE)?, path)
    }

    /// What is at `path`, without following a link there.
    pub fn look(&self, path: &RelativePath) -> Result<Stat, ToolError> {
        let Some((parent, name)) = path.split() else {
            return rustix::fs::fstat(&self.root).map_err(|error| failed(path, error));
        };
        let parent = self.directory(&parent)?;
        rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed(path, error))
    }

    /// What is in a directory, in no order; at most `entries_max` and whether there are more.
    pub fn entries(
        &self,
        path: &RelativePath,
        entries_max: usize,
    ) -> Result<(Vec<Entry>, bool), ToolError> {
        let directory = self.directory(path)?;
        let mut entries = Vec::new();
        let reader = Dir::read_from(&directory).map_err(|error| failed(path, error))?;
        for entry in reader {
            let entry = entry.map_err(|error| failed(path, error))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if entries.len() == entries_max {
                return Ok((entries, true));
            }
            let name = PathBuf::from(std::ffi::OsStr::from_bytes(name));
            let kind = match entry.file_type() {
                // Some file systems leave it to stat.
                FileType::Unknown => {
                    rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)
                        .map_or(FileType::Unknown, |stat| {
                            FileType::from_raw_mode(stat.st_mode)
                        })
                }
                kind => kind,
            };
            entries.push(Entry { name, kind });
        }
        Ok((entries, false))
    }

    /// Writes a new file and the directories it needs. A file that is there is refused.
    pub fn create(&self, path: &RelativePath, content: &[u8]) -> Result<(), ToolError> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OPEN;
        let file = rustix::fs::openat(&parent, name, flags, NEW_FILE)
            .map_err(|error| failed(path, error))?;
        File::from(file).write_all(content).map_err(|error| {
            let _ = rustix::fs::unlinkat(&parent, name, AtFlags::empty());
            io_failed(path, &error)
        })
    }

    /// Puts `content` in the place of a file, as a whole: readers see the old one or the new one. A link is replaced,
    /// not followed.
    pub fn replace(&self, path: &RelativePath, content: &[u8]) -> Result<(), ToolError> {
        let (parent, name) = self.parent(path)?;
        let mode = match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Some(Mode::from_raw_mode(stat.st_mode & 0o777)),
                FileType::Symlink => None,
                kind => return Err(not_a_file(path, kind)),
            },
            Err(Errno::NOENT) => None,
            Err(error) => return Err(failed(path, error)),
        };
        let temporary = PathBuf::from(format!(".skep-{}.tmp", uuid::Uuid::now_v7()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OPEN;
        let file = rustix::fs::openat(&parent, &temporary, flags, NEW_FILE)
            .map_err(|error| failed(path, error))?;
        let mut file = File::from(file);
        let replaced = file
            .write_all(content)
            .and_then(|()| match mode {
                Some(mode) => Ok(rustix::fs::fchmod(&file, mode)?),
                None => Ok(()),
            })
            .and_then(|()| Ok(rustix::fs::renameat(&parent, &temporary, &parent, name)?));
        replaced.map_err(|error| {
            let _ = rustix::fs::unlinkat(&parent, &temporary, AtFlags::empty());
            io_failed(path, &error)
        })
    }

    /// The directory that a new file goes into, made if it is not there, and the file's name.
    fn parent<'a>(&self, path: &'a RelativePath) -> Result<(OwnedFd, &'a Path), ToolError> {
        let Some((parent, name)) = path.split() else {
            return Err(not_a_file(path, FileType::Directory));
        };
        match self.directory(&parent) {
            Err(ToolError::NotFound(_)) => {}
            found => return Ok((found?, name)),
        }
        let mut so_far = RelativePath(PathBuf::new());
        for component in parent.0.components() {
            let directory = self.directory(&so_far)?;
            let component = Path::new(component.as_os_str());
            match rustix::fs::mkdirat(&directory, component, NEW_DIRECTORY) {
                Ok(()) | Err(Errno::EXIST) => so_far = so_far.join(component),
                Err(error) => return Err(failed(path, error)),
            }
        }
        Ok((self.directory(&parent)?, name))
    }

    fn directory(&self, path: &RelativePath) -> Result<OwnedFd, ToolError> {
        self.find(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    fn find(&self, path: &RelativePath, flags: OFlags, mode: Mode) -> Result<OwnedFd, ToolError> {
        let flags = flags | OPEN;
        #[cfg(target_os = "linux")]
        match in_one_step(&self.root, path, flags, mode) {
            // An old kernel, or a filter that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            found => return found.map_err(|error| failed(path, error)),
        }
        name_by_name(&self.root, path, flags, mode).map_err(|error| failed(path, error))
    }
}

fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, ResolveFlags};
        let resolve = ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve) {
            // An old kernel, or a filter that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return opened,
        }
    }
    rustix::fs::open(path, flags | OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(target_os = "linux")]
fn in_one_step(
    root: &OwnedFd,
    path: &RelativePath,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
    /// The kernel asks to try again when a directory moved meanwhile; somebody who moves it all the time does not keep
    /// us here.
    const TRIES: usize = 16;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut found = Err(Errno::AGAIN);
    for _ in 0..TRIES {
        found = rustix::fs::openat2(root, path.as_path(), flags, mode, resolve);
        if !matches!(found, Err(Errno::AGAIN | Errno::INTR)) {
            break;
        }
    }
    found
}

/// Follows no link at all, which is stricter than it has to be.
pub(super) fn name_by_name(
    root: &OwnedFd,
    path: &RelativePath,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let step = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OPEN;
    let Some((parent, name)) = path.split() else {
        return rustix::fs::openat(root, ".", flags, mode);
    };
    let mut directory = rustix::fs::openat(root, ".", step, Mode::empty())?;
    for component in parent.0.components() {
        directory = rustix::fs::openat(&directory, component.as_os_str(), step, Mode::empty())?;
    }
    rustix::fs::openat(&directory, name, flags | OFlags::NOFOLLOW, mode)
}

fn ordinary(file: OwnedFd, path: &RelativePath) -> Result<(File, Stat), ToolError> {
    let stat = rustix::fs::fstat(&file).map_err(|error| failed(path, error))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((File::from(file), stat)),
        kind => Err(not_a_file(path, kind)),
    }
}

/// Reads at most `bytes_max` bytes.
pub fn read_up_to(
    file: &mut File,
    bytes_max: u64,
    path: &RelativePath,
) -> Result<Vec<u8>, ToolError> {
    let mut bytes = Vec::new();
    file.take(bytes_max)
        .read_to_end(&mut bytes)
        .map_err(|error| io_failed(path, &error))?;
    Ok(bytes)
}

fn outside(path: &str) -> ToolError {
    ToolError::Denied(format!(
        "`{}` is outside the work directory; paths are relative to it, without `..`",
        printable(path)
    ))
}

fn not_a_file(path: &RelativePath, kind: FileType) -> ToolError {
    let what = match kind {
        FileType::Directory => "a directory",
        FileType::Symlink => "a link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    ToolError::Refused(format!("`{path}` is {what}, not a file"))
}

/// What the system said, in words.
pub fn failed(path: &RelativePath, error: Errno) -> ToolError {
    match error {
        Errno::NOENT => ToolError::NotFound(format!("there is no `{path}` here")),
        Errno::EXIST => ToolError::Exists(format!("`{path}` is there already")),
        Errno::XDEV => ToolError::Denied(format!(
            "`{path}` leads outside the work directory, by a link"
        )),
        Errno::LOOP => ToolError::Denied(format!(
            "`{path}` is a link that leads in a circle or may not be followed"
        )),
        Errno::NOTDIR => ToolError::Refused(format!("a part of `{path}` is not a directory")),
        Errno::ISDIR => not_a_file(path, FileType::Directory),
        Errno::NXIO => not_a_file(path, FileType::Fifo),
        Errno::ACCESS | Errno::PERM => {
            ToolError::Denied(format!("the system does not allow access to `{path}`"))
        }
        Errno::NAMETOOLONG => ToolError::InvalidArguments(format!("`{path}` is too long a name")),
        Errno::NOSPC | Errno::DQUOT => ToolError::Unavailable("the disk is full".to_owned()),
        error => ToolError::Failed(format!("`{path}`: {error}")),
    }
}

/// As [`failed`], from a reader or writer.
pub fn io_failed(path: &RelativePath, error: &io::Error) -> ToolError {
    match Errno::from_io_error(error) {
        Some(error) => failed(path, error),
        None => ToolError::Failed(format!("`{path}`: {error}")),
    }
}
