//! A stream of bytes in checksummed blocks, for which a cut or altered file is never the end of the stream.

use std::io::{self, Read, Write};
use std::path::Path;

use super::error::JournalError;
use super::format::{u32_at, u64_at};
use crate::disk::{Disk, DiskFile};

/// The newest snapshot format this version writes and reads.
const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"SKEPSNAP";
const HEADER_BYTES: usize = 32;
const BLOCK_HEADER_BYTES: usize = 8;
const BLOCK_BYTES_MAX: usize = 128 << 10;

/// Cuts a stream of bytes into checksummed blocks.
pub(super) struct BlockWriter {
    file: DiskFile,
    offset: u64,
    /// Room for the block's header, then its bytes.
    block: Vec<u8>,
}

impl BlockWriter {
    pub(super) fn begin(file: DiskFile, seq: u64) -> io::Result<Self> {
        file.write_all_at(&encode_header(seq), 0)?;
        Ok(Self {
            file,
            offset: HEADER_BYTES as u64,
            block: Vec::with_capacity(BLOCK_HEADER_BYTES + BLOCK_BYTES_MAX),
        })
    }

    fn write_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            self.block.resize(BLOCK_HEADER_BYTES, 0);
        }
        let bytes = (self.block.len() - BLOCK_HEADER_BYTES) as u32;
        let crc = block_crc(self.offset, &self.block[BLOCK_HEADER_BYTES..]);
        self.block[..4].copy_from_slice(&bytes.to_le_bytes());
        self.block[4..8].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all_at(&self.block, self.offset)?;
        self.offset += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.write_block()?;
        }
        self.write_block()?;
        self.file.sync_all()
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.is_empty() {
            self.block.resize(BLOCK_HEADER_BYTES, 0);
        }
        let room = BLOCK_HEADER_BYTES + BLOCK_BYTES_MAX - self.block.len();
        let len = bytes.len().min(room);
        self.block.extend_from_slice(&bytes[..len]);
        if len == room {
            self.write_block()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Checks the blocks of a file and joins them to a stream of bytes.
pub(super) struct Blocks {
    file: DiskFile,
    /// Where the next block begins.
    offset: u64,
    block: Vec<u8>,
    /// How much of the block was handed out.
    read: usize,
    is_over: bool,
}

impl Blocks {
    pub(super) fn open(disk: &Disk, path: &Path) -> Result<(Self, u64), JournalError> {
        let file = disk
            .open_read(path)
            .map_err(JournalError::io("open", path))?;
        let mut header = [0; HEADER_BYTES];
        file.read_at(&mut header, 0)
            .map_err(JournalError::io("read", path))?;
        if header[..8] != MAGIC || crc32c::crc32c(&header[..28]) != u32_at(&header, 28) {
            return Err(JournalError::damaged(path, 0, "no intact snapshot header"));
        }
        let found = u32_at(&header, 8);
        if found > FORMAT {
            return Err(JournalError::NewerFormat {
                file: path.to_path_buf(),
                found,
                supported: FORMAT,
            });
        }
        let blocks = Self {
            file,
            offset: HEADER_BYTES as u64,
            block: Vec::new(),
            read: 0,
            is_over: false,
        };
        Ok((blocks, u64_at(&header, 16)))
    }

    /// Reads the next block; false at the proper end of the file.
    pub(super) fn next_block(&mut self) -> io::Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let mut header = [0; BLOCK_HEADER_BYTES];
        if self.file.read_at(&mut header, self.offset)? < BLOCK_HEADER_BYTES {
            return Err(damaged());
        }
        let len = u32_at(&header, 0) as usize;
        if len > BLOCK_BYTES_MAX {
            return Err(damaged());
        }
        self.block.resize(len, 0);
        self.read = 0;
        let from = self.offset + BLOCK_HEADER_BYTES as u64;
        let is_whole = self.file.read_at(&mut self.block, from)? == len;
        if !is_whole || block_crc(self.offset, &self.block) != u32_at(&header, 4) {
            self.block.clear();
            return Err(damaged());
        }
        self.offset = from + len as u64;
        self.is_over = len == 0;
        if self.is_over && self.file.size()? != self.offset {
            return Err(damaged());
        }
        Ok(!self.is_over)
    }

    /// An error of the disk as such; everything else that goes wrong in reading is damage.
    pub(super) fn explain(&self, path: &Path, error: io::Error) -> JournalError {
        if error.raw_os_error().is_some() {
            JournalError::io("read", path)(error)
        } else {
            JournalError::damaged(path, self.offset, "the snapshot is cut short or altered")
        }
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.block.len() && !self.next_block()? {
            return Ok(0);
        }
        let rest = &self.block[self.read..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        Ok(len)
    }
}

fn encode_header(seq: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[16..24].copy_from_slice(&seq.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn block_crc(offset: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), bytes)
}
