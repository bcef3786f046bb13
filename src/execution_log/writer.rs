//! The writing side of a log: append, count, tell the readers, seal.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::reader::trusted_index;
use super::{INDEX_RECORD_BYTES, LogError, LogLength, Piece, Stream, index_path};

use crate::disk::{Disk, DiskFile, PRIVATE_FILE_MODE};
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
pub struct LogWriter {
    disk: Disk,
    path: PathBuf,
    data: DiskFile,
    index: DiskFile,
    bytes: u64,
    index_bytes: u64,
    bytes_max: u64,
    ends_in_newline: bool,
    length: watch::Sender<LogLength>,
}

impl LogWriter {
    /// A new log. Directories that are missing are made (0700); a file that exists is refused, since a log is written once.
    pub fn create(path: impl Into<PathBuf>, bytes_max: u64) -> Result<Self, LogError> {
        Self::create_on(&Disk::real(), path, bytes_max)
    }

    /// [`LogWriter::create`] on any disk.
    pub fn create_on(
        disk: &Disk,
        path: impl Into<PathBuf>,
        bytes_max: u64,
    ) -> Result<Self, LogError> {
        let path = path.into();
        let open = || -> io::Result<(DiskFile, DiskFile)> {
            let data = match disk.create_new(&path, PRIVATE_FILE_MODE) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    create_parents(disk, &path)?;
                    disk.create_new(&path, PRIVATE_FILE_MODE)?
                }
                data => data?,
            };
            let index = disk.create_new(&index_path(&path), PRIVATE_FILE_MODE)?;
            Ok((data, index))
        };
        let opened = open().map(|(data, index)| Opened {
            data,
            index,
            bytes: 0,
            index_bytes: 0,
            ends_in_newline: true,
        });
        Self::new(disk, path, bytes_max, opened)
    }

    /// The log that a crash left behind, to be ended with a note and sealed. Its index is cut to what the log holds.
    pub fn reopen(path: impl Into<PathBuf>, bytes_max: u64) -> Result<Self, LogError> {
        let disk = Disk::real();
        let path = path.into();
        let open = || -> io::Result<Opened> {
            let data = disk.open_rw(&path)?;
            let bytes = data.size()?;
            let mut last = [b'\n'];
            if let Some(at) = bytes.checked_sub(1) {
                data.read_at(&mut last, at)?;
            }
            let index = match disk.open_rw(&index_path(&path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    disk.create_new(&index_path(&path), PRIVATE_FILE_MODE)?
                }
                index => index?,
            };
            let piece_at = |number: u64| -> io::Result<Option<Piece>> {
                let mut record = [0; INDEX_RECORD_BYTES];
                let read = index.read_at(&mut record, number * INDEX_RECORD_BYTES as u64)?;
                Ok((read == record.len())
                    .then(|| Piece::decode(&record))
                    .flatten())
            };
            let records = trusted_index(index.size()?, bytes, piece_at)?;
            let index_bytes = records * INDEX_RECORD_BYTES as u64;
            index.set_len(index_bytes)?;
            Ok(Opened {
                data,
                index,
                bytes,
                index_bytes,
                ends_in_newline: last == *b"\n",
            })
        };
        let opened = open();
        Self::new(&disk, path, bytes_max, opened)
    }

    fn new(
        disk: &Disk,
        path: PathBuf,
        bytes_max: u64,
        opened: io::Result<Opened>,
    ) -> Result<Self, LogError> {
        match opened {
            Ok(opened) => Ok(Self {
                disk: disk.clone(),
                path,
                data: opened.data,
                index: opened.index,
                bytes: opened.bytes,
                index_bytes: opened.index_bytes,
                bytes_max,
                ends_in_newline: opened.ends_in_newline,
                length: watch::Sender::new(LogLength {
                    bytes: opened.bytes,
                    ended: false,
                }),
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
            let index_path = index_path(&self.path);
            for (file, path) in [(&self.data, &self.path), (&self.index, &index_path)] {
                self.disk.set_read_only(path)?;
                file.sync_all()?;
            }
            // The month's folder may be new as well, so its own entry counts too.
            for directory in self.path.ancestors().skip(1).take(2) {
                if !directory.as_os_str().is_empty() {
                    self.disk.sync_dir(directory)?;
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
        if let Err(source) = self.data.write_all_at(piece, self.bytes) {
            // A part may have been written; the next record must still point at its own bytes.
            if let Ok(bytes) = self.data.size() {
                self.bytes = bytes;
            }
            return Err(self.failed(source));
        }
        self.bytes += piece.len() as u64;
        self.ends_in_newline = ends_in_newline;
        self.length.send_modify(|length| length.bytes = self.bytes);
        let record = record.encode();
        self.index
            .write_all_at(&record, self.index_bytes)
            .map_err(|source| self.failed(source))?;
        self.index_bytes += record.len() as u64;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> LogError {
        LogError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// The files of a log, and where they end.
struct Opened {
    data: DiskFile,
    index: DiskFile,
    bytes: u64,
    index_bytes: u64,
    ends_in_newline: bool,
}

/// Makes the directories above a file that are not there.
fn create_parents(disk: &Disk, path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent() else {
        return Ok(());
    };
    match disk.create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_parents(disk, directory)?;
            disk.create_dir(directory)
        }
        done => done,
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
