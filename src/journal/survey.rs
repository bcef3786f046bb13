//! Looks at all segments of a journal and changes nothing: what is there, what is torn, what must be refused.

use std::io;
use std::path::{Path, PathBuf};

use super::error::JournalError;
use super::format::{
    BATCH_HEADER_BYTES, BatchHeader, BatchKind, SEGMENT_HEADER_BYTES, SegmentHeader,
};
use super::log::Position;
use super::segment::{BatchReader, Circumstances, Scan, Step, scan};
use crate::disk::{Disk, DiskFile};

/// Ending of a segment's name.
pub(super) const SEGMENT_SUFFIX: &str = ".seg";
/// Ending of a file that is not finished; what a crash leaves of it is removed.
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";

/// How thoroughly to look.
#[derive(Debug, Clone, Copy)]
pub(super) enum Depth {
    /// What a start needs: that sealed segments are complete, and the tail after the trusted position.
    Start(Option<Position>),
    /// Every byte.
    Everything,
}

pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    pub(super) file_bytes: u64,
    pub(super) scan: Scan,
}

pub(super) struct Survey {
    /// In order and without gaps.
    pub(super) segments: Vec<Found>,
    /// Segments of a copy that begin after a gap.
    pub(super) unreachable: Vec<PathBuf>,
    /// What a crash left of files that were never finished.
    pub(super) leftovers: Vec<PathBuf>,
}

/// The path of the segment that begins with this record.
pub(super) fn segment_path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}{SEGMENT_SUFFIX}"))
}

/// The number in a file name of twenty digits and this ending.
pub(super) fn seq_of(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

/// Looks at a journal. Damage is an error that names file and offset.
pub(super) fn survey(
    disk: &Disk,
    dir: &Path,
    depth: Depth,
    is_copy: bool,
) -> Result<Survey, JournalError> {
    let mut survey = Survey {
        segments: Vec::new(),
        unreachable: Vec::new(),
        leftovers: Vec::new(),
    };
    let mut names = Vec::new();
    let listed = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(JournalError::io("list", dir))?,
    };
    for name in listed {
        let Some(name) = name.to_str() else { continue };
        if let Some(first_seq) = seq_of(name, SEGMENT_SUFFIX) {
            names.push((dir.join(name), first_seq));
        } else if let Some(finished) = name.strip_suffix(TEMPORARY_SUFFIX)
            && seq_of(finished, SEGMENT_SUFFIX).is_some()
        {
            survey.leftovers.push(dir.join(name));
        }
    }
    for (at, (path, first_seq)) in names.iter().enumerate() {
        if let Some(before) = survey.segments.last()
            && before.scan.next_seq != *first_seq
        {
            // A copy read the earlier segment before it was full, and this one after it was begun.
            if is_copy && !before.scan.sealed {
                survey.unreachable = names[at..].iter().map(|(path, _)| path.clone()).collect();
                break;
            }
            return Err(JournalError::MissingRecords {
                file: path.clone(),
                expected: before.scan.next_seq,
                found: *first_seq,
            });
        }
        let next = names.get(at + 1).map(|(_, first_seq)| *first_seq);
        survey
            .segments
            .push(look_at(disk, path, *first_seq, depth, is_copy, next)?);
    }
    Ok(survey)
}

fn look_at(
    disk: &Disk,
    path: &Path,
    first_seq: u64,
    depth: Depth,
    is_copy: bool,
    next: Option<u64>,
) -> Result<Found, JournalError> {
    let circumstances = Circumstances {
        is_copy,
        is_followed: next.is_some(),
    };
    let file = disk
        .open_read(path)
        .map_err(JournalError::io("open", path))?;
    let header = read_header(&file, path)?;
    if header.first_seq != first_seq {
        return Err(JournalError::damaged(
            path,
            16,
            "its first record is not the one in its name",
        ));
    }
    let file_bytes = file.size().map_err(JournalError::io("read", path))?;
    let begin = (SEGMENT_HEADER_BYTES as u64, first_seq);
    let scan = match depth {
        Depth::Start(_) if next.is_some() && !is_copy => {
            // A seal that does not lead to the next segment is not believed.
            match seal_at_end(&file, path, &header, file_bytes)? {
                Some(sealed) if Some(sealed.next_seq) == next => sealed,
                _ => scan(&file, path, &header, begin, circumstances)?,
            }
        }
        Depth::Start(Some(position)) if position.segment == first_seq => {
            let from = if is_batch(&file, path, &header, position)? {
                (position.offset, position.seq)
            } else {
                begin
            };
            scan(&file, path, &header, from, circumstances)?
        }
        _ => scan(&file, path, &header, begin, circumstances)?,
    };
    Ok(Found {
        path: path.to_path_buf(),
        header,
        file_bytes,
        scan,
    })
}

fn read_header(file: &DiskFile, path: &Path) -> Result<SegmentHeader, JournalError> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let len = file
        .read_at(&mut bytes, 0)
        .map_err(JournalError::io("read", path))?;
    SegmentHeader::decode(&bytes[..len], path)
}

/// A sealed segment ends with its seal, so that a start need not read it.
fn seal_at_end(
    file: &DiskFile,
    path: &Path,
    header: &SegmentHeader,
    file_bytes: u64,
) -> Result<Option<Scan>, JournalError> {
    let offset = file_bytes.saturating_sub(BATCH_HEADER_BYTES as u64);
    let mut bytes = [0; BATCH_HEADER_BYTES];
    file.read_at(&mut bytes, offset)
        .map_err(JournalError::io("read", path))?;
    let seal = BatchHeader::decode(&bytes, offset, header.seed());
    Ok(seal
        .filter(|batch| batch.kind == BatchKind::Seal)
        .map(|batch| Scan {
            end: file_bytes,
            last_batch: Some((offset, batch.first_seq)),
            next_seq: batch.first_seq,
            durable: file_bytes,
            sealed: true,
            ends_with_mark: true,
            frames: batch.first_seq - header.first_seq.min(batch.first_seq),
            torn: None,
        }))
}

fn is_batch(
    file: &DiskFile,
    path: &Path,
    header: &SegmentHeader,
    position: Position,
) -> Result<bool, JournalError> {
    let mut reader = BatchReader::new(file.clone(), header.seed(), position.offset, position.seq);
    let step = reader.next().map_err(JournalError::io("read", path))?;
    Ok(matches!(step, Step::Batch(_)))
}
