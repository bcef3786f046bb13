//! An execution: one run of an engine for one message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExecutionId, MessageId, Millis, SessionId, WorkerId};

/// An execution as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// Its worker; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// The worker's name when it was queued.
    pub worker_name: String,
    /// Its chat. It stays when the chat is deleted.
    pub session_id: Option<SessionId>,
    /// The message that asked for it.
    pub message_id: Option<MessageId>,
    /// The id that its reply will have.
    pub reply_id: MessageId,
    /// What the worker was asked, at most `TRIGGER_BYTES_MAX`; the message has all of it.
    pub trigger_input: String,
    /// Where it is on its way.
    pub status: ExecutionStatus,
    /// The final text, at most `RESULT_BYTES_MAX`; the reply has all of it.
    pub result: Option<String>,
    /// Why it failed: a stable word, then a sentence (`interrupted`, `timeout: …`).
    pub error: Option<String>,
    /// Why this worker answers.
    pub routing: Routing,
    /// The engine that ran; until it runs, the one that was asked for.
    pub engine: String,
    /// The model, where known.
    pub model: String,
    /// The engine's own session id.
    pub engine_session_id: Option<String>,
    /// The chat's context generation it was queued in.
    pub context_generation: u32,
    /// Bytes of its log once final.
    pub log_bytes: u64,
    /// Tokens and cost.
    pub usage: Usage,
    /// The execution this one repeats.
    pub retry_of: Option<ExecutionId>,
    /// When it was queued.
    pub created_at: Millis,
    /// When it began to run.
    pub started_at: Option<Millis>,
    /// When it became final.
    pub completed_at: Option<Millis>,
}

impl Execution {
    /// Where its log is, relative to the data directory: one folder a month (UTC), of the day it was queued.
    pub fn log_path(&self) -> String {
        log_path(self.id, self.created_at)
    }
}

/// `logs/2026-11/<id>.log`, relative to the data directory.
pub fn log_path(id: ExecutionId, created_at: Millis) -> String {
    let month = i64::try_from(created_at)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map(|at| at.strftime("%Y-%m").to_string())
        .unwrap_or_else(|| "0000-00".to_owned());
    format!("logs/{month}/{id}.log")
}

/// `pending → running → completed | failed | cancelled`; a pending one may also be cancelled or fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// In the queue.
    Pending,
    /// Its engine was started.
    Running,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl ExecutionStatus {
    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether `next` may follow.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::Running => next.is_final(),
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state that a word of the API names.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Running,
            Self::Completed,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|status| status.as_str() == word)
    }
}

/// Why a worker answers a message; API.md's order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    /// The message named its `worker_id`.
    Asked,
    /// It began with the worker's name.
    Mention,
    /// The chat is pinned to the worker.
    Pinned,
    /// The worker was asked last in this chat, or answered since.
    Last,
    /// Its name and description fit best.
    Match,
    /// Nobody else was meant: the bee.
    Default,
    /// An agent, or a user's client over MCP, asked and waits for the answer.
    Consulted,
}

/// Tokens and cost, as far as the engine says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: Option<u64>,
    /// Tokens written.
    pub output_tokens: Option<u64>,
    /// US dollars.
    pub cost_usd: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_a_final_state() {
        use ExecutionStatus::*;
        let all = [Pending, Running, Completed, Failed, Cancelled];
        for from in all {
            for to in all {
                let legal = matches!(
                    (from, to),
                    (Pending, Running | Failed | Cancelled)
                        | (Running, Completed | Failed | Cancelled)
                );
                assert_eq!(from.may_become(to), legal, "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn logs_are_kept_by_month() {
        let id = ExecutionId::from_u128(7);
        assert_eq!(
            log_path(id, 1_795_305_600_000),
            format!("logs/2026-11/{id}.log")
        );
    }
}
