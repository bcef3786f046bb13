//! A session: one chat.

use serde::{Deserialize, Serialize};

use super::{Millis, SessionId, WorkerId};

/// A chat as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its name.
    pub name: String,
    /// The worker that answers when nobody else is meant.
    pub worker_id: Option<WorkerId>,
    /// Kept at the top of the list.
    pub pinned: bool,
    /// Out of the list.
    pub archived: bool,
    /// Labels.
    pub tags: Vec<String>,
    /// Replies that arrived since the user last looked.
    pub unread: u32,
    /// The number of the next message.
    pub next_seq: u64,
    /// Raised by every `clear`; engine contexts of an older generation are not resumed.
    pub context_generation: u32,
    /// Who was asked last, or answered since: `Some(None)` is the bee, `None` nobody yet.
    pub last_agent: Option<Option<WorkerId>>,
    /// When it was created.
    pub created_at: Millis,
    /// When a message or a change last arrived.
    pub updated_at: Millis,
}
