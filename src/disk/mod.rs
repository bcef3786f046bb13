//! The disk: the one small layer through which the journal, snapshots and logs reach their files.
//!
//! Owns what can be asked of a file and a directory, on the real disk and on one that fails, tears and forgets. Must never
//! know what is in a file. Start reading at [`Disk`]; tests take [`faulty::FaultyDisk`] in its place.

pub mod faulty;
mod real;

pub use real::{Disk, DiskBackend, DiskFile, FileBackend, FileInfo, OpenMode, PRIVATE_FILE_MODE};
