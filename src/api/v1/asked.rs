//! What a client asks for, and the message that this is to a worker.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::conversation::{ChatMessage, last, transcript};
use crate::http::ApiError;
use crate::model::SessionId;

/// A conversation that a model shall go on with. Other fields of OpenAI's are passed over: a worker has its own tools
/// and its own model, with its own temperature.
#[derive(Deserialize, JsonSchema)]
pub(in crate::api) struct ChatCompletionRequest {
    /// A worker's name, or `bee`.
    pub(super) model: String,
    messages: Vec<ChatMessage>,
    /// Whether the answer comes as `chat.completion.chunk` events (`text/event-stream`), with `[DONE]` after the last.
    #[serde(default)]
    pub(super) stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    /// `session_id`: the chat to go on with.
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
    /// There is one answer.
    #[serde(default)]
    n: Option<u32>,
}

/// How to stream.
#[derive(Deserialize, JsonSchema)]
struct StreamOptions {
    /// Tokens in a chunk of their own, without choices, instead of in the last one that has one.
    #[serde(default)]
    include_usage: bool,
}

impl ChatCompletionRequest {
    pub(super) fn is_usage_apart(&self) -> bool {
        self.stream_options
            .as_ref()
            .is_some_and(|options| options.include_usage)
    }

    /// The chat that the client names.
    pub(super) fn session(&self) -> Result<Option<SessionId>, ApiError> {
        let named = self.metadata.as_ref().and_then(|it| it.get("session_id"));
        named
            .map(|id| id.parse().map_err(|_| ApiError::not_found("session")))
            .transpose()
    }

    /// What the user said last.
    pub(super) fn last(&self) -> Result<String, ApiError> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(ApiError::validation([("n", "there is one answer")]));
        }
        last(&self.messages)
    }

    /// The whole conversation as one message.
    pub(super) fn transcript(&self) -> Result<String, ApiError> {
        self.last()?;
        transcript(&self.messages)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::limits::MESSAGE_BYTES_MAX;

    fn asked(messages: serde_json::Value) -> ChatCompletionRequest {
        let body = serde_json::json!({ "model": "bee", "messages": messages });
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn one_message_is_passed_on_as_it_is_and_a_conversation_with_what_came_before() {
        let one = asked(serde_json::json!([{"role": "user", "content": " hi "}]));
        assert_eq!(one.transcript().unwrap(), " hi ");
        let many = asked(serde_json::json!([
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "1+1?"}]},
            {"role": "assistant", "content": "2"},
            {"role": "user", "content": "and 1 more?"},
        ]));
        assert_eq!(
            many.transcript().unwrap(),
            "# Instructions\n\nBe short.\n\n# The conversation so far\n\nuser: 1+1?\n\nassistant: 2\n\n\
             # The message to answer\n\nand 1 more?"
        );
        assert_eq!(many.last().unwrap(), "and 1 more?");
    }

    #[test]
    fn what_no_worker_can_answer_is_refused() {
        for messages in [
            serde_json::json!([]),
            serde_json::json!([{"role": "assistant", "content": "hi"}]),
            serde_json::json!([{"role": "user", "content": "  "}]),
            serde_json::json!([{"role": "user", "content": [{"type": "image_url"}]}]),
            serde_json::json!([{"role": "user", "content": "x".repeat(MESSAGE_BYTES_MAX + 1)}]),
        ] {
            let refused = asked(messages).transcript().unwrap_err();
            assert_eq!(refused.code().as_str(), "validation_failed");
        }
    }
}
