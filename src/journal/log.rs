//! The log: all segments of a journal, the last of which is written.
//!
//! Appending a batch is one write and one sync. When that returns, the batch survives a power cut; when it fails, the
//! log is as it was before, or, after a failed sync, closed for ever. One thread owns a `Log`; readers have their own files.

use std::path::{Path, PathBuf};

use super::active::{Active, NewSegment};
use super::error::JournalError;
use super::format::{BATCH_HEADER_BYTES, BatchHeader, BatchKind, Frame, encode_frames};
use super::reader::Records;
use super::repair::{repair, torn_tail};
use super::survey::{Depth, Found, survey};
use crate::disk::Disk;

/// What the write buffer may keep between batches.
const BUFFER_BYTES_KEPT: usize = 1 << 20;
/// How a journal is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory is a copy, possibly taken while its server was writing.
    pub is_copy: bool,
    /// The number of the first record, should there be no segment at all.
    pub first_seq: u64,
    /// A position the log gave out earlier, kept where it cannot be wrong: reading begins there.
    pub trusted: Option<Position>,
    /// Unix time, for the age of a new segment.
    pub now_ms: u64,
    /// How space is taken.
    pub reserve: Reserve,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            is_copy: false,
            first_seq: 1,
            trusted: None,
            now_ms: 0,
            reserve: Reserve::default(),
        }
    }
}

/// How space is taken before it is needed.
///
/// Reserved space lets a full disk refuse before a batch is begun. Zeros written a little ahead let a sync find blocks
/// that need no change of metadata; both together are as fast as a file full of zeros and cost no long write.
#[derive(Debug, Clone, Copy)]
pub struct Reserve {
    /// First step of a segment; each further one is twice as long.
    pub step_bytes_first: u64,
    /// The longest step.
    pub step_bytes_max: u64,
    /// How far ahead zeros are written.
    pub zeros_bytes: u64,
}

impl Default for Reserve {
    fn default() -> Self {
        Self {
            step_bytes_first: 1 << 20,
            step_bytes_max: 8 << 20,
            zeros_bytes: 256 << 10,
        }
    }
}

/// The beginning of a batch, from which reading can be resumed. Copyable into other files: it is checked when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The first record of the segment, which is its name.
    pub segment: u64,
    /// The first byte of the batch.
    pub offset: u64,
    /// The first record of the batch.
    pub seq: u64,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Number of its first record.
    pub first_seq: u64,
    /// Number of the record that will come next.
    pub next_seq: u64,
    /// Bytes written, headers included.
    pub bytes: u64,
}

/// What was found and done when a journal was opened; to be logged once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Unfinished batches that were cut off. No crash leaves more than one.
    pub torn: Vec<TornTail>,
    /// Segments of a copy that began after a gap, under their new names.
    pub set_aside: Vec<PathBuf>,
}

/// The unfinished end of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// How much was cut off.
    pub bytes_cut: u64,
    /// Records followed that were whole; only a copy taken while writing has that.
    pub later_records: bool,
    /// Where the cut bytes are kept, if whole records were among them.
    pub kept_as: Option<PathBuf>,
}

/// What a look at every byte of a journal found. Nothing was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Number of segments.
    pub segments: usize,
    /// First record; 0 if there is no segment.
    pub first_seq: u64,
    /// The number after the last record.
    pub next_seq: u64,
    /// Bytes of headers and batches, without what is only reserved.
    pub bytes: u64,
    /// What opening would cut and set aside, under the present names.
    pub recovery: Recovery,
}

/// One segment of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Number of its first record.
    pub first_seq: u64,
    /// The file.
    pub path: PathBuf,
    /// Unix time of its creation.
    pub created_ms: u64,
}

/// The journal's segments, open for appending.
pub struct Log {
    disk: Disk,
    dir: PathBuf,
    reserve: Reserve,
    /// In order; the last one is `active`.
    segments: Vec<Segment>,
    active: Active,
    next_seq: u64,
    /// Bytes of all segments but the active one.
    sealed_bytes: u64,
    /// Why nothing may be written any more.
    failed: Option<String>,
    buffer: Vec<u8>,
}

impl Log {
    /// Opens the journal in `dir`, which is created if it is not there, and repairs what a crash left.
    pub fn open(
        disk: Disk,
        dir: &Path,
        options: &Options,
    ) -> Result<(Self, Recovery), JournalError> {
        let trusted = options.trusted.filter(|_| !options.is_copy);
        let found = survey(&disk, dir, Depth::Start(trusted), options.is_copy)?;
        if found.segments.is_empty() {
            disk.create_dir(dir)
                .map_err(JournalError::io("create", dir))?;
        }
        let recovery = repair(&disk, dir, &found)?;
        let segments = found.segments.iter().map(Segment::from).collect();
        let sealed_bytes: u64 = found.segments.iter().map(|found| found.scan.end).sum();
        let (next_seq, active) = match found.segments.last() {
            Some(last) if !last.scan.sealed => {
                let active = Active::reopen(&disk, last, options.reserve)?;
                (last.scan.next_seq, Some(active))
            }
            Some(last) => (last.scan.next_seq, None),
            None => (options.first_seq, None),
        };
        let mut log = Self {
            active: match active {
                Some(active) => active,
                None => {
                    let new = NewSegment::write(&disk, dir, next_seq, options.now_ms)?;
                    new.publish(&disk, dir, options.reserve)?
                }
            },
            disk,
            dir: dir.to_path_buf(),
            reserve: options.reserve,
            segments,
            next_seq,
            sealed_bytes,
            failed: None,
            buffer: Vec::new(),
        };
        match log.segments.last() {
            Some(last) if last.first_seq == log.active.first_seq => {
                log.sealed_bytes -= found.segments.last().map_or(0, |found| found.scan.end);
            }
            _ => log.segments.push(log.active.segment(options.now_ms)),
        }
        Ok((log, recovery))
    }

    /// Looks at every byte of the journal in `dir` and changes nothing.
    ///
    /// While a server writes there, what is read is a copy in the making: `is_copy` must be true then, too.
    pub fn verify(disk: &Disk, dir: &Path, is_copy: bool) -> Result<Verification, JournalError> {
        let found = survey(disk, dir, Depth::Everything, is_copy)?;
        Ok(Verification {
            segments: found.segments.len(),
            first_seq: found.segments.first().map_or(0, |s| s.header.first_seq),
            next_seq: found.segments.last().map_or(1, |s| s.scan.next_seq),
            bytes: found.segments.iter().map(|s| s.scan.end).sum(),
            recovery: Recovery {
                torn: found.segments.iter().filter_map(torn_tail).collect(),
                set_aside: found.unreachable,
            },
        })
    }

    /// Writes the frames and makes them durable, in one batch that is found whole or not at all.
    ///
    /// On any error but `SyncFailed` nothing was appended and the log goes on. After `SyncFailed` it refuses for ever.
    pub fn append_batch(&mut self, frames: &[Frame<'_>]) -> Result<Appended, JournalError> {
        self.check_usable()?;
        let first_seq = self.next_seq;
        if frames.is_empty() {
            return Ok(Appended {
                first_seq,
                next_seq: first_seq,
                bytes: 0,
            });
        }
        let bytes = self.write(BatchKind::Records, frames)?;
        if let Err(error) = self.active.file.sync_data() {
            return Err(self.fail(&error));
        }
        self.advance(bytes, frames.len() as u64);
        self.active.ends_with_mark = false;
        Ok(Appended {
            first_seq,
            next_seq: self.next_seq,
            bytes,
        })
    }

    /// Records that all batches so far are durable, so that even the last one is recognised when it is damaged later.
    pub fn mark(&mut self) -> Result<(), JournalError> {
        self.check_usable()?;
        if self.active.ends_with_mark {
            return Ok(());
        }
        let bytes = self.write(BatchKind::Mark, &[])?;
        if let Err(error) = self.active.file.sync_data() {
            return Err(self.fail(&error));
        }
        self.advance(bytes, 0);
        self.active.ends_with_mark = true;
        Ok(())
    }

    /// Takes space for this many bytes of frames now, so that appending them will not meet a full disk.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), JournalError> {
        self.check_usable()?;
        self.active
            .reserve(bytes + BATCH_HEADER_BYTES as u64, &self.reserve)
    }

    /// Ends the current segment and begins the next one, which is created first: a full disk leaves all as it was.
    pub fn seal_and_rotate(&mut self, now_ms: u64) -> Result<(), JournalError> {
        self.check_usable()?;
        if self.next_seq == self.active.first_seq {
            return Ok(());
        }
        let new = NewSegment::write(&self.disk, &self.dir, self.next_seq, now_ms)?;
        let bytes = match self.write(BatchKind::Seal, &[]) {
            Ok(bytes) => bytes,
            Err(error) => {
                new.discard(&self.disk);
                return Err(error);
            }
        };
        self.advance(bytes, 0);
        // From here on the old segment takes no more batches: what fails now is final.
        let sealed = &self.active;
        let done = sealed
            .file
            .set_len(sealed.end)
            .and_then(|()| sealed.file.sync_all());
        if let Err(error) = done {
            return Err(self.fail(&error));
        }
        match new.publish(&self.disk, &self.dir, self.reserve) {
            Ok(active) => {
                self.sealed_bytes += self.active.end;
                self.active = active;
                self.segments.push(self.active.segment(now_ms));
                Ok(())
            }
            Err(error) => {
                self.failed = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Removes the segments all of whose records are below `seq`, oldest first. The active one stays.
    pub fn remove_segments_below(&mut self, seq: u64) -> Result<Vec<PathBuf>, JournalError> {
        let mut removed = Vec::new();
        while self.segments.len() > 1 && self.segments[1].first_seq <= seq {
            let path = self.segments[0].path.clone();
            let bytes = self.disk.info(&path).map_or(0, |info| info.len);
            self.disk
                .remove_file(&path)
                .map_err(JournalError::io("remove", &path))?;
            self.segments.remove(0);
            self.sealed_bytes = self.sealed_bytes.saturating_sub(bytes);
            removed.push(path);
            // One at a time: a gap between two segments would be damage.
            self.disk
                .sync_dir(&self.dir)
                .map_err(JournalError::io("sync", &self.dir))?;
        }
        Ok(removed)
    }

    /// Marks the end, gives reserved space back and closes.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.check_usable()?;
        if !self.active.ends_with_mark && self.next_seq > self.active.first_seq {
            let bytes = self.write(BatchKind::Mark, &[])?;
            self.advance(bytes, 0);
        }
        let file = &self.active.file;
        let done = file.set_len(self.active.end).and_then(|()| file.sync_all());
        done.map_err(|error| self.fail(&error))
    }

    /// The records from this number on, as far as they are durable now.
    pub fn records_from(&self, seq: u64) -> Result<Records, JournalError> {
        self.records(seq, None)
    }

    /// The records from this number on; `hint` is a position at or before it, where reading may begin.
    pub fn records(&self, seq: u64, hint: Option<Position>) -> Result<Records, JournalError> {
        let first = &self.segments[0];
        if seq < first.first_seq {
            return Err(JournalError::MissingRecords {
                file: first.path.clone(),
                expected: seq,
                found: first.first_seq,
            });
        }
        let from = self.segments.partition_point(|s| s.first_seq <= seq) - 1;
        let segments = self.segments[from..].iter().rev();
        Ok(Records {
            disk: self.disk.clone(),
            segments: segments.map(|s| (s.path.clone(), s.first_seq)).collect(),
            hint: hint.filter(|hint| hint.seq <= seq),
            from_seq: seq,
            end_seq: self.next_seq,
            open: None,
        })
    }

    /// The number the next record will have.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The number of the last durable record; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// The last batch: what a checkpoint keeps as the place to resume from.
    pub fn position(&self) -> Position {
        Position {
            segment: self.active.first_seq,
            offset: self.active.last_batch.0,
            seq: self.active.last_batch.1,
        }
    }

    /// All segments in order; the last one is being written.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes written to the current segment.
    pub fn active_bytes(&self) -> u64 {
        self.active.end
    }

    /// Bytes written to all segments.
    pub fn total_bytes(&self) -> u64 {
        self.sealed_bytes + self.active.end
    }

    /// How long ago the current segment was begun.
    pub fn active_age_ms(&self, now_ms: u64) -> u64 {
        let created_ms = self.segments.last().map_or(now_ms, |s| s.created_ms);
        now_ms.saturating_sub(created_ms)
    }

    /// Why the log takes no more writes, if it does not.
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Writes one batch at the end without syncing it, or leaves no trace of it.
    fn write(&mut self, kind: BatchKind, frames: &[Frame<'_>]) -> Result<u64, JournalError> {
        let active = &mut self.active;
        self.buffer.clear();
        self.buffer.resize(BATCH_HEADER_BYTES, 0);
        encode_frames(&mut self.buffer, frames, self.next_seq, active.seed)?;
        let header = BatchHeader {
            kind,
            frames: frames.len() as u32,
            bytes: (self.buffer.len() - BATCH_HEADER_BYTES) as u32,
            durable_before: active.end,
            first_seq: self.next_seq,
        };
        self.buffer[..BATCH_HEADER_BYTES].copy_from_slice(&header.encode(active.end, active.seed));
        let bytes = self.buffer.len() as u64;
        active.reserve(bytes, &self.reserve)?;
        let written = active
            .zero_ahead(bytes, self.reserve.zeros_bytes)
            .and_then(|()| active.file.write_all_at(&self.buffer, active.end));
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        let Err(error) = written else {
            return Ok(bytes);
        };
        // What was written of the batch, and all space behind it, goes: the next batch starts from zeros again.
        if let Err(error) = active.file.set_len(active.end) {
            return Err(self.fail(&error));
        }
        active.reserved = active.end;
        active.zeroed = active.end;
        Err(JournalError::io("write", &active.path)(error))
    }

    fn advance(&mut self, bytes: u64, frames: u64) {
        self.active.last_batch = (self.active.end, self.next_seq);
        self.active.end += bytes;
        self.next_seq += frames;
    }

    fn check_usable(&self) -> Result<(), JournalError> {
        match &self.failed {
            Some(reason) => Err(JournalError::SyncFailed {
                file: self.active.path.clone(),
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }

    fn fail(&mut self, error: &std::io::Error) -> JournalError {
        let reason = error.to_string();
        self.failed = Some(reason.clone());
        JournalError::SyncFailed {
            file: self.active.path.clone(),
            reason,
        }
    }
}

impl From<&Found> for Segment {
    fn from(found: &Found) -> Self {
        Self {
            first_seq: found.header.first_seq,
            path: found.path.clone(),
            created_ms: found.header.created_ms,
        }
    }
}
