//! A conversation that a client brings along, as one message to a worker.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::ApiError;
use crate::model::limits::MESSAGE_BYTES_MAX;

/// Messages of one conversation.
const MESSAGES_MAX: usize = 2000;

/// One message of the conversation.
#[derive(Deserialize, JsonSchema)]
pub(in crate::api) struct ChatMessage {
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

/// What the user said last.
pub(in crate::api) fn last(messages: &[ChatMessage]) -> Result<String, ApiError> {
    if messages.len() > MESSAGES_MAX {
        return Err(invalid(&format!("must be at most {MESSAGES_MAX}")));
    }
    let last = messages.last().filter(|last| last.role == "user");
    let last = last.ok_or_else(|| invalid("must end with a message of the user"))?;
    let text = last.text()?;
    if text.trim().is_empty() {
        return Err(invalid("the last one must not be empty"));
    }
    bounded(text)
}

/// The whole conversation as one message: a worker keeps its own history, and of this one it has none.
pub(in crate::api) fn transcript(messages: &[ChatMessage]) -> Result<String, ApiError> {
    let last = last(messages)?;
    let before = &messages[..messages.len() - 1];
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
