//! A message to a chat that is made with it, if it has to be.

use serde::{Deserialize, Serialize};

use super::message::{QUEUE_MAX, agent};
use super::{Apply, Change, CreateSession, PostMessage, Refusal, Rejection};
use crate::model::{ExecutionId, MessageId, SessionId};
use crate::store::executions;

/// A message, and the chat that begins with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartChat {
    /// The chat, where it is new.
    pub session: Option<CreateSession>,
    /// Its message.
    pub message: PostMessage,
    /// Whether whoever asks wants to see the answer as it is written: kept for who asks again.
    pub stream: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The chat.
    pub session_id: SessionId,
    /// The execution that will answer.
    pub execution_id: ExecutionId,
    /// The id that the answer will have.
    pub reply_id: MessageId,
    /// As it was asked for.
    pub stream: bool,
}

impl Change for StartChat {
    type Outcome = Started;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Started, Rejection> {
        if let Some(session) = &self.session {
            // Whatever could refuse the message is asked first: there is no chat without one.
            agent(cx, self.message.worker_id)?;
            if executions::queue_length(cx.tx)? >= QUEUE_MAX {
                return Err(Refusal::Full(
                    "too many messages wait for their answer; try again later",
                )
                .into());
            }
            session.apply(cx)?;
        }
        let posted = self.message.apply(cx)?;
        Ok(Started {
            session_id: self.message.session_id,
            execution_id: posted.execution_id,
            reply_id: self.message.reply_id,
            stream: self.stream,
        })
    }
}
