//! What is done to a journal before it is written again: after a crash, and to a copy.

use std::path::{Path, PathBuf};

use super::error::JournalError;
use super::format::{BATCH_HEADER_BYTES, BatchHeader, BatchKind};
use super::log::{Recovery, TornTail};
use super::survey::{Found, Survey};
use crate::disk::{Disk, DiskFile, PRIVATE_FILE_MODE};

/// How much is copied at once when bytes are moved.
const COPY_BYTES: usize = 256 << 10;
/// Ending of what was found and not understood. Such files are never read again and never deleted.
const ASIDE_SUFFIX: &str = ".aside";

pub(super) fn torn_tail(found: &Found) -> Option<TornTail> {
    found.scan.torn.map(|torn| TornTail {
        file: found.path.clone(),
        offset: found.scan.end,
        bytes_cut: torn.bytes,
        later_records: torn.later_records,
        kept_as: None,
    })
}

/// Does what a survey found necessary: removes leftovers, sets unreachable segments aside, cuts torn tails, and seals
/// segments of a copy that are followed. Doing it twice is the same as doing it once.
pub(super) fn repair(disk: &Disk, dir: &Path, found: &Survey) -> Result<Recovery, JournalError> {
    let mut recovery = Recovery::default();
    for path in &found.leftovers {
        disk.remove_file(path)
            .map_err(JournalError::io("remove", path))?;
    }
    for path in &found.unreachable {
        let aside = free_name(disk, path, "");
        disk.rename(path, &aside)
            .map_err(JournalError::io("rename", path))?;
        recovery.set_aside.push(aside);
    }
    let mut kept = false;
    for (at, segment) in found.segments.iter().enumerate() {
        let path = &segment.path;
        let scan = &segment.scan;
        let is_last = at + 1 == found.segments.len();
        if is_last && !scan.is_durable() {
            // What was read may be in memory only, even after a failed sync. Writing it again makes the next sync mean it.
            let file = disk.open_rw(path).map_err(JournalError::io("open", path))?;
            rewrite(&file, scan.durable, scan.end)
                .and_then(|()| file.sync_data())
                .map_err(JournalError::io("sync", path))?;
        }
        if scan.torn.is_none() && (scan.sealed || is_last) {
            continue;
        }
        let file = disk.open_rw(path).map_err(JournalError::io("open", path))?;
        if let Some(mut torn) = torn_tail(segment) {
            if torn.later_records {
                let aside = free_name(disk, path, &format!(".{}", scan.end));
                copy_tail(disk, &file, &torn, &aside)?;
                torn.kept_as = Some(aside);
                kept = true;
            }
            recovery.torn.push(torn);
        }
        let mut end = scan.end;
        if !is_last {
            let seal = BatchHeader {
                kind: BatchKind::Seal,
                frames: 0,
                bytes: 0,
                durable_before: end,
                first_seq: scan.next_seq,
            };
            file.write_all_at(&seal.encode(end, segment.header.seed()), end)
                .map_err(JournalError::io("write", path))?;
            end += BATCH_HEADER_BYTES as u64;
        }
        file.set_len(end)
            .and_then(|()| file.sync_all())
            .map_err(JournalError::io("cut", path))?;
    }
    if kept || !found.leftovers.is_empty() || !found.unreachable.is_empty() {
        disk.sync_dir(dir).map_err(JournalError::io("sync", dir))?;
    }
    Ok(recovery)
}

/// A name beside `path` that nothing has.
fn free_name(disk: &Disk, path: &Path, infix: &str) -> PathBuf {
    let mut attempt = 0;
    loop {
        let mut name = path.as_os_str().to_os_string();
        name.push(infix);
        if attempt > 0 {
            name.push(format!(".{attempt}"));
        }
        name.push(ASIDE_SUFFIX);
        let name = PathBuf::from(name);
        match disk.info(&name) {
            Ok(_) => attempt += 1,
            Err(_) => return name,
        }
    }
}

fn copy_tail(disk: &Disk, file: &DiskFile, torn: &TornTail, to: &Path) -> Result<(), JournalError> {
    let copy = disk
        .create_new(to, PRIVATE_FILE_MODE)
        .map_err(JournalError::io("create", to))?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut done = 0;
    while done < torn.bytes_cut {
        let len = (torn.bytes_cut - done).min(COPY_BYTES as u64) as usize;
        file.read_at(&mut buffer[..len], torn.offset + done)
            .map_err(JournalError::io("read", &torn.file))?;
        copy.write_all_at(&buffer[..len], done)
            .map_err(JournalError::io("write", to))?;
        done += len as u64;
    }
    copy.sync_all().map_err(JournalError::io("sync", to))
}

/// Writes what is there once more.
fn rewrite(file: &DiskFile, from: u64, to: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = from;
    while offset < to {
        let len = (to - offset).min(COPY_BYTES as u64) as usize;
        let len = file.read_at(&mut buffer[..len], offset)?;
        if len == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(&buffer[..len], offset)?;
        offset += len as u64;
    }
    Ok(())
}
