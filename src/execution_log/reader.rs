//! The reading side of a log: ranges, the index, and following one that still grows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use tokio::sync::watch;

use super::{INDEX_RECORD_BYTES, LogLength, Piece, index_path};

/// The most that one read returns, so that no reader holds more of a log in memory.
pub const READ_BYTES_MAX: usize = 256 * 1024;

/// A log, running or sealed, open for reading. Reads come from the page cache or block for one disk access.
#[derive(Debug)]
pub struct LogReader {
    data: File,
    index: Option<File>,
}

impl LogReader {
    /// The log at `path`. Its index may be missing; the bytes do not need it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            data: File::open(path)?,
            index: File::open(index_path(path)).ok(),
        })
    }

    /// Bytes in the file now.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.data.metadata()?.len())
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// At most `bytes_max` (and [`READ_BYTES_MAX`]) bytes from `offset` on; empty at the end.
    pub fn read_range(&self, offset: u64, bytes_max: u64) -> io::Result<Bytes> {
        let wanted = usize::try_from(bytes_max)
            .unwrap_or(usize::MAX)
            .min(READ_BYTES_MAX);
        let mut buffer = vec![0; wanted];
        let mut filled = 0;
        while filled < wanted {
            match self
                .data
                .read_at(&mut buffer[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        Ok(Bytes::from(buffer))
    }

    /// The pieces of the log from number `first` on, at most `count` of them.
    pub fn pieces(&self, first: u64, count: usize) -> io::Result<Vec<Piece>> {
        let Some(index) = &self.index else {
            return Ok(Vec::new());
        };
        let index_bytes = index.metadata()?.len();
        let trusted = trusted_index(index_bytes, self.len()?, |number| piece_at(index, number))?;
        let last = first.saturating_add(count as u64).min(trusted);
        let mut pieces = Vec::new();
        for number in first..last {
            match piece_at(index, number)? {
                Some(piece) => pieces.push(piece),
                None => break,
            }
        }
        Ok(pieces)
    }

    /// The pieces from the one that holds the byte at `offset`, at most `count` of them.
    pub fn pieces_from(&self, offset: u64, count: usize) -> io::Result<Vec<Piece>> {
        let Some(index) = &self.index else {
            return Ok(Vec::new());
        };
        // They follow each other in the log, so the place is found by halves.
        let (mut low, mut high) = (0, index.metadata()?.len() / INDEX_RECORD_BYTES as u64);
        while low < high {
            let middle = low + (high - low) / 2;
            match piece_at(index, middle)? {
                Some(piece) if piece.end() <= offset => low = middle + 1,
                _ => high = middle,
            }
        }
        self.pieces(low, count)
    }

    /// The file, for those who send it as a whole.
    pub fn into_file(self) -> File {
        self.data
    }

    /// Follows the log from `offset` on, with the length that its writer announces.
    pub fn follow(self, offset: u64, length: watch::Receiver<LogLength>) -> LogFollower {
        LogFollower {
            reader: self,
            offset,
            length,
        }
    }
}

/// A reader of a log that still grows. A slow one costs no memory: what it has not read is in the file.
#[derive(Debug)]
pub struct LogFollower {
    reader: LogReader,
    offset: u64,
    length: watch::Receiver<LogLength>,
}

impl LogFollower {
    /// The next bytes, as soon as there are any; `None` once the log ended and all of it was read.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let length = *self.length.borrow_and_update();
            if length.bytes > self.offset {
                let bytes = self
                    .reader
                    .read_range(self.offset, length.bytes - self.offset)?;
                self.offset += bytes.len() as u64;
                return Ok((!bytes.is_empty()).then_some(bytes));
            }
            if length.ended || self.length.changed().await.is_err() {
                // The writer is gone; what it announced last may have come in between.
                if self.length.borrow().bytes <= self.offset {
                    return Ok(None);
                }
            }
        }
    }
}

/// How many records at the start of an index describe bytes that the log really holds.
pub(super) fn trusted_index(
    index_bytes: u64,
    log_bytes: u64,
    piece_at: impl Fn(u64) -> io::Result<Option<Piece>>,
) -> io::Result<u64> {
    let mut records = index_bytes / INDEX_RECORD_BYTES as u64;
    while let Some(last) = records.checked_sub(1) {
        match piece_at(last)? {
            Some(piece) if piece.end() <= log_bytes => break,
            _ => records = last,
        }
    }
    Ok(records)
}

fn piece_at(index: &File, number: u64) -> io::Result<Option<Piece>> {
    let mut record = [0; INDEX_RECORD_BYTES];
    match index.read_exact_at(&mut record, number * INDEX_RECORD_BYTES as u64) {
        Ok(()) => Ok(Piece::decode(&record)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
