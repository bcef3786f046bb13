//! For OpenAI's client libraries: a conversation becomes an execution, and what that says an answer in OpenAI's words.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::super::caller::require;
use super::super::error::{held, shutting_down};
use super::super::sessions;
use super::super::submit::submit_making;
use super::asked::ChatCompletionRequest;
use super::chunks::{self, ChatCompletionChunk, ChunkChoice, ChunkDelta};
use crate::app::App;
use crate::command::{CreateSession, PostMessage, SessionPatch, UpdateSession};
use crate::feed::{Item, Reader};
use crate::http::{ApiError, ErrorCode, Request, Response, sse};
use crate::model::text::truncated;
use crate::model::{EventBody, Execution, ExecutionId, ExecutionStatus, Routing, SessionId, Usage};
use crate::store::events::Scope;
use crate::store::{executions, messages};

/// How much of a message its chat is named after, bytes.
const NAME_BYTES_MAX: usize = 60;
/// What marks the chats that were made here.
const TAG: &str = "v1";
/// OpenAI's clients send a request again when the answer is a 5xx, unless this says no: a run is not repeated unasked.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An answer.
#[derive(Serialize, JsonSchema)]
pub(in crate::api) struct ChatCompletion {
    id: String,
    /// Always `chat.completion`.
    object: &'static str,
    /// Unix seconds.
    created: u64,
    /// The model that was asked for.
    model: String,
    choices: Vec<Choice>,
    usage: CompletionUsage,
    /// The chat, to go on with.
    session_id: SessionId,
    execution_id: ExecutionId,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Choice {
    index: u32,
    message: Answered,
    /// Always `stop`.
    finish_reason: &'static str,
    logprobs: Option<()>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Answered {
    /// Always `assistant`.
    role: &'static str,
    content: String,
    refusal: Option<String>,
}

/// Tokens; zeros when the engine says nothing.
#[derive(Serialize, JsonSchema)]
pub(super) struct CompletionUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl From<Usage> for CompletionUsage {
    fn from(usage: Usage) -> Self {
        let prompt_tokens = usage.input_tokens.unwrap_or(0);
        let completion_tokens = usage.output_tokens.unwrap_or(0);
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
        }
    }
}

/// An execution that a client waits for. Dropped before its end, it is stopped.
pub(super) struct Waiting {
    pub(super) app: Arc<App>,
    reader: Reader,
    execution_id: ExecutionId,
    session_id: SessionId,
    model: String,
    created: u64,
    is_over: bool,
    closing: CancellationToken,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // A server that stops ends what runs by itself, and says so.
        if self.is_over || self.closing.is_cancelled() {
            return;
        }
        let (app, id) = (self.app.clone(), self.execution_id);
        tokio::spawn(async move {
            if let Err(error) = app.supervisor.cancel(id).await {
                tracing::warn!(execution.id = %id, %error, "a run that nobody waits for could not be stopped");
            }
        });
    }
}

/// `POST /v1/chat/completions` -- a worker answers, whole or as a stream of chunks.
///
/// The conversation becomes a chat of its own, archived and tagged `v1`; `metadata.session_id` names another one to go on
/// with. With `stream: true` the answer is `text/event-stream`. Whoever closes the connection stops the run.
pub async fn create_chat_completion(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    let caller = require(&req)?;
    let asked: ChatCompletionRequest = req.json().await?;
    let worker = super::find(&app, &asked.model)?;
    let named = asked.session()?;
    let content = match named {
        Some(_) => asked.last()?,
        None => asked.transcript()?,
    };
    if app.is_held() {
        return Err(held());
    }
    let room = app.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(ErrorCode::Overloaded, "As many streams are open as may be").retry_after(5)
    })?;
    let session_id = match named {
        Some(id) => sessions::find(&app, id)?.id,
        None => new_session(&app, &req, &asked.last()?).await?,
    };
    let execution_id = app.ids.next();
    // Before there is anything to read: nothing is missed.
    let reader = Reader::new(
        app.store.clone(),
        app.feed.clone(),
        Scope::Execution(execution_id),
        None,
    )?;
    let message = PostMessage {
        id: app.ids.next(),
        session_id,
        content,
        media: Vec::new(),
        replaces: None,
        execution_id,
        reply_id: app.ids.next(),
        worker_id: worker.map(|worker| worker.id),
        routing: Routing::Asked,
        at: app.now(),
    };
    app.journal.submit(message).await?;
    let waiting = Waiting {
        reader,
        execution_id,
        session_id,
        model: asked.model.clone(),
        created: app.now() / 1000,
        is_over: false,
        closing: req.closing().clone(),
        app: app.clone(),
    };
    if asked.stream == Some(true) {
        return Ok(chunks::stream(
            waiting,
            caller,
            room,
            asked.is_usage_apart(),
            &req,
        ));
    }
    waiting.whole(&req).await
}

async fn new_session(app: &App, req: &Request, question: &str) -> Result<SessionId, ApiError> {
    let line = question.trim().lines().next().unwrap_or_default();
    let create = CreateSession {
        id: app.ids.next(),
        name: truncated(line, NAME_BYTES_MAX).to_owned(),
        worker_id: None,
        at: app.now(),
    };
    let session = submit_making(app, req, Some("sessions"), create).await?;
    let patch = SessionPatch {
        archived: Some(true),
        tags: Some(vec![TAG.to_owned()]),
        ..SessionPatch::default()
    };
    let update = UpdateSession {
        id: session.id,
        patch,
        at: app.now(),
    };
    app.journal.submit(update).await?;
    Ok(session.id)
}

/// What comes next of an answer.
pub(super) enum Next {
    Piece(String),
    End(Box<Execution>),
}

impl Waiting {
    pub(super) async fn next(&mut self) -> Result<Next, ApiError> {
        loop {
            match self.reader.next().await? {
                Item::Delta { text, .. } => return Ok(Next::Piece(text)),
                Item::Stored(_, event) => {
                    let is_final =
                        matches!(event.body, EventBody::Status { status, .. } if status.is_final());
                    if is_final {
                        self.is_over = true;
                        let id = self.execution_id;
                        let found = self.app.store.read(|tx| executions::get(tx, id))?;
                        let found = found.ok_or_else(|| ApiError::not_found("execution"))?;
                        return Ok(Next::End(Box::new(found)));
                    }
                }
                _ => {}
            }
        }
    }

    /// The whole reply of an execution that ended well, or why there is none.
    pub(super) fn reply(&self, execution: &Execution) -> Result<String, ApiError> {
        match execution.status {
            ExecutionStatus::Completed => {
                let stored = self
                    .app
                    .store
                    .read(|tx| messages::find_by_id(tx, execution.reply_id))?;
                let short = || execution.result.clone().unwrap_or_default();
                Ok(stored.map_or_else(short, |message| message.content))
            }
            ExecutionStatus::Cancelled => {
                Err(final_word(ErrorCode::Conflict, "The run was stopped"))
            }
            _ => {
                let why = execution.error.as_deref().unwrap_or("The run failed");
                Err(final_word(ErrorCode::UpstreamUnavailable, why))
            }
        }
    }

    async fn whole(mut self, req: &Request) -> Result<Response, ApiError> {
        let (closing, left) = (self.closing.clone(), req.left().clone());
        loop {
            let next = tokio::select! {
                next = self.next() => next?,
                () = left.cancelled() => return Err(final_word(ErrorCode::Conflict, "The client hung up")),
                () = closing.cancelled() => return Err(shutting_down()),
            };
            if let Next::End(execution) = next {
                let content = self.reply(&execution)?;
                return Ok(Response::ok(&ChatCompletion {
                    id: self.id(),
                    object: "chat.completion",
                    created: self.created,
                    model: self.model.clone(),
                    choices: vec![Choice {
                        index: 0,
                        message: Answered {
                            role: "assistant",
                            content,
                            refusal: None,
                        },
                        finish_reason: "stop",
                        logprobs: None,
                    }],
                    usage: execution.usage.into(),
                    session_id: self.session_id,
                    execution_id: self.execution_id,
                }));
            }
        }
    }

    fn id(&self) -> String {
        format!("chatcmpl-{}", self.execution_id)
    }

    pub(super) fn chunk(&self, choices: Vec<ChunkChoice>, usage: Option<Usage>) -> Bytes {
        let chunk = ChatCompletionChunk {
            id: self.id(),
            object: "chat.completion.chunk",
            created: self.created,
            model: self.model.clone(),
            choices,
            session_id: self.session_id,
            execution_id: self.execution_id,
            usage: usage.map(CompletionUsage::from),
        };
        let text = serde_json::to_string(&chunk).expect("a chunk is made of what JSON can say");
        sse::frame(None, None, &text)
    }

    pub(super) fn piece(&self, delta: ChunkDelta) -> Bytes {
        let choice = ChunkChoice {
            index: 0,
            delta,
            finish_reason: None,
        };
        self.chunk(vec![choice], None)
    }

    pub(super) fn text(&self, text: &str) -> Bytes {
        self.piece(ChunkDelta {
            content: Some(text.to_owned()),
            ..ChunkDelta::default()
        })
    }
}

fn final_word(code: ErrorCode, why: &str) -> ApiError {
    ApiError::new(code, why).header(X_SHOULD_RETRY, HeaderValue::from_static("false"))
}
