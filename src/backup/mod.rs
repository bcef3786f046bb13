//! Backups: the files of a hive as one archive, and back.
//!
//! Owns what belongs to a backup, the archive's bytes, and the checks against hostile ones. Must never know what the
//! files mean. A backup is a live copy: it is taken from the files, also while a server writes them, in an order that
//! makes the copy whole (see [`source`]). Start reading at [`Entry`] and [`Sink`]: [`source`] and [`archive::read`] give
//! entries, [`archive::Writer`] and [`unpack::Unpacker`] take them.

pub mod archive;
pub mod source;
pub mod unpack;

#[cfg(test)]
mod hostile;

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;
/// The longest path within a hive.
pub const PATH_BYTES_MAX: usize = 4096;
/// How deep directories may be nested.
pub const DEPTH_MAX: usize = 128;
/// How much is copied at once.
const COPY_BYTES: usize = 256 << 10;

/// What an archive says of itself, as its first entry `skep-backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the archive.
    pub format: u32,
    /// The version that wrote it.
    pub version: String,
    /// When it was begun, Unix milliseconds.
    pub created_at: u64,
    /// Whether the secrets are in it.
    pub with_keys: bool,
}

impl Manifest {
    /// Of an archive that this version begins now.
    pub fn new(now_ms: u64, with_keys: bool) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: now_ms,
            with_keys,
        }
    }
}

/// A file, directory or link of a hive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is in the data directory.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its permissions.
    pub mode: u32,
    /// When it was changed last, Unix seconds.
    pub modified: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file of this length.
    File {
        /// Its length.
        bytes: u64,
    },
    /// A symbolic link; it is never followed.
    Link {
        /// Where it points to.
        target: PathBuf,
    },
}

/// Takes the entries of a hive, parents before what is in them.
pub trait Sink {
    /// Takes one entry. `content` yields exactly the bytes of a file.
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), BackupError>;
}

/// Why a backup could not be written, read or unpacked; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error("this is no backup that Skep wrote: {0}")]
    NotABackup(&'static str),
    /// A newer version wrote it.
    #[error("the backup has format {found}, this version reads up to {FORMAT}: use a newer Skep")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// It does not read to its end.
    #[error("the backup is damaged or cut off: {0}; take another one")]
    Damaged(String),
    /// It holds what no backup holds. Nothing of it may be believed.
    #[error(
        "the backup holds {what} ({path:?}), which no backup of Skep does; nothing was restored"
    )]
    Hostile {
        /// What it is.
        what: &'static str,
        /// Its path, as it stands there.
        path: String,
    },
    /// There is not enough room.
    #[error(
        "the backup needs {needed} bytes and more, and there are {free} free; free some space first"
    )]
    TooLarge {
        /// What is known to be needed.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// Whoever takes the archive is gone, or its disk refused.
    #[error("the archive could not be written: {0}")]
    Output(io::Error),
}

impl BackupError {
    fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    fn hostile(what: &'static str, path: &Path) -> Self {
        Self::Hostile {
            what,
            path: path.display().to_string(),
        }
    }
}

/// The parts of a hive that a backup holds. What is not here is disposable, or belongs to a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `journal/`
    Journal,
    /// `snapshots/`
    Snapshots,
    /// `logs/`
    Logs,
    /// `uploads/`
    Uploads,
    /// `workers/`
    Workers,
    /// `keys/`
    Keys,
    /// `skep.toml`
    Settings,
    /// `instance.json`: so that what is restored knows that it is a copy.
    Instance,
}

impl Part {
    /// In the order in which a live copy has to be taken.
    ///
    /// A snapshot that is newer than the journal is fine, since it holds all of it; a log or an upload that is newer than
    /// both is, too, and whatever the journal knows of is there by then, because it was before the journal knew of it.
    pub const ALL: [Self; 8] = [
        Self::Journal,
        Self::Snapshots,
        Self::Logs,
        Self::Uploads,
        Self::Workers,
        Self::Keys,
        Self::Settings,
        Self::Instance,
    ];

    /// Its name in the data directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Snapshots => "snapshots",
            Self::Logs => "logs",
            Self::Uploads => "uploads",
            Self::Workers => "workers",
            Self::Keys => "keys",
            Self::Settings => "skep.toml",
            Self::Instance => "instance.json",
        }
    }

    /// Whether it is one file.
    pub fn is_file(self) -> bool {
        matches!(self, Self::Settings | Self::Instance)
    }

    /// Whether a name in it is one that a backup holds: not what is unfinished, set aside, or not ours.
    fn takes(self, name: &OsStr) -> bool {
        let has = |suffix: &str| {
            name.to_str()
                .and_then(|name| name.strip_suffix(suffix))
                .is_some_and(|digits| {
                    digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())
                })
        };
        match self {
            Self::Journal => has(".seg"),
            Self::Snapshots => has(".snap"),
            Self::Keys => !name.as_encoded_bytes().ends_with(b".tmp"),
            Self::Uploads => !name.as_encoded_bytes().starts_with(b".upload-"),
            Self::Logs | Self::Workers | Self::Settings | Self::Instance => true,
        }
    }
}

/// The part of the hive that a path of an entry is in. Whatever could lead out of the data directory, or is no part of a
/// backup, is refused.
pub fn part_of(entry: &Entry) -> Result<Part, BackupError> {
    let path = entry.path.as_path();
    let hostile = |what| Err(BackupError::hostile(what, path));
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() || bytes.len() > PATH_BYTES_MAX || bytes.contains(&0) {
        return hostile("a name that no file can have");
    }
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::RootDir | Component::Prefix(_) => return hostile("an absolute path"),
            Component::ParentDir => return hostile("a path with `..`"),
            Component::CurDir => return hostile("a path with `.`"),
        }
    }
    if names.len() > DEPTH_MAX {
        return hostile("directories nested too deeply");
    }
    let part = Part::ALL.into_iter().find(|part| names[0] == part.name());
    let Some(part) = part else {
        return hostile("a file of another kind");
    };
    let is_directory = entry.kind == Kind::Directory;
    let fits = match names.len() {
        1 => is_directory != part.is_file(),
        2 => !part.is_file() && part.takes(names[1]),
        _ => !matches!(part, Part::Journal | Part::Snapshots) && !part.is_file(),
    };
    let is_flat = matches!(part, Part::Journal | Part::Snapshots) && names.len() == 2;
    if !fits || (is_flat && is_directory) {
        return hostile("a file of another kind");
    }
    match entry.kind {
        // An engine may link what it likes in its own directory; everything else is ours and has no links.
        Kind::Link { .. } if part != Part::Workers || names.len() < 3 => hostile("a link"),
        _ => Ok(part),
    }
}

/// The file name of an archive that is begun now: `skep-20261122T144500Z.tar.zst`.
pub fn file_name(now_ms: u64) -> String {
    let at = i64::try_from(now_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or_default();
    format!("skep-{}.tar.zst", at.strftime("%Y%m%dT%H%M%SZ"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry {
            path: PathBuf::from(path),
            kind,
            mode: 0o600,
            modified: 0,
        }
    }

    /// Only what a backup holds has a part; nothing leads out of the data directory.
    #[test]
    fn a_path_is_in_its_part_or_refused() {
        let file = || Kind::File { bytes: 0 };
        let link = || Kind::Link {
            target: PathBuf::from("x"),
        };
        for (path, kind, part) in [
            ("journal", Kind::Directory, Part::Journal),
            ("journal/00000000000000000001.seg", file(), Part::Journal),
            (
                "snapshots/00000000000000000001.snap",
                file(),
                Part::Snapshots,
            ),
            ("logs/2026-11/x.log", file(), Part::Logs),
            ("workers/a/..b/c", file(), Part::Workers),
            ("workers/a/link", link(), Part::Workers),
            ("skep.toml", file(), Part::Settings),
        ] {
            assert_eq!(part_of(&entry(path, kind)).unwrap(), part, "{path}");
        }
        let deep = format!("workers/{}", "d/".repeat(DEPTH_MAX));
        let long = format!("workers/{}", "d".repeat(PATH_BYTES_MAX));
        for (path, kind) in [
            ("", file()),
            ("/etc/passwd", file()),
            ("../x", file()),
            ("workers/../../x", file()),
            ("workers/a/../b", file()),
            ("./journal", Kind::Directory),
            ("x", file()),
            ("hive.redb", file()),
            ("control.json", file()),
            ("journal", file()),
            ("skep.toml", Kind::Directory),
            ("skep.toml/x", file()),
            ("journal/x.seg", file()),
            ("journal/00000000000000000001.seg", Kind::Directory),
            ("journal/00000000000000000001.seg/x", file()),
            ("journal/00000000000000000001.seg", link()),
            ("keys/signing.key.tmp", file()),
            ("keys/signing.key", link()),
            ("uploads/x", link()),
            ("workers/a", link()),
            ("workers", link()),
            ("workers/a\0b", file()),
            (&deep, file()),
            (&long, file()),
        ] {
            let refused = part_of(&entry(path, kind));
            assert!(
                matches!(refused, Err(BackupError::Hostile { .. })),
                "{path}"
            );
        }
    }

    #[test]
    fn an_archive_is_named_by_its_time() {
        assert_eq!(
            file_name(1_795_358_700_000),
            "skep-20261122T144500Z.tar.zst"
        );
    }
}
