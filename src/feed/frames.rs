//! Frames of stored events: each is serialised once and shared by every stream that shows it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::Notify;

/// How many frames are kept.
pub const FRAMES_MAX: usize = 256;
/// How many bytes of frames are kept.
pub const FRAMES_BYTES_MAX: usize = 2 << 20;

/// From this size on a frame is also known while any stream still sends it.
const LARGE_BYTES_MIN: usize = 64 << 10;

/// The newest frames by event id, and the large ones that are being sent.
#[derive(Default)]
pub struct Frames {
    kept: Mutex<Kept>,
    /// Told after a frame was made, or could not be.
    made: Notify,
}

#[derive(Default)]
struct Kept {
    frames: BTreeMap<u64, Bytes>,
    bytes: usize,
    /// A thousand slow readers of one long reply hold it once.
    sending: HashMap<u64, Weak<Vec<u8>>>,
    /// Frames that are being made, each on a thread that does nothing else meanwhile.
    making: HashSet<u64>,
}

impl Kept {
    fn get(&self, id: u64) -> Option<Bytes> {
        let large = || Some(Bytes::from_owner(Owner(self.sending.get(&id)?.upgrade()?)));
        self.frames.get(&id).cloned().or_else(large)
    }
}

/// A frame that is being made; dropping it lets the next one try.
struct Making<'a> {
    frames: &'a Frames,
    id: u64,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.frames.kept().making.remove(&self.id);
        self.frames.made.notify_waiters();
    }
}

/// What a shared frame's bytes belong to.
struct Owner(Arc<Vec<u8>>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Frames {
    /// The frame of an event. The first one who asks makes it; whoever comes meanwhile waits for that.
    pub async fn get_or_make<E>(
        &self,
        id: u64,
        make: impl FnOnce() -> Result<Option<Bytes>, E>,
    ) -> Result<Option<Bytes>, E> {
        // No lock is handed on here: a stream whose client does not read is not polled, and would keep it.
        loop {
            let made = self.made.notified();
            {
                let mut kept = self.kept();
                if let Some(frame) = kept.get(id) {
                    return Ok(Some(frame));
                }
                if kept.making.insert(id) {
                    break;
                }
            }
            made.await;
        }
        let _making = Making { frames: self, id };
        Ok(make()?.map(|frame| self.put(id, frame)))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a frame, and lets go of the oldest ones that are too much.
    fn put(&self, id: u64, frame: Bytes) -> Bytes {
        let mut kept = self.kept();
        let frame = if frame.len() < LARGE_BYTES_MIN {
            frame
        } else {
            let bytes = Arc::new(Vec::from(frame));
            kept.sending.retain(|_, sent| sent.strong_count() > 0);
            kept.sending.insert(id, Arc::downgrade(&bytes));
            Bytes::from_owner(Owner(bytes))
        };
        let given = frame.clone();
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
        given
    }

    /// Lets go of all: events of a deleted chat must not be shown from memory.
    pub fn clear(&self) {
        let mut kept = self.kept();
        kept.frames.clear();
        kept.sending.clear();
        kept.bytes = 0;
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
        assert_eq!(frames.kept().get(0), None);
        assert_eq!(frames.kept().get(1), Some(Bytes::from_static(b"frame")));
        frames.put(1000, Bytes::from(vec![0; FRAMES_BYTES_MAX]));
        assert_eq!(frames.kept().get(FRAMES_MAX as u64), None);
        assert!(frames.kept().get(1000).is_some());
        frames.put(1001, Bytes::from(vec![0; FRAMES_BYTES_MAX + 1]));
        assert_eq!(frames.kept().get(1001), None);
    }

    /// However large a frame is and however many readers are slow: while one of them sends it there is one.
    #[tokio::test]
    async fn a_large_frame_is_shared_while_it_is_sent() {
        let frames = Frames::default();
        let large = || Ok::<_, ()>(Some(Bytes::from(vec![7; 2 * FRAMES_BYTES_MAX])));
        let first = frames.get_or_make(1, large).await;
        let second = frames.get_or_make(1, || Err(())).await;
        assert_eq!(first, second);
        let (first, second) = (first.ok().flatten(), second.ok().flatten());
        assert_eq!(
            first.as_ref().map(|frame| frame.as_ptr()),
            second.as_ref().map(|frame| frame.as_ptr())
        );
        drop((first, second));
        assert_eq!(frames.kept().get(1), None);
    }
}
