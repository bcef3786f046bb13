//! One segment file, read: batch after batch until the first break, and what that break means.
//!
//! A crash may tear only what was not yet durable. Every batch says what was durable before it was written, so a break
//! with proof that it was durable is damage, and a break without is the torn tail of a crash. A copy taken while the
//! server was writing may have holes below durable offsets as well: zeros where a page was read too early.

use std::io;
use std::path::Path;

use memchr::memmem;

use super::error::JournalError;
use super::format::{
    BATCH_HEADER_BYTES, BATCH_MAGIC, BatchHeader, BatchKind, Record, SegmentHeader, check_frames,
    record_at,
};
use crate::disk::DiskFile;

/// How much is read from the file at once.
const READ_BYTES: usize = 256 << 10;
/// The unit in which a copy sees a file change.
const PAGE_BYTES: u64 = 4096;
/// This many zeros beside a page boundary are what a copy that came too early has.
const HOLE_BYTES: u64 = 16;

/// A piece of a file in memory, moved along as it is read.
pub(super) struct Window {
    file: DiskFile,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    pub(super) fn new(file: DiskFile) -> Self {
        Self {
            file,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// The bytes of this range; fewer where the file ends.
    pub(super) fn get(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let end = offset + len as u64;
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            // A huge batch once must not hold its memory for ever.
            if self.bytes.capacity() > 4 * READ_BYTES && len <= READ_BYTES {
                self.bytes = Vec::new();
            }
            self.bytes.resize(len.max(READ_BYTES), 0);
            self.start = offset;
            let read = self.file.read_at(&mut self.bytes, offset);
            self.bytes
                .truncate(read.as_ref().copied().unwrap_or_default());
            read?;
        }
        let from = ((offset - self.start) as usize).min(self.bytes.len());
        let to = (from + len).min(self.bytes.len());
        Ok(&self.bytes[from..to])
    }
}

/// Why the bytes at some offset are not the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Break {
    /// The first byte of the broken batch.
    pub(super) batch: u64,
    /// The first byte of the part that is wrong.
    pub(super) offset: u64,
    pub(super) reason: &'static str,
    /// No crash and no copy explains it.
    always_damage: bool,
}

pub(super) enum Step {
    /// A whole and intact batch, now behind the reader.
    Batch(BatchHeader),
    Break(Break),
}

/// Reads the batches of one segment in order.
pub(super) struct BatchReader {
    pub(super) window: Window,
    seed: u32,
    /// Where the next batch begins.
    pub(super) offset: u64,
    /// The number of the next record.
    pub(super) next_seq: u64,
    frames_at: u64,
    frames_bytes: usize,
}

impl BatchReader {
    /// A reader that begins with the batch at this offset, whose first record has this number.
    pub(super) fn new(file: DiskFile, seed: u32, offset: u64, next_seq: u64) -> Self {
        Self {
            window: Window::new(file),
            seed,
            offset,
            next_seq,
            frames_at: offset,
            frames_bytes: 0,
        }
    }

    /// Reads and checks the next batch.
    pub(super) fn next(&mut self) -> io::Result<Step> {
        let batch = self.offset;
        let broken = |offset, reason, always_damage| {
            Ok(Step::Break(Break {
                batch,
                offset,
                reason,
                always_damage,
            }))
        };
        let header = self.window.get(batch, BATCH_HEADER_BYTES)?;
        let Some(header) = BatchHeader::decode(header, batch, self.seed) else {
            return broken(batch, "no intact batch begins here", false);
        };
        if header.first_seq != self.next_seq {
            return broken(batch, "the batch does not continue the numbering", true);
        }
        let total = header.total_bytes();
        let whole = self.window.get(batch, total as usize)?;
        if (whole.len() as u64) < total {
            return broken(
                batch + whole.len() as u64,
                "the file ends within a batch",
                false,
            );
        }
        if let Err(bad) = check_frames(&whole[BATCH_HEADER_BYTES..], &header, self.seed) {
            let offset = batch + (BATCH_HEADER_BYTES + bad.at) as u64;
            let reason = if bad.wrong_seq {
                "the record does not continue the numbering"
            } else {
                "the record's checksum is wrong"
            };
            return broken(offset, reason, bad.wrong_seq);
        }
        self.frames_at = batch + BATCH_HEADER_BYTES as u64;
        self.frames_bytes = header.bytes as usize;
        self.offset = batch + total;
        self.next_seq = header.next_seq();
        Ok(Step::Batch(header))
    }

    /// Passes over the next batch unread if all its records are below this number.
    pub(super) fn skip_below(&mut self, seq: u64) -> io::Result<bool> {
        let header = self.window.get(self.offset, BATCH_HEADER_BYTES)?;
        match BatchHeader::decode(header, self.offset, self.seed) {
            Some(header) if header.first_seq == self.next_seq && header.next_seq() <= seq => {
                self.offset += header.total_bytes();
                self.next_seq = header.next_seq();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The record at this place of the batch read last, and the place of the next one.
    pub(super) fn record(&mut self, at: usize) -> io::Result<Option<(Record<'_>, usize)>> {
        let frames = self.window.get(self.frames_at, self.frames_bytes)?;
        Ok(record_at(frames, at))
    }
}

/// What the caller knows about the segment that is scanned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// The directory was copied from a server that may have been writing.
    pub(super) is_copy: bool,
    /// Another segment follows, which proves that this one was complete and durable.
    pub(super) is_followed: bool,
}

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    /// First byte after the last intact batch.
    pub(super) end: u64,
    /// First byte of the last intact batch, and the number of its first record.
    pub(super) last_batch: Option<(u64, u64)>,
    pub(super) next_seq: u64,
    /// Everything below this offset was certainly durable.
    pub(super) durable: u64,
    pub(super) sealed: bool,
    /// The last batch holds no records.
    pub(super) ends_with_mark: bool,
    pub(super) frames: u64,
    pub(super) torn: Option<Torn>,
}

impl Scan {
    /// Whether all that matters was certainly durable: records, and the seal that ends them.
    pub(super) fn is_durable(&self) -> bool {
        let is_only_a_mark = self.ends_with_mark && !self.sealed;
        let matters_until = match self.last_batch {
            Some((offset, _)) if is_only_a_mark => offset,
            _ => self.end,
        };
        self.durable >= matters_until
    }
}

/// What lies after the last intact batch, if not only zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Torn {
    /// From the end of the last intact batch to the last byte that is not zero.
    pub(super) bytes: u64,
    /// Later intact batches are among them: a copy met a hole.
    pub(super) later_records: bool,
}

/// Reads a segment from the batch at `from` (its offset and first number) to its end, and judges the break found there.
pub(super) fn scan(
    file: &DiskFile,
    path: &Path,
    header: &SegmentHeader,
    from: (u64, u64),
    circumstances: Circumstances,
) -> Result<Scan, JournalError> {
    let io = |source| JournalError::io("read", path)(source);
    let (offset, next_seq) = from;
    let mut reader = BatchReader::new(file.clone(), header.seed(), offset, next_seq);
    let mut scan = Scan {
        end: offset,
        last_batch: None,
        next_seq,
        durable: offset,
        sealed: false,
        ends_with_mark: false,
        frames: 0,
        torn: None,
    };
    while !scan.sealed {
        match reader.next().map_err(io)? {
            Step::Batch(batch) => {
                scan.last_batch = Some((scan.end, batch.first_seq));
                scan.end = reader.offset;
                scan.next_seq = reader.next_seq;
                scan.durable = scan.durable.max(batch.durable_before);
                scan.sealed = batch.kind == BatchKind::Seal;
                scan.ends_with_mark = batch.frames == 0;
                scan.frames += u64::from(batch.frames);
            }
            Step::Break(broken) => {
                let rest = Rest::read(&mut reader.window, scan.end, header.seed()).map_err(io)?;
                scan.torn = judge(&mut reader.window, header, broken, &rest, circumstances)
                    .map_err(io)?
                    .map_err(|found| JournalError::damaged(path, found.offset, found.reason))?;
                break;
            }
        }
    }
    Ok(scan)
}

/// The torn tail a break leaves, or the break again when it is damage.
fn judge(
    window: &mut Window,
    header: &SegmentHeader,
    broken: Break,
    rest: &Rest,
    circumstances: Circumstances,
) -> io::Result<Result<Option<Torn>, Break>> {
    let torn = Torn {
        bytes: rest.used_end.saturating_sub(broken.batch),
        later_records: rest.later_batch.is_some(),
    };
    let was_durable = rest.later_batch.is_some() || circumstances.is_followed;
    let is_crash = !was_durable && !broken.always_damage;
    let is_excused = is_crash
        || (circumstances.is_copy
            && !broken.always_damage
            && has_hole(window, header.seed(), broken.batch, rest)?);
    if !is_excused {
        return Ok(Err(broken));
    }
    Ok(Ok((torn.bytes > 0).then_some(torn)))
}

/// What lies from some offset to the end of a file.
struct Rest {
    /// The next intact batch, if it proves that the offset was durable.
    later_batch: Option<u64>,
    /// After the last byte that is not zero.
    used_end: u64,
}

impl Rest {
    fn read(window: &mut Window, from: u64, seed: u32) -> io::Result<Self> {
        let magic = memmem::Finder::new(&BATCH_MAGIC);
        let mut rest = Self {
            later_batch: None,
            used_end: from,
        };
        let mut offset = from;
        loop {
            // Pieces overlap, so that a header across two of them is seen whole in the second.
            let piece = window.get(offset, READ_BYTES)?;
            if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
                rest.used_end = offset + last as u64 + 1;
            }
            if rest.later_batch.is_none() {
                rest.later_batch = magic
                    .find_iter(piece)
                    .map(|at| (offset + at as u64, &piece[at..]))
                    .find(|(at, bytes)| {
                        BatchHeader::decode(bytes, *at, seed)
                            .is_some_and(|header| header.durable_before > from)
                    })
                    .map(|(at, _)| at);
            }
            if piece.len() < READ_BYTES {
                return Ok(rest);
            }
            offset += (READ_BYTES - BATCH_HEADER_BYTES) as u64;
        }
    }
}

/// Whether the broken batch has zeros where a copy that came too early has them: at its very beginning, beside a page
/// boundary, or from its end on; or the copied file ends in it.
fn has_hole(window: &mut Window, seed: u32, batch: u64, rest: &Rest) -> io::Result<bool> {
    let header = BatchHeader::decode(window.get(batch, BATCH_HEADER_BYTES)?, batch, seed);
    let until = match header {
        Some(header) => batch + header.total_bytes(),
        None => rest.later_batch.unwrap_or(rest.used_end).max(batch + 1),
    };
    // What the file does not have was not written when it was read.
    let mut is_zero = |from: u64, to: u64| -> io::Result<bool> {
        let bytes = window.get(from, (to - from) as usize)?;
        Ok(from < to && bytes.iter().all(|byte| *byte == 0))
    };
    let page_end = until.next_multiple_of(PAGE_BYTES);
    let behind = page_end.min(until + HOLE_BYTES);
    if is_zero(batch, until.min(batch + HOLE_BYTES))?
        || (is_zero(until - 1, until)? && is_zero(until, behind)?)
    {
        return Ok(true);
    }
    let mut boundary = (batch / PAGE_BYTES + 1) * PAGE_BYTES;
    while boundary <= until {
        let before = boundary.saturating_sub(HOLE_BYTES).max(batch);
        let after = until.min(boundary + HOLE_BYTES);
        if is_zero(before, boundary)? || is_zero(boundary, after)? {
            return Ok(true);
        }
        boundary += PAGE_BYTES;
    }
    Ok(false)
}
