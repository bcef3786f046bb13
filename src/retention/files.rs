//! The files below `logs/` and `uploads/`: found and removed by their directory, so that no link is ever followed.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::model::Millis;

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The directory that it is in, by its name.
    pub folder: String,
    /// Its name.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// When it was changed last.
    pub modified: Millis,
}

/// Shows every regular file of `root/part/*/`, in no order. What vanishes meanwhile is not shown, and neither is a name
/// that Skep would not give.
pub fn each(
    root: &Path,
    part: &str,
    mut visit: impl FnMut(Found) -> io::Result<()>,
) -> io::Result<()> {
    let Some(part) = open_part(root, part)? else {
        return Ok(());
    };
    for folder in names_in(&part)? {
        let folder = folder?;
        let Some(inner) = enter(&part, &folder)? else {
            continue;
        };
        for name in names_in(&inner)? {
            let name = name?;
            let Ok(stat) = statat(&inner, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
                visit(Found {
                    folder: folder.clone(),
                    name,
                    bytes: u64::try_from(stat.st_size).unwrap_or(0),
                    modified: seconds.saturating_mul(1000),
                })?;
            }
        }
    }
    Ok(())
}

/// Removes a file that was found; tells whether it was still there.
pub fn remove(root: &Path, part: &str, file: &Found) -> io::Result<bool> {
    let Some(part) = open_part(root, part)? else {
        return Ok(false);
    };
    let Some(folder) = enter(&part, &file.folder)? else {
        return Ok(false);
    };
    match unlinkat(&folder, file.name.as_str(), AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::ISDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes the empty directories of `root/part/` into which nothing came or went since `settled`: whoever makes one is
/// about to use it.
pub fn remove_empty(root: &Path, part: &str, settled: Millis) -> io::Result<()> {
    let Some(part) = open_part(root, part)? else {
        return Ok(());
    };
    for folder in names_in(&part)? {
        let folder = folder?;
        let Ok(stat) = statat(&part, folder.as_str(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let changed = u64::try_from(stat.st_mtime)
            .unwrap_or(0)
            .saturating_mul(1000);
        if is_directory && changed < settled {
            match unlinkat(&part, folder.as_str(), AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn open_part(root: &Path, part: &str) -> io::Result<Option<OwnedFd>> {
    enter(&OwnedFd::from(File::open(root)?), part)
}

/// A directory in a directory; `None` where there is none, or a link or a file in its place.
fn enter(dir: &OwnedFd, name: &str) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(dir, name, flags, Mode::empty()) {
        Ok(inner) => Ok(Some(inner)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The names in a directory, but for those that begin with a dot or are no text.
fn names_in(dir: &OwnedFd) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    let entries = Dir::read_from(dir)?;
    Ok(entries.filter_map(|entry| match entry {
        Ok(entry) => OsStr::from_bytes(entry.file_name().to_bytes())
            .to_str()
            .filter(|name| !name.starts_with('.'))
            .map(|name| Ok(name.to_owned())),
        Err(error) => Some(Err(error.into())),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_found_and_removed_and_no_link_is_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("a.log"), "kept").unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("logs/2026-11/deep")).unwrap();
        for name in ["2026-11/a.log", "2026-11/.hidden", "2026-11/deep/b", "c"] {
            fs::write(root.path().join("logs").join(name), "text").unwrap();
        }
        symlink(outside.path(), root.path().join("logs/linked")).unwrap();
        symlink(
            outside.path().join("a.log"),
            root.path().join("logs/2026-11/l"),
        )
        .unwrap();
        let mut found = Vec::new();
        each(root.path(), "logs", |file| {
            found.push(file);
            Ok(())
        })
        .unwrap();
        let [file] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((file.name.as_str(), file.bytes), ("a.log", 4));
        assert!(file.modified > 0);
        assert!(remove(root.path(), "logs", file).unwrap());
        assert!(!remove(root.path(), "logs", file).unwrap());
        let linked = Found {
            folder: "linked".to_owned(),
            ..file.clone()
        };
        assert!(!remove(root.path(), "logs", &linked).unwrap());
        assert!(outside.path().join("a.log").exists());
        assert!(each(root.path(), "nothing", |_| Ok(())).is_ok());
    }
}
