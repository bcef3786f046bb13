//! Frames of stored events: each is serialised once and shared by every stream that shows it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// How many frames are kept.
pub const FRAMES_MAX: usize = 256;
/// How many bytes of frames are kept.
pub const FRAMES_BYTES_MAX: usize = 2 << 20;

/// The newest frames, by event id.
#[derive(Default)]
pub struct Frames(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    frames: BTreeMap<u64, Bytes>,
    bytes: usize,
}

impl Frames {
    /// The frame of an event, if it is still kept.
    pub fn get(&self, id: u64) -> Option<Bytes> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .frames
            .get(&id)
            .cloned()
    }

    /// Keeps a frame, and lets go of the oldest ones that are too much.
    pub fn put(&self, id: u64, frame: Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += frame.len();
        if let Some(old) = kept.frames.insert(id, frame) {
            kept.bytes -= old.len();
        }
        while kept.frames.len() > FRAMES_MAX || kept.bytes > FRAMES_BYTES_MAX {
            match kept.frames.pop_first() {
                Some((_, old)) => kept.bytes -= old.len(),
                None => break,
            }
        }
    }

    /// Lets go of all: events of a deleted chat must not be shown from memory.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_frames_are_kept() {
        let frames = Frames::default();
        for id in 0..=FRAMES_MAX as u64 {
            frames.put(id, Bytes::from_static(b"frame"));
        }
        assert_eq!(frames.get(0), None);
        assert_eq!(frames.get(1), Some(Bytes::from_static(b"frame")));
        frames.put(1000, Bytes::from(vec![0; FRAMES_BYTES_MAX]));
        assert_eq!(frames.get(FRAMES_MAX as u64), None);
        assert!(frames.get(1000).is_some());
        frames.put(1001, Bytes::from(vec![0; FRAMES_BYTES_MAX + 1]));
        assert_eq!(frames.get(1001), None);
    }
}
