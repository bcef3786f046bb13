//! The one small layer through which journal, snapshots and execution logs touch files.
//!
//! Tests replace it by [`FaultyDisk`](super::faulty::FaultyDisk), which fails, tears and forgets. Nothing here
//! retries, buffers or hides: a call is a system call, so that a test can count them.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// Mode of files that only their owner may read.
pub const PRIVATE_FILE_MODE: u32 = 0o600;
const PRIVATE_DIR_MODE: u32 = 0o700;
const ZEROS_BYTES: usize = 64 << 10;

/// A handle on some disk: the machine's, or one made for tests. Cheap to clone.
#[derive(Clone)]
pub struct Disk(Arc<dyn DiskBackend>);

/// An open file of a [`Disk`]. Cheap to clone; clones share the open file. It has no position: every access names its offset.
#[derive(Clone)]
pub struct DiskFile(Arc<dyn FileBackend>);

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    ReadWrite,
    /// For reading and writing; it must not exist, and gets this mode.
    CreateNew(u32),
}

/// What a directory entry says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileInfo {
    /// Length in bytes.
    pub len: u64,
    /// Time of the last change of its content.
    pub modified: SystemTime,
}

/// What a disk must be able to do. Directory changes are durable only after `sync_dir` of the parent.
pub trait DiskBackend: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn FileBackend>>;
    /// Moves a file over what may be there already.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory with this mode.
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Length and time of a file.
    fn info(&self, path: &Path) -> io::Result<FileInfo>;
    /// Bytes that may still be written below this directory.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Takes the write permission from everybody.
    fn set_read_only(&self, path: &Path) -> io::Result<()>;
}

/// What an open file must be able to do. Writes are durable only after a sync.
pub trait FileBackend: Send + Sync {
    /// Reads some bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Cuts the file, or lengthens it by a hole.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Lengthens the file by real space that reads as zeros; `Unsupported` if the file system has no such call.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes the content durable, and of the metadata what reading it back needs.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes content and metadata durable.
    fn sync_all(&self) -> io::Result<()>;
}

impl Disk {
    /// The machine's own file systems.
    pub fn real() -> Self {
        Self(Arc::new(RealDisk))
    }

    /// Any other disk.
    pub fn new(backend: Arc<dyn DiskBackend>) -> Self {
        Self(backend)
    }

    /// Creates a file that must not exist yet.
    pub fn create_new(&self, path: &Path, mode: u32) -> io::Result<DiskFile> {
        self.0.open(path, OpenMode::CreateNew(mode)).map(DiskFile)
    }

    /// Opens a file for reading and writing.
    pub fn open_rw(&self, path: &Path) -> io::Result<DiskFile> {
        self.0.open(path, OpenMode::ReadWrite).map(DiskFile)
    }

    /// Opens a file for reading.
    pub fn open_read(&self, path: &Path) -> io::Result<DiskFile> {
        self.0.open(path, OpenMode::Read).map(DiskFile)
    }

    /// Moves a file over what may be there already.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    /// Removes a file.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }

    /// Makes a private directory unless it is there, and its entry in its parent durable even if it is: whoever made it
    /// may have died before its own sync.
    pub fn create_dir(&self, path: &Path) -> io::Result<()> {
        match self.0.create_dir(path, PRIVATE_DIR_MODE) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => path
                .parent()
                .map_or(Ok(()), |parent| self.0.sync_dir(parent)),
        }
    }

    /// Makes the entries of a directory durable.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }

    /// The names in a directory, sorted.
    pub fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut names = self.0.list(path)?;
        names.sort();
        Ok(names)
    }

    /// Length and time of a file.
    pub fn info(&self, path: &Path) -> io::Result<FileInfo> {
        self.0.info(path)
    }

    /// Bytes that may still be written below this directory.
    pub fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.free_bytes(path)
    }

    /// Takes the write permission from everybody.
    pub fn set_read_only(&self, path: &Path) -> io::Result<()> {
        self.0.set_read_only(path)
    }
}

impl DiskFile {
    /// Reads until the buffer is full or the file ends; returns how much was read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Writes all bytes, or fails having written some of them, never the last one.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match self.0.write_at(&bytes[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Length in bytes.
    pub fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    /// Cuts the file, or lengthens it by a hole.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    /// Lengthens the file to `to` by real space that reads as zeros. When it fails, some of it may have been taken.
    pub fn allocate(&self, from: u64, to: u64) -> io::Result<()> {
        match self.0.allocate(from, to - from) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.write_zeros(from, to),
            other => other,
        }
    }

    /// Overwrites a range by zeros.
    pub fn write_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        static ZEROS: [u8; ZEROS_BYTES] = [0; ZEROS_BYTES];
        let mut offset = from;
        while offset < to {
            let len = (to - offset).min(ZEROS_BYTES as u64);
            self.write_all_at(&ZEROS[..len as usize], offset)?;
            offset += len;
        }
        Ok(())
    }

    /// Makes the content durable, and of the metadata what reading it back needs.
    pub fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    /// Makes content and metadata durable.
    pub fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

struct RealDisk;

impl DiskBackend for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn FileBackend>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::CreateNew(mode) => {
                options.write(true).create_new(true).mode(mode);
            }
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::DirBuilder::new().mode(mode).create(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // The parent of a bare name is the empty path.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        fs::File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    }

    fn info(&self, path: &Path) -> io::Result<FileInfo> {
        let metadata = fs::metadata(path)?;
        Ok(FileInfo {
            len: metadata.len(),
            modified: metadata.modified()?,
        })
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn set_read_only(&self, path: &Path) -> io::Result<()> {
        let mut permissions = fs::metadata(path)?.permissions();
        permissions.set_mode(permissions.mode() & !0o222);
        fs::set_permissions(path, permissions)
    }
}

struct RealFile(fs::File);

impl FileBackend for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), offset, len) {
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                other => return Ok(other?),
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
