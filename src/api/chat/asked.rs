//! What a client asks, and the message that this is to a worker.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::v1::conversation::{ChatMessage, last, transcript};
use crate::http::ApiError;
use crate::model::limits::MESSAGE_BYTES_MAX;
use crate::model::text::free_text;
use crate::model::{SessionId, WorkerId};

/// What to say, and to whom: `message`, or a conversation whose last message is to be answered.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ChatRequest {
    /// Who shall answer; without it, whoever answers in the conversation, is named in the message or knows best.
    #[serde(default)]
    pub(super) agent_id: Option<WorkerId>,
    /// The conversation to go on with; without it a new one begins. It is a chat like any other.
    #[serde(default)]
    pub(super) conversation_id: Option<SessionId>,
    #[serde(default)]
    message: Option<String>,
    /// In a conversation that goes on only the last one counts: what came before is known there.
    #[serde(default)]
    messages: Option<Vec<ChatMessage>>,
    /// Whether the answer comes as events (`text/event-stream`).
    #[serde(default)]
    pub(super) stream: Option<bool>,
}

impl ChatRequest {
    /// What the user said last: what a new conversation is named after.
    pub(super) fn last(&self) -> Result<String, ApiError> {
        match (&self.message, &self.messages) {
            (Some(_), Some(_)) => Err(invalid("there are messages, too; say one of them")),
            (None, None) => Err(invalid("must be there, or messages")),
            (None, Some(messages)) => last(messages),
            (Some(text), None) if text.trim().is_empty() => Err(invalid("must not be empty")),
            (Some(text), None) => Ok(free_text("message", text, MESSAGE_BYTES_MAX)?),
        }
    }

    /// What the worker is told.
    pub(super) fn content(&self) -> Result<String, ApiError> {
        match &self.messages {
            Some(messages) if self.conversation_id.is_none() => transcript(messages),
            _ => self.last(),
        }
    }
}

fn invalid(why: &str) -> ApiError {
    ApiError::validation([("message", why)])
}
