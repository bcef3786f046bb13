//! Execution logs: one append-only file per execution.
//!
//! Owns the bytes an engine printed, in the order they arrived, and the index of their pieces. Must never know what a
//! line means. Start reading at [`LogWriter`]; [`LogReader`] and [`LogFollower`] are the other side.
//!
//! `<id>.log` is what was printed, byte for byte, with Skep's own notes between. `<id>.idx` beside it holds one
//! [`Piece`] of fixed size for every write: where it begins, when, and which stream it came from. A line is one piece,
//! or several when it is long or still being printed; the last piece of a line is the one that ends in a newline.

mod reader;
mod writer;

use std::path::{Path, PathBuf};

pub use reader::{LogFollower, LogReader, READ_BYTES_MAX};
pub use writer::{LogWriter, PIECE_BYTES_MAX};

use crate::model::Millis;

/// Where a piece of a log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The engine's standard output.
    Stdout,
    /// The engine's standard error.
    Stderr,
    /// Skep itself.
    Note,
}

/// What the index knows of one write to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its first byte in the log.
    pub offset: u64,
    /// When it was written.
    pub at: Millis,
    /// Its length.
    pub bytes: u32,
    /// Where it came from.
    pub stream: Stream,
    /// Whether its line goes on in a later piece of the same stream.
    pub goes_on: bool,
}

/// Bytes of one record of the index.
pub const INDEX_RECORD_BYTES: usize = 24;

impl Piece {
    /// The first byte after it. A damaged record can say anything, so this is the largest number where there is none.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.bytes))
    }

    fn encode(&self) -> [u8; INDEX_RECORD_BYTES] {
        let mut record = [0; INDEX_RECORD_BYTES];
        record[0..8].copy_from_slice(&self.offset.to_le_bytes());
        record[8..16].copy_from_slice(&self.at.to_le_bytes());
        record[16..20].copy_from_slice(&self.bytes.to_le_bytes());
        record[20] = match self.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
            Stream::Note => 3,
        };
        record[21] = u8::from(self.goes_on);
        record
    }

    /// `None`: not a record; the crash that tore it also ends the index.
    fn decode(record: &[u8]) -> Option<Self> {
        let (offset, rest) = record.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (bytes, rest) = rest.split_first_chunk()?;
        let stream = match *rest.first()? {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            3 => Stream::Note,
            _ => return None,
        };
        Some(Self {
            offset: u64::from_le_bytes(*offset),
            at: u64::from_le_bytes(*at),
            bytes: u32::from_le_bytes(*bytes),
            stream,
            goes_on: *rest.get(1)? != 0,
        })
    }
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLength {
    /// Bytes that a reader may read.
    pub bytes: u64,
    /// Whether none will follow.
    pub ended: bool,
}

/// Why a log cannot take more.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It reached its cap; the run has to end.
    #[error("the log reached its limit of {bytes_max} bytes")]
    Full {
        /// The cap.
        bytes_max: u64,
    },
    /// The file system refused.
    #[error("the log {path} cannot be written: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
}

impl LogError {
    /// Whether the disk is full.
    pub fn is_storage_full(&self) -> bool {
        match self {
            Self::Full { .. } => false,
            Self::Io { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            ),
        }
    }
}

/// The index that belongs to a log.
pub fn index_path(log: &Path) -> PathBuf {
    log.with_extension("idx")
}

#[cfg(test)]
mod tests;
