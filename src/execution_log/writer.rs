//! The writing side of a log: append, count, tell the readers, seal.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::reader::trusted_index;
use super::{INDEX_RECORD_BYTES, LogError, LogLength, Piece, Stream, index_path};
use crate::model::Millis;

/// The longest piece; a longer line is several.
pub const PIECE_BYTES_MAX: usize = 64 * 1024;
/// Room above the cap, so that Skep can still say why it ended the run.
const NOTE_RESERVE_BYTES: u64 = 4 * 1024;

/// The open log of a running execution; the only writer of its file.
///
/// What it was given is in the file when a call returns, so that a crash of the server loses nothing that was shown;
/// it is on disk, and read-only, once [`LogWriter::seal`] returned. Dropping it without sealing ends it for its
/// followers and leaves the file as it is.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    data: File,
    index: File,
    bytes: u64,
    bytes_max: u64,
    ends_in_newline: bool,
    length: watch::Sender<LogLength>,
}

impl LogWriter {
    /// A new log. Directories that are missing are made (0700); a file that exists is refused, since a log is written once.
    pub fn create(path: impl Into<PathBuf>, bytes_max: u64) -> Result<Self, LogError> {
        let path = path.into();
        let open = || -> io::Result<(File, File)> {
            if let Some(directory) = path.parent() {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(directory)?;
            }
            let mut options = OpenOptions::new();
            options.append(true).create_new(true).mode(0o600);
            Ok((options.open(&path)?, options.open(index_path(&path))?))
        };
        match open() {
            Ok((data, index)) => Ok(Self {
                data,
                index,
                path,
                bytes: 0,
                bytes_max,
                ends_in_newline: true,
                length: watch::channel(LogLength {
                    bytes: 0,
                    ended: false,
                })
                .0,
            }),
            Err(source) => Err(LogError::Io { path, source }),
        }
    }

    /// The log that a crash left behind, to be ended with a note and sealed. Its index is cut to what the log holds.
    pub fn reopen(path: impl Into<PathBuf>, bytes_max: u64) -> Result<Self, LogError> {
        let path = path.into();
        let open = || -> io::Result<(File, File, u64, bool)> {
            let mut options = OpenOptions::new();
            options.append(true).read(true);
            let data = options.open(&path)?;
            let bytes = data.metadata()?.len();
            let mut last = [b'\n'];
            if let Some(at) = bytes.checked_sub(1) {
                std::os::unix::fs::FileExt::read_exact_at(&data, &mut last, at)?;
            }
            let index = options.create(true).mode(0o600).open(index_path(&path))?;
            let records = trusted_index(&index, bytes)?;
            index.set_len(records * INDEX_RECORD_BYTES as u64)?;
            Ok((data, index, bytes, last == *b"\n"))
        };
        match open() {
            Ok((data, index, bytes, ends_in_newline)) => Ok(Self {
                data,
                index,
                path,
                bytes,
                bytes_max,
                ends_in_newline,
                length: watch::channel(LogLength {
                    bytes,
                    ended: false,
                })
                .0,
            }),
            Err(source) => Err(LogError::Io { path, source }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// How far the log has come, now and as it grows; for those who follow it.
    pub fn length(&self) -> watch::Receiver<LogLength> {
        self.length.subscribe()
    }

    /// Appends what the engine printed: a line with its newline, or a part of one. What passes the cap is not
    /// written, but all that fits is.
    pub fn line(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), LogError> {
        let room = self.bytes_max.saturating_sub(self.bytes);
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.append(stream, &bytes[..fits])?;
        if fits < bytes.len() {
            return Err(LogError::Full {
                bytes_max: self.bytes_max,
            });
        }
        Ok(())
    }

    /// A sentence of Skep's own, on a line of its own.
    pub fn note(&mut self, text: &str) -> Result<(), LogError> {
        let start = if self.ends_in_newline { "" } else { "\n" };
        let note = format!("{start}[skep] {}\n", text.trim_end().replace('\n', " "));
        let room = (self.bytes_max + NOTE_RESERVE_BYTES).saturating_sub(self.bytes);
        if note.len() as u64 > room {
            return Err(LogError::Full {
                bytes_max: self.bytes_max,
            });
        }
        self.append(Stream::Note, note.as_bytes())
    }

    /// Ends the log: on disk with its index and its name, read-only. Returns its length.
    pub fn seal(self) -> Result<u64, LogError> {
        let sealed = || -> io::Result<()> {
            for file in [&self.data, &self.index] {
                file.set_permissions(Permissions::from_mode(0o400))?;
                file.sync_all()?;
            }
            // The month's folder may be new as well, so its own entry counts too.
            for directory in self.path.ancestors().skip(1).take(2) {
                if !directory.as_os_str().is_empty() {
                    File::open(directory)?.sync_all()?;
                }
            }
            Ok(())
        };
        sealed().map_err(|source| self.failed(source))?;
        Ok(self.bytes)
    }

    fn append(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), LogError> {
        for piece in bytes.chunks(PIECE_BYTES_MAX) {
            self.append_piece(stream, piece)?;
        }
        Ok(())
    }

    fn append_piece(&mut self, stream: Stream, piece: &[u8]) -> Result<(), LogError> {
        let ends_in_newline = piece.ends_with(b"\n");
        let record = Piece {
            offset: self.bytes,
            at: now(),
            bytes: u32::try_from(piece.len()).unwrap_or(u32::MAX),
            stream,
            goes_on: !ends_in_newline,
        };
        if let Err(source) = self.data.write_all(piece) {
            // A part may have been written; the next record must still point at its own bytes.
            if let Ok(metadata) = fs::metadata(&self.path) {
                self.bytes = metadata.len();
            }
            return Err(self.failed(source));
        }
        self.bytes += piece.len() as u64;
        self.ends_in_newline = ends_in_newline;
        self.length.send_modify(|length| length.bytes = self.bytes);
        self.index
            .write_all(&record.encode())
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> LogError {
        LogError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.length.send_modify(|length| length.ended = true);
    }
}

fn now() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| Millis::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
