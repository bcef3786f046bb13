//! Why the journal could not do as asked.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Why the journal or a snapshot could not do as asked.
///
/// Callers branch on `StorageFull` (try again later), `SyncFailed` (stop taking writes) and the size limits; the rest
/// stop a start and are shown to a person.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused space. Nothing was begun; freeing space is enough to go on.
    #[error("no space left for {}", file.display())]
    StorageFull {
        /// The file that wanted to grow.
        file: PathBuf,
    },
    /// A sync failed, so what the disk holds is unknown. Final: the log refuses every later write.
    #[error("{} could not be made durable, no more writes are taken: {reason}", file.display())]
    SyncFailed {
        /// The file whose sync failed.
        file: PathBuf,
        /// What the disk said.
        reason: String,
    },
    /// One payload is over the limit.
    #[error("a payload of {bytes} bytes is over the limit of {bytes_max}")]
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit it broke.
        bytes_max: usize,
    },
    /// The payloads of one batch, or one snapshot entry, are over the limit together.
    #[error("a batch of {bytes} bytes is over the limit of {bytes_max}")]
    BatchTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit it broke.
        bytes_max: usize,
    },
    /// Bytes that were durable are not what was written.
    #[error("{} is damaged at byte {offset}: {reason}", file.display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Where the first wrong byte may be.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// Records between two segments, or before the first one, are not there.
    #[error("{} should continue at record {expected} but starts at {found}", file.display())]
    MissingRecords {
        /// The file that should hold the next record.
        file: PathBuf,
        /// The record that was expected next.
        expected: u64,
        /// The record that was found instead.
        found: u64,
    },
    /// The file has a format this version does not know. It was not touched.
    #[error("{} has format {found}, this version reads up to {supported}: it was written by a newer Skep", file.display())]
    NewerFormat {
        /// The newer file.
        file: PathBuf,
        /// The format it has.
        found: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// Any other answer of the disk.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or directory.
        file: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl JournalError {
    /// Turns the disk's answer into the error it means, for use in `map_err`.
    pub(super) fn io<'a>(
        action: &'static str,
        file: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| {
            let file = file.to_path_buf();
            if is_storage_full(&source) {
                Self::StorageFull { file }
            } else {
                Self::Io {
                    action,
                    file,
                    source,
                }
            }
        }
    }

    pub(super) fn damaged(file: &Path, offset: u64, reason: &'static str) -> Self {
        Self::Damaged {
            file: file.to_path_buf(),
            offset,
            reason,
        }
    }
}

/// Whether the disk, or the user's quota on it, is full.
pub fn is_storage_full(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOSPC | Errno::DQUOT)
    )
}
