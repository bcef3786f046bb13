//! A message of a chat: what the user sent, or a reply.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExecutionId, MessageId, Millis, SessionId, WorkerId};

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its chat.
    pub session_id: SessionId,
    /// Its place in the chat: 1, 2, 3 …
    pub seq: u64,
    /// Who wrote it.
    pub role: Role,
    /// The text.
    pub content: String,
    /// The worker that wrote it; `None` for the bee and for the user.
    pub worker_id: Option<WorkerId>,
    /// The author's name when it was written; empty for the user.
    pub author: String,
    /// The execution that it asked for or that answered.
    pub execution_id: Option<ExecutionId>,
    /// What was attached.
    pub media: Vec<Media>,
    /// How a reply ended; a user's message is always complete.
    pub status: MessageStatus,
    /// Why a reply failed: a stable word and a sentence.
    pub error: Option<String>,
    /// An edited message hides this one and what followed it.
    pub hidden: bool,
    /// When it was written.
    pub created_at: Millis,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The user.
    User,
    /// The bee or a worker.
    Bee,
}

/// How a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// All of it is there.
    Completed,
    /// The engine failed; the text is what there was.
    Failed,
    /// The user stopped it; the text is what there was.
    Cancelled,
    /// The server died meanwhile; the text is what the log had.
    Interrupted,
}

/// A file of the chat's upload directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Its name below `uploads/<session>/`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its type by its name.
    pub content_type: String,
}
