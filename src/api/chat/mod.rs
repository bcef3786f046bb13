//! For clients made for Bee Flow: one question, and its answer whole or as it is written.
//!
//! A conversation is a chat, an answer the reply of an execution. What is asked here runs whether somebody waits for it or
//! not: who comes back with the id of the message finds it where it is.
//!
//! Owns the shapes and the ids of events. Must never know how a message is routed or run. Start reading at
//! [`create_chat`], then at [`stream::Answer`].

mod asked;
mod stream;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::caller::require;
use super::error::{held, shutting_down};
use super::executions::cancel;
use super::submit::submit_making;
use super::{messages, sessions};
use crate::app::App;
use crate::command::chat::Started;
use crate::command::{CreateSession, PostMessage, StartChat};
use crate::http::{ApiError, ErrorCode, Request, Response};
use crate::model::text::{session_name, truncated};
use crate::model::{Execution, ExecutionId, ExecutionStatus, MessageId, SessionId, Usage};
use crate::store::{StoreError, executions, messages as stored};

pub(super) use asked::ChatRequest;
use stream::Answer;
pub(super) use stream::events;
pub use stream::stream_chat;

/// How much of a message its conversation is named after, bytes.
const NAME_BYTES_MAX: usize = 60;

/// An answer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChatAnswer")]
pub(super) struct AnswerView {
    message_id: MessageId,
    /// The conversation, to go on with.
    conversation_id: Option<SessionId>,
    content: String,
    usage: Tokens,
    /// The model; `null` where nobody said it.
    model: Option<String>,
}

/// Tokens; `null` where the engine says nothing.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Tokens {
    input: Option<u64>,
    output: Option<u64>,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            input: usage.input_tokens,
            output: usage.output_tokens,
        }
    }
}

fn view(message_id: MessageId, execution: Execution, content: String) -> AnswerView {
    AnswerView {
        message_id,
        conversation_id: execution.session_id,
        content,
        usage: execution.usage.into(),
        model: super::workers::given(execution.model),
    }
}

/// `POST /api/chat` -- asks an agent, and answers whole or, with `stream: true`, as it is written.
///
/// Closing the connection does not stop the run: its stream is at `/api/chat/{message_id}/stream`, and its answer in the
/// conversation. A question that is repeated with its idempotency key is answered from the same run.
pub async fn create_chat(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    let caller = require(&req)?;
    let asked: ChatRequest = req.json().await?;
    let last = asked.last()?;
    let content = asked.content()?;
    let streams = asked.stream == Some(true);
    if app.is_held() {
        return Err(held());
    }
    let room = app.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(ErrorCode::Overloaded, "As many streams are open as may be").retry_after(5)
    })?;
    let session = asked.conversation_id.map(|id| sessions::find(&app, id));
    let session = session.transpose()?;
    let session_id = asked.conversation_id.unwrap_or_else(|| app.ids.next());
    let is_new = session.is_none();
    let new = is_new.then(|| new_session(&app, session_id, &asked, &last));
    // What routes a message is its own words, not those of the conversation before it.
    let (worker_id, routing) = messages::decide(&app, session.as_ref(), &last, asked.agent_id)
        .map_err(|error| match error.code() {
            ErrorCode::ValidationFailed => {
                ApiError::validation([("agentId", "there is no such agent")])
            }
            _ => error,
        })?;
    // The answer has the id of its execution, so that it is found before it is there.
    let execution_id: ExecutionId = app.ids.next();
    let message = PostMessage {
        id: app.ids.next(),
        session_id,
        content,
        media: Vec::new(),
        replaces: None,
        execution_id,
        reply_id: MessageId::from_u128(execution_id.as_u128()),
        worker_id,
        routing,
        at: app.now(),
    };
    let makes = is_new.then_some("sessions");
    let start = StartChat {
        session: new,
        message,
        stream: streams,
    };
    let started = submit_making(&app, &req, makes, start).await?;
    let mut answer = Answer::of(&app, started.execution_id, started.reply_id)?;
    if streams {
        return Ok(answer.respond(&app, caller, room, &req));
    }
    let execution = tokio::select! {
        execution = answer.end() => execution?,
        () = req.closing().cancelled() => return Err(shutting_down()),
    };
    whole(&app, started.reply_id, execution)
}

fn new_session(app: &App, id: SessionId, asked: &ChatRequest, question: &str) -> CreateSession {
    let line = question.trim().lines().next().unwrap_or_default();
    let name = session_name(truncated(line, NAME_BYTES_MAX));
    CreateSession {
        id,
        name: name.unwrap_or_else(|_| "Conversation".to_owned()),
        worker_id: asked.agent_id,
        at: app.now(),
    }
}

/// The answer of a run that has ended, or why there is none.
fn whole(app: &App, id: MessageId, execution: Execution) -> Result<Response, ApiError> {
    let (code, message) = match execution.status {
        ExecutionStatus::Completed => {
            let content = app.store.read(|tx| content(tx, &execution))?;
            return Ok(Response::ok(&view(id, execution, content)));
        }
        ExecutionStatus::Cancelled => (ErrorCode::Conflict, CANCELLED.to_owned()),
        _ => (ErrorCode::UpstreamUnavailable, fault(&execution).1),
    };
    let (word, _) = fault(&execution);
    Err(ApiError::new(code, message).details(json!({
        "code": word,
        "messageId": id,
        "conversationId": execution.session_id,
    })))
}

const CANCELLED: &str = "The run was stopped";

/// Why a run did not end well: a stable word, and a sentence.
fn fault(execution: &Execution) -> (String, String) {
    if execution.status == ExecutionStatus::Cancelled {
        return ("cancelled".to_owned(), CANCELLED.to_owned());
    }
    let error = execution.error.as_deref().unwrap_or("failed");
    let (word, rest) = error.split_once(':').unwrap_or((error, ""));
    let is_word = !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    let sentence = match rest.trim() {
        "" if error == "interrupted" => "The server ended while this ran",
        "" => error,
        rest => rest,
    };
    match is_word {
        true => (word.to_owned(), sentence.to_owned()),
        false => ("failed".to_owned(), error.to_owned()),
    }
}

/// The whole text of an execution that has ended.
fn content(tx: &impl crate::store::Tx, execution: &Execution) -> Result<String, StoreError> {
    let reply = stored::find_by_id(tx, execution.reply_id)?;
    let short = || execution.result.clone().unwrap_or_default();
    Ok(reply.map_or_else(short, |reply| reply.content))
}

/// The execution that answers as this message, or to this one.
fn find(app: &App, id: MessageId) -> Result<Execution, ApiError> {
    let found = app.store.read(|tx| {
        let same = executions::get(tx, ExecutionId::from_u128(id.as_u128()))?;
        if let Some(execution) = same.filter(|execution| execution.reply_id == id) {
            return Ok(Some(execution));
        }
        let message = stored::find_by_id(tx, id)?;
        let execution = message.and_then(|message| message.execution_id);
        execution.map_or(Ok::<_, StoreError>(None), |id| executions::get(tx, id))
    })?;
    found.ok_or_else(|| ApiError::not_found("message"))
}

/// The answer to a question that is repeated with its key.
pub(super) fn again(app: &App, started: Started) -> Result<Response, ApiError> {
    let id = started.execution_id;
    let execution = app.store.read(|tx| executions::get(tx, id))?;
    let execution = execution.ok_or_else(|| ApiError::not_found("message"))?;
    if !execution.status.is_final() {
        let message = "The first of these requests is still being answered";
        return Err(ApiError::new(ErrorCode::IdempotencyInProgress, message).retry_after(1));
    }
    match started.stream {
        true => Ok(Answer::of(app, id, started.reply_id)?.replay()),
        false => whole(app, started.reply_id, execution),
    }
}

/// `POST /api/chat/{message_id}/cancel` -- stops the run; its stream ends with the `error` `cancelled`.
pub async fn cancel_chat(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let execution = find(&app, req.path("message_id")?)?;
    cancel(&app, execution.id).await
}
