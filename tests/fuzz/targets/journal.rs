//! A segment of the journal.

use std::path::Path;

use skep::disk::Disk;
use skep::disk::faulty::FaultyDisk;
use skep::journal::{Frame, Log, Options, Reserve};

use super::{choice, set_u32, u32_at};

const HEADER_BYTES: usize = 48;
const BATCH_HEADER_BYTES: usize = 36;
const FRAME_HEADER_BYTES: usize = 18;
const BATCH_MAGIC: &[u8] = b"\xb5SB\xeb";

/// A journal is never read as anything but a beginning of what was written, damage is refused, and whatever opens can
/// be written and opens again with the same in it.
pub fn segment(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    let is_copy = which & 1 == 1;
    match which / 2 % 3 {
        0 => {
            open(rest, is_copy);
        }
        // With checksums that are right, so that what is behind them is reached.
        1 => {
            open(&with_checksums(rest), is_copy);
        }
        _ => altered(rest, is_copy),
    }
}

fn path() -> &'static Path {
    Path::new("/journal/00000000000000000001.seg")
}

fn dir() -> &'static Path {
    Path::new("/journal")
}

fn options(is_copy: bool) -> Options {
    Options {
        is_copy,
        reserve: Reserve {
            step_bytes_first: 4096,
            step_bytes_max: 4096,
            zeros_bytes: 1024,
        },
        ..Options::default()
    }
}

type Payloads = Vec<(u16, Vec<u8>)>;

fn all(log: &Log) -> Payloads {
    let mut records = log.records_from(1).expect("what was opened is read");
    let mut found = Payloads::new();
    while let Some(record) = records.next().expect("what was opened is whole") {
        assert_eq!(record.seq, found.len() as u64 + 1, "without gaps");
        found.push((record.version, record.payload.to_vec()));
    }
    assert_eq!(log.next_seq(), found.len() as u64 + 1);
    found
}

/// Opens a journal of this one segment, twice, and tells its records.
fn open(segment: &[u8], is_copy: bool) -> Option<Payloads> {
    let faulty = FaultyDisk::new();
    let disk = faulty.disk();
    faulty.put(path(), segment);
    let verified = Log::verify(&disk, dir(), is_copy);
    assert_eq!(
        faulty.content(path()).as_deref(),
        Some(segment),
        "a look changes nothing"
    );
    let (mut log, _) = match Log::open(disk.clone(), dir(), &options(is_copy)) {
        Ok(opened) => opened,
        Err(error) => {
            // A sealed segment that nothing follows is read from its end at a start; so a look may see more, never less.
            assert!(
                verified.is_err(),
                "a look finds it good, a start does not: {error}"
            );
            let said = error.to_string();
            assert!(said.contains("00000000000000000001.seg"), "{said}");
            return None;
        }
    };
    let before = all(&log);
    log.append_batch(&[Frame {
        version: 7,
        payload: b"appended",
    }])
    .expect("what opened can be written");
    drop(log);
    let again = reopened(disk);
    assert_eq!(again.last(), Some(&(7, b"appended".to_vec())));
    assert_eq!(again[..again.len() - 1], before[..]);
    Some(before)
}

fn reopened(disk: Disk) -> Payloads {
    let (log, recovery) = Log::open(disk, dir(), &options(false)).expect("it opens again");
    assert!(recovery.torn.is_empty(), "{recovery:?}");
    all(&log)
}

/// Writes what the input says, alters the file as it says, and sees a beginning of it or a refusal.
fn altered(bytes: &[u8], is_copy: bool) {
    let faulty = FaultyDisk::new();
    let (mut log, _) = Log::open(faulty.disk(), dir(), &options(false)).expect("a new journal");
    let (count, rest) = choice(bytes);
    let edits = rest.len().min(usize::from(count % 8) * 4);
    let (edits, content) = rest.split_at(edits);
    for batch in content.chunks(64).take(16) {
        let frames: Vec<Frame<'_>> = batch
            .chunks(24)
            .map(|payload| Frame {
                version: 1,
                payload,
            })
            .collect();
        log.append_batch(&frames).expect("appended");
    }
    let written = all(&log);
    drop(log);
    let mut segment = faulty.content(path()).expect("there is one");
    for edit in edits.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        match edit[2] % 4 {
            0 if at < segment.len() => segment[at] = edit[3],
            1 => segment.truncate(at.max(1)),
            2 => {
                let end = segment.len().min(at + usize::from(edit[3]));
                segment[at.min(end)..end].fill(0);
            }
            _ if at < segment.len() => segment[at] ^= edit[3],
            _ => {}
        }
    }
    // A salt is a random number, so a header that was altered and still is one is of another journal.
    if let Some(found) = open(&segment, is_copy) {
        assert!(written.starts_with(&found), "{} records more", found.len());
    }
}

/// The bytes with every checksum put right that lies where a reader looks for one.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().max(HEADER_BYTES), 0);
    bytes[..8].copy_from_slice(b"SKEPJRNL");
    let crc = crc32c::crc32c(&bytes[..44]);
    set_u32(&mut bytes, 44, crc);
    let seed = crc32c::crc32c(&bytes[32..40]);
    let mut at = HEADER_BYTES;
    while at + BATCH_HEADER_BYTES <= bytes.len() {
        bytes[at..at + 4].copy_from_slice(BATCH_MAGIC);
        let frames = u32_at(&bytes, at + 12).unwrap_or(0);
        let end = at + BATCH_HEADER_BYTES + u32_at(&bytes, at + 16).unwrap_or(0) as usize;
        let mut frame = at + BATCH_HEADER_BYTES;
        for _ in 0..frames.min(1000) {
            if frame + FRAME_HEADER_BYTES > bytes.len().min(end) {
                break;
            }
            let payload = frame + FRAME_HEADER_BYTES;
            let next = payload.saturating_add(u32_at(&bytes, frame).unwrap_or(0) as usize);
            if next > bytes.len().min(end) {
                break;
            }
            let crc = crc32c::crc32c_append(seed, &bytes[frame..frame + 4]);
            let crc = crc32c::crc32c_append(crc, &bytes[frame + 8..payload]);
            let crc = crc32c::crc32c_append(crc, &bytes[payload..next]);
            set_u32(&mut bytes, frame + 4, crc);
            frame = next;
        }
        let crc = crc32c::crc32c_append(seed, &(at as u64).to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &bytes[at + 8..at + BATCH_HEADER_BYTES]);
        set_u32(&mut bytes, at + 4, crc);
        at = end;
    }
    bytes
}
