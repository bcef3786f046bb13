//! The segment that is written: where it ends, and the space that is taken ahead of it.

use std::path::{Path, PathBuf};

use super::error::JournalError;
use super::format::{BATCH_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::log::{Reserve, Segment};
use super::survey::{Found, TEMPORARY_SUFFIX, segment_path};
use crate::disk::{Disk, DiskFile, PRIVATE_FILE_MODE};

/// The segment that is written.
pub(super) struct Active {
    pub(super) file: DiskFile,
    pub(super) path: PathBuf,
    pub(super) first_seq: u64,
    pub(super) seed: u32,
    /// Where the next batch goes. Everything below is durable.
    pub(super) end: u64,
    /// Up to here space is reserved.
    pub(super) reserved: u64,
    /// Up to here zeros, or batches, are written.
    pub(super) zeroed: u64,
    pub(super) step_bytes: u64,
    pub(super) last_batch: (u64, u64),
    pub(super) ends_with_mark: bool,
}

impl Active {
    /// Opens the last segment where its intact batches end. A mark at the very end holds nothing, so the next batch
    /// takes its place.
    pub(super) fn reopen(
        disk: &Disk,
        found: &Found,
        reserve: Reserve,
    ) -> Result<Self, JournalError> {
        let path = &found.path;
        let file = disk.open_rw(path).map_err(JournalError::io("open", path))?;
        let scan = &found.scan;
        let begin = (SEGMENT_HEADER_BYTES as u64, found.header.first_seq);
        let last_batch = scan.last_batch.unwrap_or(begin);
        let end = if scan.ends_with_mark {
            last_batch.0
        } else {
            scan.end
        };
        Ok(Self {
            path: path.clone(),
            first_seq: found.header.first_seq,
            seed: found.header.seed(),
            end,
            reserved: if scan.torn.is_some() {
                scan.end
            } else {
                found.file_bytes
            },
            zeroed: scan.end,
            step_bytes: reserve.step_bytes_first,
            last_batch,
            ends_with_mark: false,
            file,
        })
    }

    /// Takes space for `bytes` at the end, and for a mark behind them.
    pub(super) fn reserve(&mut self, bytes: u64, reserve: &Reserve) -> Result<(), JournalError> {
        let needed = self.end + bytes + BATCH_HEADER_BYTES as u64;
        if needed <= self.reserved {
            return Ok(());
        }
        let to = needed.max(self.reserved + self.step_bytes);
        self.file
            .allocate(self.reserved, to)
            .map_err(JournalError::io("reserve space in", &self.path))?;
        self.reserved = to;
        self.step_bytes = (self.step_bytes * 2).min(reserve.step_bytes_max);
        Ok(())
    }

    /// Writes zeros behind the next batch when it reaches past those written before.
    pub(super) fn zero_ahead(&mut self, bytes: u64, zeros_bytes: u64) -> std::io::Result<()> {
        let batch_end = self.end + bytes;
        if batch_end <= self.zeroed {
            return Ok(());
        }
        let to = (batch_end + zeros_bytes).min(self.reserved);
        self.file.write_zeros(batch_end, to)?;
        self.zeroed = to;
        Ok(())
    }

    pub(super) fn segment(&self, created_ms: u64) -> Segment {
        Segment {
            first_seq: self.first_seq,
            path: self.path.clone(),
            created_ms,
        }
    }
}

/// A segment under its temporary name, durable with its header: a `.seg` file always has one.
pub(super) struct NewSegment {
    file: DiskFile,
    path: PathBuf,
    header: SegmentHeader,
}

impl NewSegment {
    pub(super) fn write(
        disk: &Disk,
        dir: &Path,
        first_seq: u64,
        now_ms: u64,
    ) -> Result<Self, JournalError> {
        let mut name = segment_path(dir, first_seq).into_os_string();
        name.push(TEMPORARY_SUFFIX);
        let path = PathBuf::from(name);
        // An earlier attempt may have been discarded in vain.
        let _ = disk.remove_file(&path);
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(|error| {
            JournalError::io("get randomness for", &path)(std::io::Error::other(error))
        })?;
        let header = SegmentHeader {
            first_seq,
            created_ms: now_ms,
            salt: u64::from_le_bytes(salt),
        };
        let file = disk
            .create_new(&path, PRIVATE_FILE_MODE)
            .map_err(JournalError::io("create", &path))?;
        let new = Self { file, path, header };
        let written = new
            .file
            .write_all_at(&new.header.encode(), 0)
            .and_then(|()| new.file.sync_all());
        match written {
            Ok(()) => Ok(new),
            Err(error) => {
                new.discard(disk);
                Err(JournalError::io("write", &new.path)(error))
            }
        }
    }

    /// Gives the segment its name.
    pub(super) fn publish(
        self,
        disk: &Disk,
        dir: &Path,
        reserve: Reserve,
    ) -> Result<Active, JournalError> {
        let path = segment_path(dir, self.header.first_seq);
        disk.rename(&self.path, &path)
            .map_err(JournalError::io("rename", &self.path))?;
        disk.sync_dir(dir).map_err(JournalError::io("sync", dir))?;
        let end = SEGMENT_HEADER_BYTES as u64;
        Ok(Active {
            file: self.file,
            path,
            first_seq: self.header.first_seq,
            seed: self.header.seed(),
            end,
            reserved: end,
            zeroed: end,
            step_bytes: reserve.step_bytes_first,
            last_batch: (end, self.header.first_seq),
            ends_with_mark: false,
        })
    }

    /// Best effort: what stays is removed by the next start.
    pub(super) fn discard(&self, disk: &Disk) {
        let _ = disk.remove_file(&self.path);
    }
}
