//! Snapshot files: everything the tables held after one record, so that the journal before it can go.
//!
//! ```text
//! file     magic 8, format u32, zero u32, seq u64, zero u32, crc32c u32; blocks; one empty block
//! block    bytes u32, crc32c u32 (also over the block's place in the file), a piece of one zstd stream
//! stream   'S' name; 'E' key, value; at last 'Z' and the number of entries. Lengths are u32.
//! ```
//! A `.snap` file is complete: it is written under a temporary name, synced, and renamed. Nothing is held in memory but one
//! block and one entry. What the sections mean is the caller's.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::blocks::{BlockWriter, Blocks};
use super::error::JournalError;
use super::survey::{TEMPORARY_SUFFIX, seq_of};
use crate::disk::{Disk, PRIVATE_FILE_MODE};

/// Limit of a section's name.
pub const SECTION_NAME_BYTES_MAX: usize = 256;
/// Limit of an entry's key.
pub const KEY_BYTES_MAX: usize = 64 << 10;
/// Limit of an entry's value: what one journal record may hold, and as much again for what a table adds.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

const SUFFIX: &str = ".snap";
/// Fast, and small enough: level 3 takes twice as long for a tenth less.
const LEVEL: i32 = 1;
/// More than the level above ever uses; what a reader may be made to allocate.
const WINDOW_LOG_MAX: u32 = 23;

/// A finished snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The last record it contains.
    pub seq: u64,
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was finished.
    pub modified: SystemTime,
}

/// The snapshots in a directory, oldest first; none if there is no such directory.
pub fn list(disk: &Disk, dir: &Path) -> Result<Vec<SnapshotFile>, JournalError> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.map_err(JournalError::io("list", dir))?,
    };
    let mut snapshots = Vec::new();
    for name in names {
        let Some(seq) = name.to_str().and_then(|name| seq_of(name, SUFFIX)) else {
            continue;
        };
        let path = dir.join(name);
        let info = disk
            .info(&path)
            .map_err(JournalError::io("look at", &path))?;
        snapshots.push(SnapshotFile {
            seq,
            path,
            bytes: info.len,
            modified: info.modified,
        });
    }
    Ok(snapshots)
}

/// Opens the newest snapshot whose checksums are right. Those that were passed over are returned too, to be reported.
pub fn newest_good(
    disk: &Disk,
    dir: &Path,
) -> Result<(Option<SnapshotReader>, Vec<JournalError>), JournalError> {
    let mut passed_over = Vec::new();
    for snapshot in list(disk, dir)?.iter().rev() {
        match check(disk, &snapshot.path) {
            Ok(_) => {
                let reader = SnapshotReader::open(disk, &snapshot.path)?;
                return Ok((Some(reader), passed_over));
            }
            Err(error @ JournalError::Damaged { .. }) => passed_over.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok((None, passed_over))
}

/// Reads all of a snapshot and checks it, without unpacking; returns the last record it contains.
pub fn check(disk: &Disk, path: &Path) -> Result<u64, JournalError> {
    let (mut blocks, seq) = Blocks::open(disk, path)?;
    loop {
        match blocks.next_block() {
            Ok(true) => {}
            Ok(false) => return Ok(seq),
            Err(error) => return Err(blocks.explain(path, error)),
        }
    }
}

/// Writes one snapshot. Dropped before `finish`, it leaves nothing but a temporary file, which it tries to remove.
pub struct SnapshotWriter {
    disk: Disk,
    dir: PathBuf,
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once it is finished.
    stream: Option<zstd::stream::write::Encoder<'static, BlockWriter>>,
    entries: u64,
    bytes: u64,
}

impl SnapshotWriter {
    /// Begins the snapshot that contains everything up to this record.
    pub fn begin(disk: &Disk, dir: &Path, seq: u64) -> Result<Self, JournalError> {
        disk.create_dir(dir)
            .map_err(JournalError::io("create", dir))?;
        let path = dir.join(format!("{seq:020}{SUFFIX}"));
        let temporary = dir.join(format!("{seq:020}{SUFFIX}{TEMPORARY_SUFFIX}"));
        // What an earlier attempt left.
        let _ = disk.remove_file(&temporary);
        let create = || {
            let file = disk.create_new(&temporary, PRIVATE_FILE_MODE)?;
            zstd::stream::write::Encoder::new(BlockWriter::begin(file, seq)?, LEVEL)
        };
        let stream = create().map_err(JournalError::io("write", &temporary))?;
        Ok(Self {
            disk: disk.clone(),
            dir: dir.to_path_buf(),
            path,
            temporary,
            stream: Some(stream),
            entries: 0,
            bytes: 0,
        })
    }

    /// Begins a section; the entries that follow belong to it.
    pub fn section(&mut self, name: &str) -> Result<(), JournalError> {
        check_limit(name.len(), SECTION_NAME_BYTES_MAX)?;
        self.write(&[b"S", &(name.len() as u32).to_le_bytes(), name.as_bytes()])
    }

    /// Adds an entry to the section.
    pub fn entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), JournalError> {
        check_limit(key.len(), KEY_BYTES_MAX)?;
        check_limit(value.len(), VALUE_BYTES_MAX)?;
        self.entries += 1;
        let key_len = (key.len() as u32).to_le_bytes();
        let value_len = (value.len() as u32).to_le_bytes();
        self.write(&[b"E", &key_len, key, &value_len, value])
    }

    /// Completes the snapshot, makes it durable and gives it its name.
    pub fn finish(mut self) -> Result<SnapshotFile, JournalError> {
        let entries = self.entries.to_le_bytes();
        self.write(&[b"Z", &entries])?;
        let Some(stream) = self.stream.take() else {
            return Err(JournalError::damaged(
                &self.temporary,
                0,
                "already finished",
            ));
        };
        let done = stream.finish().and_then(BlockWriter::finish);
        let result = done
            .map_err(JournalError::io("write", &self.temporary))
            .and_then(|()| self.publish());
        if result.is_err() {
            let _ = self.disk.remove_file(&self.temporary);
        }
        result
    }

    fn publish(&self) -> Result<SnapshotFile, JournalError> {
        self.disk
            .rename(&self.temporary, &self.path)
            .map_err(JournalError::io("rename", &self.temporary))?;
        self.disk
            .sync_dir(&self.dir)
            .map_err(JournalError::io("sync", &self.dir))?;
        let info = self
            .disk
            .info(&self.path)
            .map_err(JournalError::io("look at", &self.path))?;
        let name = self.path.file_name().and_then(|name| name.to_str());
        Ok(SnapshotFile {
            seq: name.and_then(|name| seq_of(name, SUFFIX)).unwrap_or(0),
            path: self.path.clone(),
            bytes: info.len,
            modified: info.modified,
        })
    }

    /// Bytes put in so far, before they are packed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn write(&mut self, parts: &[&[u8]]) -> Result<(), JournalError> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        for part in parts {
            stream
                .write_all(part)
                .map_err(JournalError::io("write", &self.temporary))?;
            self.bytes += part.len() as u64;
        }
        Ok(())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if self.stream.take().is_some() {
            let _ = self.disk.remove_file(&self.temporary);
        }
    }
}

fn check_limit(bytes: usize, bytes_max: usize) -> Result<(), JournalError> {
    if bytes > bytes_max {
        return Err(JournalError::PayloadTooLarge { bytes, bytes_max });
    }
    Ok(())
}

/// One thing in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A section begins.
    Section(&'a str),
    /// An entry of the present section.
    Entry {
        /// Its key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
}

/// Reads a snapshot from beginning to end.
pub struct SnapshotReader {
    path: PathBuf,
    seq: u64,
    stream: zstd::stream::read::Decoder<'static, io::BufReader<Blocks>>,
    entries: u64,
    is_over: bool,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl SnapshotReader {
    /// Opens a snapshot. Damage further in is found when it is reached.
    pub fn open(disk: &Disk, path: &Path) -> Result<Self, JournalError> {
        let (blocks, seq) = Blocks::open(disk, path)?;
        let open = || {
            let mut stream = zstd::stream::read::Decoder::new(blocks)?;
            stream.window_log_max(WINDOW_LOG_MAX)?;
            Ok(stream)
        };
        Ok(Self {
            path: path.to_path_buf(),
            seq,
            stream: open().map_err(JournalError::io("read", path))?,
            entries: 0,
            is_over: false,
            key: Vec::new(),
            value: Vec::new(),
        })
    }

    /// The last record the snapshot contains.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The next section or entry. `None` is given only at a proper end.
    #[allow(clippy::should_implement_trait)] // The item borrows the reader, which an Iterator cannot say.
    pub fn next(&mut self) -> Result<Option<Item<'_>>, JournalError> {
        if self.is_over {
            return Ok(None);
        }
        match self.read_item() {
            Ok(b'S') => match std::str::from_utf8(&self.key) {
                Ok(name) => Ok(Some(Item::Section(name))),
                Err(_) => Err(JournalError::damaged(&self.path, 0, "a name is not text")),
            },
            Ok(b'E') => Ok(Some(Item::Entry {
                key: &self.key,
                value: &self.value,
            })),
            Ok(_) => {
                self.is_over = true;
                Ok(None)
            }
            Err(error) => Err(self.stream.get_ref().get_ref().explain(&self.path, error)),
        }
    }

    /// Reads one item into `key` and `value`, and returns its tag.
    fn read_item(&mut self) -> io::Result<u8> {
        let mut tag = [0];
        self.stream.read_exact(&mut tag)?;
        match tag[0] {
            b'S' => read_bytes(&mut self.stream, &mut self.key, SECTION_NAME_BYTES_MAX)?,
            b'E' => {
                read_bytes(&mut self.stream, &mut self.key, KEY_BYTES_MAX)?;
                read_bytes(&mut self.stream, &mut self.value, VALUE_BYTES_MAX)?;
                self.entries += 1;
            }
            b'Z' => {
                let mut entries = [0; 8];
                self.stream.read_exact(&mut entries)?;
                let is_at_end = self.stream.read(&mut [0])? == 0;
                if u64::from_le_bytes(entries) != self.entries || !is_at_end {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(tag[0])
    }
}

fn read_bytes(stream: &mut impl Read, bytes: &mut Vec<u8>, bytes_max: usize) -> io::Result<()> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > bytes_max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    bytes.resize(len, 0);
    stream.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rustix::io::Errno;

    use super::*;
    use crate::disk::faulty::{FaultyDisk, Survival};

    fn dir() -> &'static Path {
        Path::new("/snapshots")
    }

    fn write(disk: &Disk, seq: u64) -> Result<SnapshotFile, JournalError> {
        let mut writer = SnapshotWriter::begin(disk, dir(), seq)?;
        for section in ["sessions", "messages", "empty"] {
            writer.section(section)?;
            for entry in 0..if section == "empty" { 0 } else { 50_u64 } {
                let value = vec![entry as u8; (entry * 7) as usize];
                writer.entry(&(entry * seq).to_be_bytes(), &value)?;
            }
        }
        writer.finish()
    }

    fn read(disk: &Disk, path: &Path) -> Result<Vec<(String, u64, usize)>, JournalError> {
        let mut reader = SnapshotReader::open(disk, path)?;
        let mut items = Vec::new();
        let mut section = String::new();
        while let Some(item) = reader.next()? {
            match item {
                Item::Section(name) => {
                    section = name.to_owned();
                    items.push((section.clone(), u64::MAX, 0));
                }
                Item::Entry { key, value } => {
                    let key = u64::from_be_bytes(key.try_into().unwrap());
                    items.push((section.clone(), key, value.len()));
                }
            }
        }
        Ok(items)
    }

    /// Sections and entries come back in their order, also when they fill many blocks.
    #[test]
    fn sections_and_entries_are_read_back() {
        let disk = FaultyDisk::new().disk();
        let file = write(&disk, 3).unwrap();
        let items = read(&disk, &file.path).unwrap();
        assert_eq!(items.len(), 103);
        assert_eq!(items[52], ("messages".to_owned(), 0, 0));
        assert_eq!(items[53], ("messages".to_owned(), 3, 7));
        assert_eq!(list(&disk, dir()).unwrap(), [file]);

        let mut random = 1_u64;
        let mut noise = |len: usize| -> Vec<u8> {
            std::iter::repeat_with(|| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(9);
                (random >> 56) as u8
            })
            .take(len)
            .collect()
        };
        let entries: Vec<_> = (0..20).map(|at| noise(at * 20_000)).collect();
        let mut writer = SnapshotWriter::begin(&disk, dir(), 4).unwrap();
        writer.section("noise").unwrap();
        for value in &entries {
            writer.entry(b"key", value).unwrap();
        }
        let limits = [
            writer.entry(&vec![0; KEY_BYTES_MAX + 1], b""),
            writer.entry(b"", &vec![0; VALUE_BYTES_MAX + 1]),
            writer.section(&"x".repeat(SECTION_NAME_BYTES_MAX + 1)),
        ];
        assert!(
            limits
                .iter()
                .all(|l| matches!(l, Err(JournalError::PayloadTooLarge { .. })))
        );
        let file = writer.finish().unwrap();
        assert_eq!(check(&disk, &file.path).unwrap(), 4);
        let (reader, passed_over) = newest_good(&disk, dir()).unwrap();
        let mut reader = reader.unwrap();
        assert_eq!((reader.seq(), passed_over.len()), (4, 0));
        assert_eq!(reader.next().unwrap(), Some(Item::Section("noise")));
        for value in &entries {
            assert_eq!(
                reader.next().unwrap(),
                Some(Item::Entry { key: b"key", value })
            );
        }
        assert_eq!(reader.next().unwrap(), None);
        assert_eq!(reader.next().unwrap(), None);
    }

    /// A snapshot that is cut or altered anywhere is never taken for a good one; the one before it is.
    #[test]
    fn a_cut_or_altered_snapshot_is_passed_over() {
        let faulty = FaultyDisk::new();
        let disk = faulty.disk();
        let older = write(&disk, 3).unwrap();
        let newer = write(&disk, 8).unwrap();
        let bytes = faulty.content(&newer.path).unwrap();
        for at in 0..bytes.len() {
            let cut = bytes[..at].to_vec();
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            for broken in [cut, flipped] {
                faulty.put(&newer.path, &broken);
                assert!(matches!(
                    read(&disk, &newer.path),
                    Err(JournalError::Damaged { .. })
                ));
                let (reader, passed_over) = newest_good(&disk, dir()).unwrap();
                assert_eq!(reader.unwrap().seq(), older.seq);
                assert!(
                    matches!(&passed_over[..], [JournalError::Damaged { file, .. }] if *file == newer.path)
                );
            }
        }
    }

    /// Whatever fails, and whenever the power is cut, a snapshot is there whole or not at all, and what was finished stays.
    #[test]
    fn a_snapshot_is_whole_or_not_there() {
        let faulty = FaultyDisk::new();
        write(&faulty.disk(), 3).unwrap();
        let calls = faulty.calls();
        for n in 1..=calls + 1 {
            for survival in [Survival::Nothing, Survival::Everything, Survival::Some(n)] {
                for error in [Errno::IO, Errno::NOSPC] {
                    let faulty = FaultyDisk::new();
                    write(&faulty.disk(), 1).unwrap();
                    faulty.fail_from(n, error);
                    let written = write(&faulty.disk(), 3);
                    faulty.heal();
                    faulty.power_loss(survival);
                    let snapshots = list(&faulty.disk(), dir()).unwrap();
                    assert_eq!(snapshots[0].seq, 1);
                    for snapshot in &snapshots {
                        assert_eq!(read(&faulty.disk(), &snapshot.path).unwrap().len(), 103);
                    }
                    if written.is_ok() {
                        assert_eq!(snapshots.len(), 2);
                    }
                }
            }
        }
    }

    /// A full disk says so and the attempt leaves nothing.
    #[test]
    fn a_full_disk_leaves_no_half_snapshot() {
        let faulty = FaultyDisk::new();
        faulty.set_capacity(Some(300));
        let error = write(&faulty.disk(), 3).unwrap_err();
        assert!(matches!(error, JournalError::StorageFull { .. }));
        assert!(faulty.paths().is_empty());
        faulty.set_capacity(None);
        write(&faulty.disk(), 3).unwrap();
    }
}
