//! The data directory: where everything is, whose it is, and whether it is the one it was.
//!
//! Owns the paths, the lock and the identity. Must never know what is in the files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{SessionId, WorkDir, WorkerId};

/// Why the data directory cannot be used; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{} is in use by {holder}; stop that one first, or choose another directory with --data", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who has it, as far as the lock says.
        holder: String,
    },
    /// The path is something else.
    #[error("{} is not a directory; choose another one with --data", .0.display())]
    NotADirectory(PathBuf),
    /// The file system refused.
    #[error("cannot {action} {}: {source}; choose another directory with --data", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file that says whose directory this is does not read.
    #[error("{} does not read ({reason}); take it from a backup, or remove it to let the directory start as a copy", path.display())]
    Instance {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// An open data directory; dropping it lets the next one in.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    /// Held for its lock.
    _lock: File,
    instance: Instance,
    is_copy: bool,
}

/// Whose directory this is: `instance.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// In tokens and cookie names, so that two of them on one host do not meet.
    pub id: Uuid,
    /// Which directory it was written in.
    directory: FileIdentity,
}

/// What tells a file or directory from its copy: a copy has another inode, or was created at another time. The device
/// number is not used: many file systems get another one with every boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    inode: u64,
    /// When it was created, nanoseconds since 1970; 0 where the file system does not keep that.
    created_ns: u64,
}

impl FileIdentity {
    /// The identity of what is at `path`.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let created = metadata
            .created()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let created_ns = created.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        Ok(Self {
            inode: metadata.ino(),
            created_ns,
        })
    }
}

const INSTANCE_FILE: &str = "instance.json";
const LOCK_FILE: &str = "lock";
/// How long a lock is waited for that a process held which is gone.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
/// The pause between two tries.
const LOCK_INTERVAL: Duration = Duration::from_millis(10);
/// Under `uploads/`; no chat's id begins with a dot.
const INCOMING_DIR: &str = ".incoming";
/// The most that is read of `instance.json` and of the lock.
const SMALL_FILE_BYTES_MAX: u64 = 4096;

impl DataDir {
    /// Opens `root`, making it if it is not there, and locks it.
    pub fn open(root: &Path) -> Result<Self, DataDirError> {
        let made = make_dir(root)?;
        let root = fs::canonicalize(root).map_err(io_error("find", root))?;
        let lock = lock(&root)?;
        let directory = FileIdentity::of(&root).map_err(io_error("look at", &root))?;
        let fresh = || Instance {
            id: Uuid::now_v7(),
            directory,
        };
        let (instance, is_copy) = match read_instance(&root)? {
            Some(instance) if instance.directory == directory => (instance, false),
            // The file is left as it is until the copy is confirmed.
            Some(_) => (fresh(), true),
            None if !made && root.join("journal").exists() => (fresh(), true),
            None => {
                write_instance(&root, &fresh())?;
                (read_instance(&root)?.unwrap_or_else(fresh), false)
            }
        };
        let data = Self {
            root,
            _lock: lock,
            instance,
            is_copy,
        };
        // Nobody waits for the uploads that a crash broke off.
        let _ = fs::remove_dir_all(data.incoming());
        let dirs = ["logs", "uploads", "workers", "keys"].map(|dir| data.root.join(dir));
        for dir in dirs.into_iter().chain([data.incoming()]) {
            make_dir(&dir)?;
        }
        Ok(data)
    }

    /// Opens `root` for a look, without a lock: whether it is a copy is all that is known.
    pub fn looks_like_copy(root: &Path) -> Result<bool, DataDirError> {
        let directory = FileIdentity::of(root).map_err(io_error("look at", root))?;
        Ok(read_instance(root)?.is_none_or(|instance| instance.directory != directory))
    }

    /// Whose it is.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Whether it is a copy that nobody has confirmed.
    pub fn is_copy(&self) -> bool {
        self.is_copy
    }

    /// The copy is a hive of its own from now on.
    pub fn confirm(&self) -> Result<(), DataDirError> {
        write_instance(&self.root, &self.instance)
    }

    /// The directory itself, absolute and without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The tables.
    pub fn hive(&self) -> PathBuf {
        self.root.join("hive.redb")
    }

    /// What search looks things up in; disposable.
    pub fn search(&self) -> PathBuf {
        self.root.join("search")
    }

    /// The journal's segments.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The snapshots.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// The keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Where the address and the control key of the running server are.
    pub fn control(&self) -> PathBuf {
        self.root.join("control.json")
    }

    /// What was attached in a chat.
    pub fn uploads(&self, session: SessionId) -> PathBuf {
        self.root.join("uploads").join(session.to_string())
    }

    /// What is on its way into a chat. A start empties it.
    pub fn incoming(&self) -> PathBuf {
        self.root.join("uploads").join(INCOMING_DIR)
    }

    /// Where a worker works.
    pub fn work_dir(&self, worker: WorkerId, work_dir: &WorkDir) -> PathBuf {
        match work_dir {
            WorkDir::Own => self.root.join("workers").join(worker.to_string()),
            WorkDir::Given { path, .. } => PathBuf::from(path),
        }
    }

    /// Where the bee works.
    pub fn bee_dir(&self) -> PathBuf {
        self.root.join("workers").join("bee")
    }
}

/// Makes a directory that only its owner may enter; tells whether it was not there.
pub fn make_dir(path: &Path) -> Result<bool, DataDirError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            sync_parent(path).map_err(io_error("sync the directory of", path))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::metadata(path).map_err(io_error("look at", path))?;
            if !metadata.is_dir() {
                return Err(DataDirError::NotADirectory(path.to_owned()));
            }
            if metadata.permissions().mode() & 0o077 != 0 {
                // A backup tool or an older umask may have widened it. Failing to narrow it is no reason not to start.
                let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
            }
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
            Some(parent) if !parent.exists() => {
                make_dir(parent)?;
                make_dir(path)
            }
            _ => Err(io_error("create", path)(error)),
        },
        Err(error) => Err(io_error("create", path)(error)),
    }
}

/// Makes the entry of `path` in its directory durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Replaces a small file by another content, as a whole and durably.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

fn lock(root: &Path) -> Result<File, DataDirError> {
    let path = root.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    let options = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options.open(&path).map_err(io_error("open", &path))?;
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        let _ = file.rewind();
        let _ = (&mut file)
            .take(SMALL_FILE_BYTES_MAX)
            .read_to_string(&mut holder);
        // A server that died while it started a child leaves the lock to it, until the child is its own program.
        if holder.trim().parse().is_ok_and(is_gone) && Instant::now() < deadline {
            std::thread::sleep(LOCK_INTERVAL);
            continue;
        }
        let holder = match holder.trim() {
            "" => "another process".to_owned(),
            pid => format!("process {pid}"),
        };
        return Err(DataDirError::InUse {
            path: root.to_owned(),
            holder,
        });
    }
    // The lock holds without its text, so a full disk is no obstacle here.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// Whether there is no process of this id.
pub fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

fn read_instance(root: &Path) -> Result<Option<Instance>, DataDirError> {
    let path = root.join(INSTANCE_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", &path)(error)),
    };
    let mut text = String::new();
    file.take(SMALL_FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(io_error("read", &path))?;
    match serde_json::from_str(&text) {
        Ok(instance) => Ok(Some(instance)),
        Err(error) => Err(DataDirError::Instance {
            path,
            reason: error.to_string(),
        }),
    }
}

fn write_instance(root: &Path, instance: &Instance) -> Result<(), DataDirError> {
    let path = root.join(INSTANCE_FILE);
    let text = serde_json::to_vec_pretty(instance).unwrap_or_default();
    replace_file(&path, &text).map_err(io_error("write", &path))
}

fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> DataDirError + 'a {
    move |source| DataDirError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As after a kill in the moment between `fork` and `exec`.
    #[test]
    fn a_lock_that_outlives_its_process_for_a_moment_is_waited_for() {
        let temporary = tempfile::tempdir().unwrap();
        let held = lock(temporary.path()).unwrap();
        let path = temporary.path().join(LOCK_FILE);
        let refused = lock(temporary.path()).unwrap_err();
        assert!(matches!(refused, DataDirError::InUse { .. }), "{refused}");
        // No kernel gives this id to anybody.
        fs::write(path, i32::MAX.to_string()).unwrap();
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(temporary.path()).map(drop));
            drop(held);
            waiting.join().unwrap()
        });
        waiting.unwrap();
    }

    #[test]
    fn a_directory_knows_itself_and_its_copy() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("a/b/hive");
        let first = DataDir::open(&root).unwrap();
        assert!(!first.is_copy());
        assert_eq!(
            fs::metadata(&root).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert!(matches!(
            DataDir::open(&root),
            Err(DataDirError::InUse { .. })
        ));
        let id = first.instance().id;
        drop(first);
        assert_eq!(DataDir::open(&root).unwrap().instance().id, id);

        let copy = temporary.path().join("copy");
        make_dir(&copy).unwrap();
        fs::copy(root.join(INSTANCE_FILE), copy.join(INSTANCE_FILE)).unwrap();
        let second = DataDir::open(&copy).unwrap();
        assert!(second.is_copy());
        assert_ne!(second.instance().id, id);
        second.confirm().unwrap();
        let confirmed = second.instance().id;
        drop(second);
        let again = DataDir::open(&copy).unwrap();
        assert!(!again.is_copy());
        assert_eq!(again.instance().id, confirmed);
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("file");
        fs::write(&path, "").unwrap();
        assert!(matches!(
            DataDir::open(&path),
            Err(DataDirError::NotADirectory(_))
        ));
    }
}
