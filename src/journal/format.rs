//! The bytes of a segment: its header, its batches, their frames. Pure functions; no file is touched here.
//!
//! ```text
//! segment  magic 8, format u32, zero u32, first seq u64, created ms u64, salt u64, zero u32, crc32c u32
//! batch    magic 4, crc32c u32, kind u32, frames u32, bytes u32, durable before u64, first seq u64, then the frames
//! frame    bytes u32, crc32c u32, seq u64, version u16, payload
//! ```
//! All integers are little-endian. The segment's random salt enters every checksum, and the offset enters that of a
//! batch, so bytes that came in as payload, or lie where they were not written, never pass for a batch.

use std::path::Path;

use super::error::JournalError;

/// The newest segment format this version writes and reads.
pub const FORMAT: u32 = 1;
/// Limit of one payload.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;
/// Limit of the frames of one batch, which is also what a reader holds in memory.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// Size of a segment's header. It and the places of magic, format and checksum are the same in every format.
pub const SEGMENT_HEADER_BYTES: usize = 48;
/// Size of a batch's header.
pub const BATCH_HEADER_BYTES: usize = 36;
/// Size of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 18;

const SEGMENT_MAGIC: [u8; 8] = *b"SKEPJRNL";
/// Begins every batch. No byte of it is zero, so a hole never looks like the beginning of one.
pub(super) const BATCH_MAGIC: [u8; 4] = *b"\xb5SB\xeb";

/// One payload to be appended, with the version of its encoding. The log gives it its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Version of the payload's encoding; opaque here.
    pub version: u16,
    /// The bytes.
    pub payload: &'a [u8],
}

/// One payload as it is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number: 1, 2, 3, without gaps.
    pub seq: u64,
    /// Version of the payload's encoding.
    pub version: u16,
    /// The bytes.
    pub payload: &'a [u8],
}

/// The header of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) first_seq: u64,
    pub(super) created_ms: u64,
    pub(super) salt: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.created_ms.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..44]);
        bytes[44..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `file` is named by the error.
    pub(super) fn decode(bytes: &[u8], file: &Path) -> Result<Self, JournalError> {
        let damaged = |reason| JournalError::damaged(file, 0, reason);
        if bytes.len() < SEGMENT_HEADER_BYTES {
            return Err(damaged("the header is cut short"));
        }
        if bytes[..8] != SEGMENT_MAGIC {
            return Err(damaged("this is not a journal segment"));
        }
        if crc32c::crc32c(&bytes[..44]) != u32_at(bytes, 44) {
            return Err(damaged("the header's checksum is wrong"));
        }
        match u32_at(bytes, 8) {
            FORMAT => {}
            found if found > FORMAT => {
                return Err(JournalError::NewerFormat {
                    file: file.to_path_buf(),
                    found,
                    supported: FORMAT,
                });
            }
            _ => return Err(damaged("no such format was ever written")),
        }
        Ok(Self {
            first_seq: u64_at(bytes, 16),
            created_ms: u64_at(bytes, 24),
            salt: u64_at(bytes, 32),
        })
    }

    /// What every checksum of this segment starts from.
    pub(super) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.salt.to_le_bytes())
    }
}

/// What a batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchKind {
    /// It holds frames.
    Records,
    /// It holds none, and says by its presence that all before it was durable.
    Mark,
    /// As `Mark`, and nothing follows in this segment.
    Seal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub(super) kind: BatchKind,
    pub(super) frames: u32,
    pub(super) bytes: u32,
    /// Everything below this offset of the file was synced before this batch was written.
    pub(super) durable_before: u64,
    pub(super) first_seq: u64,
}

impl BatchHeader {
    pub(super) fn encode(&self, offset: u64, seed: u32) -> [u8; BATCH_HEADER_BYTES] {
        let kind: u32 = match self.kind {
            BatchKind::Records => 1,
            BatchKind::Mark => 2,
            BatchKind::Seal => 3,
        };
        let mut bytes = [0; BATCH_HEADER_BYTES];
        bytes[..4].copy_from_slice(&BATCH_MAGIC);
        bytes[8..12].copy_from_slice(&kind.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.frames.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.durable_before.to_le_bytes());
        bytes[28..].copy_from_slice(&self.first_seq.to_le_bytes());
        let crc = batch_crc(&bytes, offset, seed);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of a batch that was written at this offset; `None` when these bytes are no such thing.
    pub(super) fn decode(bytes: &[u8], offset: u64, seed: u32) -> Option<Self> {
        let bytes = bytes.get(..BATCH_HEADER_BYTES)?;
        if bytes[..4] != BATCH_MAGIC || batch_crc(bytes, offset, seed) != u32_at(bytes, 4) {
            return None;
        }
        let header = Self {
            kind: match u32_at(bytes, 8) {
                1 => BatchKind::Records,
                2 => BatchKind::Mark,
                3 => BatchKind::Seal,
                _ => return None,
            },
            frames: u32_at(bytes, 12),
            bytes: u32_at(bytes, 16),
            durable_before: u64_at(bytes, 20),
            first_seq: u64_at(bytes, 28),
        };
        let sane = header.bytes as usize <= BATCH_BYTES_MAX
            && header.durable_before <= offset
            && header
                .first_seq
                .checked_add(u64::from(header.frames))
                .is_some();
        sane.then_some(header)
    }

    /// Header and frames together.
    pub(super) fn total_bytes(&self) -> u64 {
        BATCH_HEADER_BYTES as u64 + u64::from(self.bytes)
    }

    /// The number of the first record after this batch.
    pub(super) fn next_seq(&self) -> u64 {
        self.first_seq + u64::from(self.frames)
    }
}

fn batch_crc(header: &[u8], offset: u64, seed: u32) -> u32 {
    let crc = crc32c::crc32c_append(seed, &offset.to_le_bytes());
    crc32c::crc32c_append(crc, &header[8..])
}

/// Appends the frames' bytes, or says which limit they break.
pub(super) fn encode_frames(
    out: &mut Vec<u8>,
    frames: &[Frame<'_>],
    first_seq: u64,
    seed: u32,
) -> Result<(), JournalError> {
    let begin = out.len();
    for (seq, frame) in (first_seq..).zip(frames) {
        if frame.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(JournalError::PayloadTooLarge {
                bytes: frame.payload.len(),
                bytes_max: PAYLOAD_BYTES_MAX,
            });
        }
        let bytes = out.len() - begin + FRAME_HEADER_BYTES + frame.payload.len();
        if bytes > BATCH_BYTES_MAX {
            return Err(JournalError::BatchTooLarge {
                bytes,
                bytes_max: BATCH_BYTES_MAX,
            });
        }
        let mut header = [0; FRAME_HEADER_BYTES];
        header[..4].copy_from_slice(&(frame.payload.len() as u32).to_le_bytes());
        header[8..16].copy_from_slice(&seq.to_le_bytes());
        header[16..].copy_from_slice(&frame.version.to_le_bytes());
        let crc = frame_crc(&header, frame.payload, seed);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(frame.payload);
    }
    Ok(())
}

fn frame_crc(header: &[u8], payload: &[u8], seed: u32) -> u32 {
    let crc = crc32c::crc32c_append(seed, &header[..4]);
    let crc = crc32c::crc32c_append(crc, &header[8..FRAME_HEADER_BYTES]);
    crc32c::crc32c_append(crc, payload)
}

/// Where and how the frames of a batch are not what its header promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadFrame {
    /// From the first byte of the frames.
    pub(super) at: usize,
    /// Its checksum is right and its number is wrong, which no crash explains.
    pub(super) wrong_seq: bool,
}

/// Checks every frame of a batch against the batch's header.
pub(super) fn check_frames(bytes: &[u8], header: &BatchHeader, seed: u32) -> Result<(), BadFrame> {
    let mut at = 0;
    for seq in header.first_seq..header.next_seq() {
        let bad = BadFrame {
            at,
            wrong_seq: false,
        };
        let (frame, payload) = split_frame(bytes, at).ok_or(bad)?;
        if frame_crc(frame, payload, seed) != u32_at(frame, 4) {
            return Err(bad);
        }
        if u64_at(frame, 8) != seq {
            return Err(BadFrame {
                at,
                wrong_seq: true,
            });
        }
        at += FRAME_HEADER_BYTES + payload.len();
    }
    if at == bytes.len() {
        Ok(())
    } else {
        Err(BadFrame {
            at,
            wrong_seq: false,
        })
    }
}

/// The frame at this place of checked frames, and the place of the next one.
pub(super) fn record_at(bytes: &[u8], at: usize) -> Option<(Record<'_>, usize)> {
    let (frame, payload) = split_frame(bytes, at)?;
    let record = Record {
        seq: u64_at(frame, 8),
        version: u16::from_le_bytes([frame[16], frame[17]]),
        payload,
    };
    Some((record, at + FRAME_HEADER_BYTES + payload.len()))
}

fn split_frame(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    let rest = bytes.get(at..)?;
    let (frame, rest) = rest.split_at_checked(FRAME_HEADER_BYTES)?;
    let payload = rest.get(..u32_at(frame, 0) as usize)?;
    Some((frame, payload))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}
