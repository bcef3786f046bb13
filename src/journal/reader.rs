//! Records in order, from any number on, with one batch in memory at a time.

use std::path::PathBuf;

use super::error::JournalError;
use super::format::{Record, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::log::Position;
use super::segment::{BatchReader, Step};
use crate::disk::Disk;

/// A stream of records. It ends at the record that was the last durable one when it was made; later appends do not disturb it.
pub struct Records {
    pub(super) disk: Disk,
    /// Segments still to be read, the next one last.
    pub(super) segments: Vec<(PathBuf, u64)>,
    /// Where to begin in the first of them, if that is known.
    pub(super) hint: Option<Position>,
    pub(super) from_seq: u64,
    /// The number after the last record.
    pub(super) end_seq: u64,
    pub(super) open: Option<OpenSegment>,
}

pub(super) struct OpenSegment {
    path: PathBuf,
    reader: BatchReader,
    /// The number of the next record to be handed out, and its place in the current batch.
    seq: u64,
    at: usize,
}

impl Records {
    /// The next record. Damage is an error that names file and offset; nothing after it is handed out.
    #[allow(clippy::should_implement_trait)] // The record borrows the reader, which an Iterator cannot say.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        while self.from_seq < self.end_seq && !self.has_record()? {}
        match &mut self.open {
            Some(open) if self.from_seq < self.end_seq => {
                self.from_seq += 1;
                open.take().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Comes one step nearer to the next record; true when it is the one `open` is at.
    fn has_record(&mut self) -> Result<bool, JournalError> {
        let Some(open) = &mut self.open else {
            match self.open_next()? {
                Some(open) => self.open = Some(open),
                None => self.end_seq = self.from_seq,
            }
            return Ok(false);
        };
        if open.seq < self.from_seq && open.seq < open.reader.next_seq {
            open.take()?;
        } else if open.seq < open.reader.next_seq {
            return Ok(true);
        } else if self.segments.last().is_some_and(|next| next.1 == open.seq) {
            self.open = None;
        } else {
            open.read_batch()?;
        }
        Ok(false)
    }

    fn open_next(&mut self) -> Result<Option<OpenSegment>, JournalError> {
        let Some((path, first_seq)) = self.segments.pop() else {
            return Ok(None);
        };
        let file = self
            .disk
            .open_read(&path)
            .map_err(JournalError::io("open", &path))?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let len = file
            .read_at(&mut bytes, 0)
            .map_err(JournalError::io("read", &path))?;
        let header = SegmentHeader::decode(&bytes[..len], &path)?;
        let (offset, seq) = match self.hint.take() {
            Some(hint) if hint.segment == first_seq => (hint.offset, hint.seq),
            _ => (SEGMENT_HEADER_BYTES as u64, first_seq),
        };
        let mut reader = BatchReader::new(file, header.seed(), offset, seq);
        while reader
            .skip_below(self.from_seq)
            .map_err(JournalError::io("read", &path))?
        {}
        Ok(Some(OpenSegment {
            path,
            seq: reader.next_seq,
            at: 0,
            reader,
        }))
    }
}

impl OpenSegment {
    /// The next record of the current batch, which has one.
    fn take(&mut self) -> Result<Record<'_>, JournalError> {
        let read = JournalError::io("read", &self.path);
        match self.reader.record(self.at).map_err(read)? {
            Some((record, next)) => {
                self.at = next;
                self.seq += 1;
                Ok(record)
            }
            // It was checked when the batch was read.
            None => Err(JournalError::damaged(&self.path, 0, "the file changed")),
        }
    }

    fn read_batch(&mut self) -> Result<(), JournalError> {
        let read = JournalError::io("read", &self.path);
        match self.reader.next().map_err(read)? {
            Step::Batch(header) => {
                self.seq = header.first_seq;
                self.at = 0;
                Ok(())
            }
            Step::Break(broken) => Err(JournalError::damaged(
                &self.path,
                broken.offset,
                broken.reason,
            )),
        }
    }
}
