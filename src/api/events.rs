//! The events of the streams: their data, and what each means.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use super::messages::MessageView;
use super::permissions::{Asked, Resolved};
use super::sessions::SessionView;
use crate::http::doc::EventDoc;
use crate::model::{ExecutionId, ExecutionStatus, Millis, SessionId, TaskId, Usage, WorkerId};

/// What belongs to a chat.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct OfSession<T> {
    /// The chat; `null` where there is none.
    pub session_id: Option<SessionId>,
    #[serde(flatten)]
    pub data: T,
}

/// What belongs to an execution.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct OfExecution<T> {
    pub execution_id: Option<ExecutionId>,
    /// Its chat; `null` where there is none.
    pub session_id: Option<SessionId>,
    #[serde(flatten)]
    pub data: T,
}

/// Nothing but what it belongs to.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Nothing {}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Status {
    pub status: ExecutionStatus,
    /// How many executions of the same worker are before it.
    pub queue_position: u32,
    /// `null` is the bee.
    pub worker_id: Option<WorkerId>,
    /// When it changed.
    pub at: Millis,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Partial {
    /// The reply so far.
    pub text: String,
    /// Its sanitised rendering.
    pub html: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Delta {
    /// Bytes of the reply before this text.
    pub offset: usize,
    pub text: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Html {
    /// How many bytes of the reply are rendered.
    pub bytes: usize,
    /// Their sanitised rendering.
    pub html: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Thinking {
    pub text: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct ToolCall {
    /// The engine's id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it was called with: JSON, or text where it was none.
    pub args: Value,
    /// Bytes of the reply that stood before it.
    pub offset: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct ToolResult {
    /// The id of the call.
    pub id: String,
    /// Whether it went well.
    pub ok: bool,
    pub output: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Fault {
    /// A stable word.
    pub error: String,
    /// A sentence.
    pub message: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct WorkerChanged {
    pub worker_id: WorkerId,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct TaskChanged {
    pub task_id: TaskId,
}

/// Every event there is. What has an id is stored: a client that comes back with the last id it saw misses none of it.
pub(super) fn all(generator: &mut SchemaGenerator) -> Vec<EventDoc> {
    type Make = fn(&mut SchemaGenerator) -> Schema;
    fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
    let stored: [(&str, &str, Make); 13] = [
        (
            "message",
            "A reply, without an `event:` line. When it comes, its execution is final and its log sealed.",
            of::<OfSession<MessageView>>,
        ),
        (
            "user_message",
            "What the user sent, here or elsewhere.",
            of::<OfSession<MessageView>>,
        ),
        (
            "status",
            "An execution changed its state.",
            of::<OfExecution<Status>>,
        ),
        (
            "tool_call",
            "The engine calls a tool.",
            of::<OfExecution<ToolCall>>,
        ),
        (
            "tool_result",
            "A tool answered.",
            of::<OfExecution<ToolResult>>,
        ),
        ("usage", "Tokens and cost so far.", of::<OfExecution<Usage>>),
        (
            "error",
            "The engine reported an error.",
            of::<OfExecution<Fault>>,
        ),
        (
            "session",
            "The chat was made, renamed, pinned or cleared.",
            of::<OfSession<SessionView>>,
        ),
        (
            "deleted",
            "The chat was deleted; its own stream ends.",
            of::<OfSession<Nothing>>,
        ),
        (
            "worker",
            "A worker was made, changed or deleted.",
            of::<WorkerChanged>,
        ),
        (
            "task",
            "A task was made, changed or deleted.",
            of::<TaskChanged>,
        ),
        (
            "permission_request",
            "The execution wants to do something that the user has to allow, and waits.",
            of::<OfExecution<Asked>>,
        ),
        (
            "permission_resolved",
            "The user has answered, or nobody can any more: then it is denied.",
            of::<OfExecution<Resolved>>,
        ),
    ];
    let transient: [(&str, &str, Make); 5] = [
        (
            "partial",
            "On connecting: a running reply so far.",
            of::<OfExecution<Partial>>,
        ),
        (
            "delta",
            "More text of a running reply.",
            of::<OfExecution<Delta>>,
        ),
        (
            "html",
            "With `?html=true`: a running reply, rendered.",
            of::<OfExecution<Html>>,
        ),
        (
            "thinking",
            "What the engine thinks aloud.",
            of::<OfExecution<Thinking>>,
        ),
        (
            "expired",
            "The token's time is over; the stream ends.",
            of::<Nothing>,
        ),
    ];
    let reset: (&str, &str, Make) = (
        "reset",
        "The id that was asked for cannot be served: fetch the history and go on from this id.",
        of::<Nothing>,
    );
    let mut event = |is_stored, (name, says, make): (&'static str, &'static str, Make)| EventDoc {
        name,
        is_stored,
        says,
        data: make(generator),
    };
    let mut events: Vec<EventDoc> = stored.into_iter().map(|line| event(true, line)).collect();
    events.push(event(true, reset));
    events.extend(transient.into_iter().map(|line| event(false, line)));
    events
}
