//! A backup's archive, read and unpacked.

use std::fs;
use std::io::Read;
use std::path::{Component, Path};

use skep::backup::unpack::{Depth, Unpacker};
use skep::backup::{BackupError, Entry, Kind, Sink, archive};

use super::choice;

const BLOCK_BYTES: usize = 512;
/// Archives are as large as what is in them; here more than this is not written out.
const BYTES_MAX: u64 = 4 << 20;

/// Whatever an archive says, every path stays below its directory, no link leads out of it, and an archive that is
/// believed holds what was unpacked.
pub fn read(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    let packed = match which % 3 {
        0 => rest.to_vec(),
        1 => pack(rest),
        _ => pack(&with_checksums(rest)),
    };
    let mut seen = Seen::default();
    let manifest = archive::read(packed.as_slice(), &mut seen);
    if let Err(error) = &manifest {
        let said = error.to_string();
        assert!(said.len() < 32 << 10, "{} bytes of error", said.len());
    }
    if seen.bytes > BYTES_MAX || seen.entries > 1_000 {
        return;
    }
    let parent = tempfile::tempdir().expect("a directory");
    let root = parent.path().join("hive");
    let mut unpacker = Unpacker::new(&root, Depth::Everything).expect("a new directory");
    let unpacked = archive::read(packed.as_slice(), &mut unpacker).and_then(|_| unpacker.finish());
    let beside: Vec<_> = fs::read_dir(parent.path()).expect("listed").collect();
    assert_eq!(
        beside.len(),
        1,
        "something was written beside the directory"
    );
    let files = walk(&root, &root);
    if let Ok(unpacked) = unpacked {
        assert!(manifest.is_ok(), "unpacked, but not readable");
        assert_eq!(unpacked.files, files);
        assert_eq!(unpacked.bytes, seen.bytes);
    }
}

/// Counts the files below a directory, and checks what no mode and no link may do.
fn walk(root: &Path, dir: &Path) -> u64 {
    let mut files = 0;
    // A mode may forbid to look.
    let Ok(listed) = fs::read_dir(dir) else {
        return 0;
    };
    for entry in listed {
        let path = entry.expect("an entry").path();
        let metadata = path.symlink_metadata().expect("it is there");
        if metadata.is_symlink() {
            let target = fs::read_link(&path).expect("a link");
            let from = path
                .parent()
                .expect("a parent")
                .strip_prefix(root)
                .expect("below");
            assert!(
                stays(from, &target),
                "{} leads to {target:?}",
                path.display()
            );
        } else if metadata.is_dir() {
            files += walk(root, &path);
        } else {
            assert!(metadata.is_file());
            files += 1;
        }
    }
    files
}

fn stays(from: &Path, target: &Path) -> bool {
    let mut depth = from.components().count();
    target.components().all(|component| match component {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        // `workers/<id>` is as far up as it may go.
        Component::ParentDir => {
            depth = depth.saturating_sub(1);
            depth >= 2
        }
        Component::RootDir | Component::Prefix(_) => false,
    })
}

#[derive(Default)]
struct Seen {
    entries: u64,
    bytes: u64,
}

impl Sink for Seen {
    fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), BackupError> {
        self.entries += 1;
        let path = &entry.path;
        let is_below = path.components().all(|c| matches!(c, Component::Normal(_)));
        assert!(is_below && path.components().count() > 0, "{path:?}");
        if let Kind::File { bytes } = entry.kind {
            self.bytes = self.bytes.saturating_add(bytes);
            if bytes <= BYTES_MAX {
                let mut read = Vec::new();
                if content.read_to_end(&mut read).is_ok() {
                    assert_eq!(read.len() as u64, bytes, "{path:?}");
                }
            }
        }
        Ok(())
    }
}

fn pack(tar: &[u8]) -> Vec<u8> {
    zstd::encode_all(tar, 1).expect("packed")
}

/// A tar of blocks, each header's sum put right, and an end.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut tar = bytes.to_vec();
    tar.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    let mut at = 0;
    while at < tar.len() {
        let mut header = tar::Header::new_old();
        header
            .as_mut_bytes()
            .copy_from_slice(&tar[at..at + BLOCK_BYTES]);
        header.set_cksum();
        tar[at..at + BLOCK_BYTES].copy_from_slice(header.as_bytes());
        let content = header.entry_size().unwrap_or(0).min(tar.len() as u64) as usize;
        at += BLOCK_BYTES + content.next_multiple_of(BLOCK_BYTES);
    }
    tar.resize(tar.len() + 2 * BLOCK_BYTES, 0);
    tar
}
