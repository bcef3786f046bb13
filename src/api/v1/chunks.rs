//! An answer as it is written: `chat.completion.chunk` events, and `[DONE]` after the last.

use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::super::caller::Caller;
use super::answer::{Next, Waiting};
use crate::http::{ApiError, Envelope, ErrorCode, Request, RequestId, Response, sse};
use crate::model::Execution;

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
                let opening = json!({ "role": "assistant", "content": "" });
                Some(self.waiting.piece(opening))
            }
            State::Grows => {
                self.state = State::Grows;
                match self.waiting.next().await {
                    Ok(Next::Piece(text)) => {
                        self.sent.push_str(&text);
                        Some(self.waiting.piece(json!({ "content": text })))
                    }
                    Ok(Next::End(execution)) => Some(self.end(execution)),
                    Err(error) => Some(self.fail(&error)),
                }
            }
            State::Ends(execution) => {
                let finish = json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]);
                let usage = (!self.is_usage_apart).then_some(execution.usage);
                self.state = match self.is_usage_apart {
                    true => State::Counts(execution),
                    false => State::Done,
                };
                Some(self.waiting.chunk(finish, usage))
            }
            State::Counts(execution) => {
                self.state = State::Done;
                Some(self.waiting.chunk(json!([]), Some(execution.usage)))
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
        self.waiting.piece(json!({ "content": rest }))
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
