//! What a client asks for, and the message that this is to a worker.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::ApiError;
use crate::model::SessionId;
use crate::model::limits::MESSAGE_BYTES_MAX;

/// Messages of one conversation.
const MESSAGES_MAX: usize = 2000;

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

/// One message of the conversation.
#[derive(Deserialize, JsonSchema)]
struct ChatMessage {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    role: String,
    #[serde(default)]
    content: Option<Content>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of a message; only text is taken.
#[derive(Deserialize, JsonSchema)]
struct Part {
    r#type: String,
    #[serde(default)]
    text: Option<String>,
}

impl ChatMessage {
    fn text(&self) -> Result<String, ApiError> {
        match &self.content {
            None => Ok(String::new()),
            Some(Content::Text(text)) => Ok(text.clone()),
            Some(Content::Parts(parts)) => parts
                .iter()
                .map(|part| match (part.r#type.as_str(), &part.text) {
                    ("text", Some(text)) => Ok(text.as_str()),
                    _ => Err(invalid("must be text; files are uploaded to a chat")),
                })
                .collect::<Result<Vec<_>, _>>()
                .map(|texts| texts.join("\n")),
        }
    }

    fn is_instruction(&self) -> bool {
        matches!(self.role.as_str(), "system" | "developer")
    }
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
        if self.messages.len() > MESSAGES_MAX {
            return Err(invalid(&format!("must be at most {MESSAGES_MAX}")));
        }
        let last = self.messages.last().filter(|last| last.role == "user");
        let last = last.ok_or_else(|| invalid("must end with a message of the user"))?;
        let text = last.text()?;
        if text.trim().is_empty() {
            return Err(invalid("the last one must not be empty"));
        }
        bounded(text)
    }

    /// The whole conversation as one message: a worker keeps its own history, and of this one it has none.
    pub(super) fn transcript(&self) -> Result<String, ApiError> {
        let last = self.last()?;
        let before = &self.messages[..self.messages.len() - 1];
        let section = |title: &str, wanted: &dyn Fn(&ChatMessage) -> bool, named: bool| {
            let mut text = String::new();
            for message in before.iter().filter(|message| wanted(message)) {
                let said = message.text()?;
                if !said.trim().is_empty() {
                    let who = if named {
                        format!("{}: ", message.role)
                    } else {
                        String::new()
                    };
                    text.push_str(&format!("{who}{}\n\n", said.trim()));
                }
            }
            match text.is_empty() {
                true => Ok::<_, ApiError>(text),
                false => Ok(format!("# {title}\n\n{text}")),
            }
        };
        let instructions = section("Instructions", &ChatMessage::is_instruction, false)?;
        let earlier = section("The conversation so far", &|it| !it.is_instruction(), true)?;
        if instructions.is_empty() && earlier.is_empty() {
            return Ok(last);
        }
        bounded(format!(
            "{instructions}{earlier}# The message to answer\n\n{last}"
        ))
    }
}

fn bounded(text: String) -> Result<String, ApiError> {
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(invalid(&format!(
            "must have at most {MESSAGE_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}

fn invalid(why: &str) -> ApiError {
    ApiError::validation([("messages", why)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
