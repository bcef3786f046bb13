//! A task: what a worker is told at a time, once or again and again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExecutionId, MessageId, Millis, SessionId, TaskId, WorkerId};

/// A task as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Who does it; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// The chat that its replies come to; `None` is no chat, also after its chat was deleted.
    pub session_id: Option<SessionId>,
    /// The message of its last run, in its chat.
    pub message_id: Option<MessageId>,
    /// What its worker is told.
    pub instruction: String,
    /// When it is due.
    pub kind: TaskKind,
    /// Where it is on its way.
    pub status: TaskStatus,
    /// When a countdown is over.
    pub scheduled_at: Option<Millis>,
    /// When a scheduled one is due: five fields.
    pub cron_expr: Option<String>,
    /// In which time zone that is meant: an IANA name.
    pub timezone: Option<String>,
    /// When it is due next; what is paused or over never is.
    pub next_run_at: Option<Millis>,
    /// Its last execution.
    pub last_execution_id: Option<ExecutionId>,
    /// When it was created.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

/// When a task is due. Stored by position: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// At once.
    Immediate,
    /// At a time.
    Countdown,
    /// Whenever its cron expression says so.
    Scheduled,
}

/// Where a task is on its way. Stored by position: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// It waits for its time.
    Pending,
    /// Its execution is queued or runs.
    Running,
    /// It is over, and its execution ended well.
    Completed,
    /// It is over, and its execution failed.
    Failed,
    /// It is over: somebody did not want it any more.
    Cancelled,
    /// It keeps its schedule and is not due until it goes on.
    Paused,
}

impl TaskStatus {
    /// Whether its time has come and gone: nothing is due any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}
