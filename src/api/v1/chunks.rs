//! An answer as it is written: `chat.completion.chunk` events, and `[DONE]` after the last.

use bytes::Bytes;
use futures_util::stream;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::super::caller::Caller;
use super::answer::{CompletionUsage, Next, Waiting};
use crate::http::doc::EventDoc;
use crate::http::{ApiError, Envelope, ErrorCode, Request, RequestId, Response, sse};
use crate::model::{Execution, ExecutionId, SessionId};

/// A piece of an answer.
#[derive(Serialize, JsonSchema)]
pub(super) struct ChatCompletionChunk {
    pub(super) id: String,
    /// Always `chat.completion.chunk`.
    pub(super) object: &'static str,
    /// Unix seconds.
    pub(super) created: u64,
    /// The model that was asked for.
    pub(super) model: String,
    /// One, or none where there are only tokens to tell.
    pub(super) choices: Vec<ChunkChoice>,
    pub(super) session_id: SessionId,
    pub(super) execution_id: ExecutionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<CompletionUsage>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct ChunkChoice {
    pub(super) index: u32,
    pub(super) delta: ChunkDelta,
    /// `stop` in the last one.
    pub(super) finish_reason: Option<&'static str>,
}

/// What there is new.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct ChunkDelta {
    /// `assistant`, in the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<String>,
}

/// What comes with `stream: true`.
pub(in crate::api) fn events(generator: &mut SchemaGenerator) -> Vec<EventDoc> {
    vec![EventDoc {
        name: "message",
        is_stored: false,
        says: "A piece, without an `event:` line. What goes wrong on the way is an event, too, with an `error` as any \
               refusal has; the text `[DONE]` follows the last piece of an answer that is whole.",
        data: generator.subschema_for::<ChatCompletionChunk>(),
    }]
}

struct Chunks {
    waiting: Waiting,
    request_id: RequestId,
    /// What the client has of the reply.
    sent: String,
    is_usage_apart: bool,
    state: State,
    _room: OwnedSemaphorePermit,
}

enum State {
    Begins,
    Grows,
    /// The reply is whole, and so much of it is still to be sent.
    Ends(Box<Execution>),
    /// Tokens are still to be told.
    Counts(Box<Execution>),
    Done,
    Over,
}

pub(super) fn stream(
    waiting: Waiting,
    caller: Caller,
    room: OwnedSemaphorePermit,
    is_usage_apart: bool,
    req: &Request,
) -> Response {
    let over = Box::pin(caller.over(waiting.app.clone()));
    let chunks = Chunks {
        waiting,
        request_id: req.id().clone(),
        sent: String::new(),
        is_usage_apart,
        state: State::Begins,
        _room: room,
    };
    let frames = stream::unfold((chunks, over), |(mut chunks, mut over)| async move {
        let frame = tokio::select! {
            frame = chunks.next() => frame,
            () = &mut over => match chunks.state {
                State::Over => None,
                _ => Some(chunks.fail(&ApiError::expired_token())),
            },
        };
        Some((frame?, (chunks, over)))
    });
    sse::respond_bare(req.closing(), frames)
}

impl Chunks {
    async fn next(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => None,
            State::Begins => {
                self.state = State::Grows;
                Some(self.waiting.piece(ChunkDelta {
                    role: Some("assistant"),
                    content: Some(String::new()),
                }))
            }
            State::Grows => {
                self.state = State::Grows;
                match self.waiting.next().await {
                    Ok(Next::Piece(text)) => {
                        self.sent.push_str(&text);
                        Some(self.waiting.text(&text))
                    }
                    Ok(Next::End(execution)) => Some(self.end(execution)),
                    Err(error) => Some(self.fail(&error)),
                }
            }
            State::Ends(execution) => {
                let finish = vec![ChunkChoice {
                    index: 0,
                    delta: ChunkDelta::default(),
                    finish_reason: Some("stop"),
                }];
                let usage = (!self.is_usage_apart).then_some(execution.usage);
                self.state = match self.is_usage_apart {
                    true => State::Counts(execution),
                    false => State::Done,
                };
                Some(self.waiting.chunk(finish, usage))
            }
            State::Counts(execution) => {
                self.state = State::Done;
                Some(self.waiting.chunk(Vec::new(), Some(execution.usage)))
            }
            State::Done => Some(sse::frame(None, None, "[DONE]")),
        }
    }

    /// What the running reply did not show. A reply that is not what was shown cannot be taken back: it stays.
    fn end(&mut self, execution: Box<Execution>) -> Bytes {
        let reply = match self.waiting.reply(&execution) {
            Ok(reply) => reply,
            Err(error) => return self.fail(&error),
        };
        let rest = reply.strip_prefix(self.sent.as_str()).unwrap_or_default();
        self.state = State::Ends(execution);
        self.waiting.text(rest)
    }

    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.state = State::Over;
        if error.code() == ErrorCode::Internal {
            tracing::error!(request.id = %self.request_id, %error, "an answer could not be read");
        }
        let body = Envelope::OpenAi.body(error, &self.request_id);
        sse::frame(None, None, &String::from_utf8_lossy(&body))
    }
}
