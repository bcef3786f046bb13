//! A stored event of the feed: what a stream shows, in the order it became durable.

use serde::{Deserialize, Serialize};

use super::{
    ExecutionId, ExecutionStatus, Millis, PermissionId, SessionId, TaskId, Usage, WorkerId,
};

/// An event as it is stored. Its id is its key: one counter that only grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its chat; `None` for runs without one.
    pub session_id: Option<SessionId>,
    /// Its execution, where it is about one.
    pub execution_id: Option<ExecutionId>,
    /// When it happened.
    pub at: Millis,
    /// What happened.
    pub body: EventBody,
}

/// What happened. Texts that live elsewhere (messages) are referred to, not copied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EventBody {
    /// The user sent a message.
    UserMessage {
        /// Its place in the chat.
        seq: u64,
    },
    /// A reply: its execution is final and its log sealed.
    Reply {
        /// Its place in the chat.
        seq: u64,
    },
    /// An execution changed its state.
    Status {
        /// The new state.
        status: ExecutionStatus,
        /// How many executions of the same worker are before it.
        queue_position: u32,
        /// Its worker.
        worker_id: Option<WorkerId>,
    },
    /// The engine calls a tool.
    ToolCall {
        /// The engine's id of the call.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments, JSON text.
        args: String,
        /// Bytes of the reply that stood before it.
        offset: u64,
    },
    /// A tool answered.
    ToolResult {
        /// The id of the call.
        id: String,
        /// Whether it went well.
        ok: bool,
        /// What it said.
        output: String,
    },
    /// Tokens and cost so far.
    Usage(Usage),
    /// The engine reported an error.
    Error {
        /// A stable word.
        error: String,
        /// A sentence.
        message: String,
    },
    /// The chat was created, renamed or re-pinned.
    Session,
    /// The chat was deleted.
    Deleted,
    /// A worker was created, changed or deleted.
    Worker(WorkerId),
    /// A task was created, changed or deleted.
    Task(TaskId),
    /// The user is asked for permission.
    PermissionRequest(PermissionId),
    /// The user was asked, and this was answered or has lapsed.
    PermissionResolved(PermissionId),
}
