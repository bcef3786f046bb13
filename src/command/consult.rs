//! Somebody is asked outside of any chat: by another worker, or by a task.

use serde::{Deserialize, Serialize};

use super::message::{QUEUE_MAX, agent, enqueue};
use super::{Apply, Change, Refusal, Rejection};
use crate::model::{
    Execution, ExecutionId, ExecutionStatus, MessageId, Millis, Routing, Usage, WorkerId,
};
use crate::store::executions;

/// An execution without a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskWorker {
    /// The execution's id.
    pub execution_id: ExecutionId,
    /// The id that the reply would have.
    pub reply_id: MessageId,
    /// Who is asked; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// What, at most `TRIGGER_BYTES_MAX`.
    pub question: String,
    /// Why that one.
    pub routing: Routing,
    /// When.
    pub at: Millis,
}

impl Change for AskWorker {
    type Outcome = ExecutionId;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<ExecutionId, Rejection> {
        let (worker_name, engine, model) = agent(cx, self.worker_id)?;
        if executions::queue_length(cx.tx)? >= QUEUE_MAX {
            return Err(
                Refusal::Full("too many messages wait for their answer; try again later").into(),
            );
        }
        let execution = Execution {
            id: self.execution_id,
            worker_id: self.worker_id,
            worker_name,
            session_id: None,
            message_id: None,
            reply_id: self.reply_id,
            trigger_input: self.question.clone(),
            status: ExecutionStatus::Pending,
            result: None,
            error: None,
            routing: self.routing,
            engine,
            model,
            engine_session_id: None,
            context_generation: 0,
            log_bytes: 0,
            usage: Usage::default(),
            retry_of: None,
            created_at: self.at,
            started_at: None,
            completed_at: None,
        };
        enqueue(cx, &execution)?;
        Ok(self.execution_id)
    }
}
