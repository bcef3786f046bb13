//! The reply of a running execution: text that grows and that every reader shares.

use std::sync::{Mutex, PoisonError};

use crate::model::limits::REPLY_BYTES_MAX;
use crate::model::text::truncated;
use crate::model::{ExecutionId, SessionId};

/// How much of what an engine thinks is kept for readers that join later, bytes.
pub const THINKING_BYTES_MAX: usize = 64 * 1024;

/// A running reply.
pub struct LiveReply {
    /// Its execution.
    pub execution_id: ExecutionId,
    /// Its chat.
    pub session_id: Option<SessionId>,
    parts: Mutex<Parts>,
}

#[derive(Default)]
struct Parts {
    text: String,
    thinking: String,
}

/// How far a reader is in a running reply, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offset {
    /// In the text.
    pub text: usize,
    /// In what it thinks.
    pub thinking: usize,
}

impl LiveReply {
    pub(super) fn new(execution_id: ExecutionId, session_id: Option<SessionId>) -> Self {
        Self {
            execution_id,
            session_id,
            parts: Mutex::default(),
        }
    }

    /// Adds text. Beyond the limit of a reply it is dropped here: the log has it.
    pub fn push_text(&self, piece: &str) {
        let mut parts = self.parts();
        let room = REPLY_BYTES_MAX - parts.text.len();
        parts.text.push_str(truncated(piece, room));
    }

    /// Adds what the engine thinks, up to its limit.
    pub fn push_thinking(&self, piece: &str) {
        let mut parts = self.parts();
        let room = THINKING_BYTES_MAX - parts.thinking.len();
        parts.thinking.push_str(truncated(piece, room));
    }

    /// The text so far.
    pub fn text(&self) -> String {
        self.parts().text.clone()
    }

    /// Bytes of the text so far.
    pub fn text_len(&self) -> usize {
        self.parts().text.len()
    }

    /// What follows `offset`: text, at most `text_bytes_max` of it, and thinking, and where they end. Offsets are those that
    /// this function gave out.
    pub fn after(&self, offset: Offset, text_bytes_max: usize) -> (String, String, Offset) {
        let parts = self.parts();
        let text = parts.text.get(offset.text..).unwrap_or_default();
        let text = truncated(text, text_bytes_max).to_owned();
        let text_end = offset.text + text.len();
        let thinking = parts
            .thinking
            .get(offset.thinking..)
            .unwrap_or_default()
            .to_owned();
        (
            text,
            thinking,
            Offset {
                text: text_end,
                thinking: parts.thinking.len(),
            },
        )
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_stops_growing_at_its_limit_between_two_characters() {
        let reply = LiveReply::new(ExecutionId::from_u128(1), None);
        reply.push_text(&"a".repeat(REPLY_BYTES_MAX - 1));
        reply.push_text("é");
        assert_eq!(reply.text_len(), REPLY_BYTES_MAX - 1);
        reply.push_text("b");
        assert_eq!(reply.text_len(), REPLY_BYTES_MAX);
        reply.push_text("c");
        assert_eq!(reply.text_len(), REPLY_BYTES_MAX);
    }

    #[test]
    fn what_follows_an_offset_is_told_once() {
        let reply = LiveReply::new(ExecutionId::from_u128(1), None);
        reply.push_text("one ");
        let (text, _, at) = reply.after(Offset::default(), REPLY_BYTES_MAX);
        assert_eq!(text, "one ");
        reply.push_text("two");
        reply.push_thinking("hm");
        let (text, thinking, at) = reply.after(at, 2);
        assert_eq!((text.as_str(), thinking.as_str()), ("tw", "hm"));
        let (text, thinking, at) = reply.after(at, REPLY_BYTES_MAX);
        assert_eq!((text.as_str(), thinking.as_str()), ("o", ""));
        assert_eq!(reply.after(at, REPLY_BYTES_MAX).0, "");
    }
}
