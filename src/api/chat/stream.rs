//! For clients made for Bee Flow: an answer as it is written.
//!
//! What is shown is put together of what is stored: the text of the reply and the events of the execution. An event's id
//! says how many bytes of the one and how many of the others came until then, so whoever comes back with it gets what
//! follows, whoever served it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use hyper::header::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::super::caller::{Caller, require};
use super::{Tokens, content, fault, find};
use crate::app::App;
use crate::feed::{Feed, Item, Reader};
use crate::http::doc::EventDoc;
use crate::http::{ApiError, ErrorCode, Request, Response, sse};
use crate::model::{EventBody, Execution, ExecutionId, ExecutionStatus, MessageId, SessionId};
use crate::store::events::Scope;
use crate::store::{Store, StoreError, executions};

/// Where a client was (HTML, server-sent events).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// An id counts bytes in these and events below: no answer has as many.
const ID_STEP: u64 = 1_000_000;
/// What the last event of an answer has instead of a count.
const LAST: u64 = ID_STEP - 1;

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Token {
    text: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct ToolCall {
    /// The engine's id of the call.
    id: String,
    name: String,
    /// What it was called with: JSON, or text where it was none.
    args: Value,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct ToolResult {
    /// The id of the call.
    id: String,
    result: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct ToolError {
    /// The id of the call.
    id: String,
    error: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Progress {
    /// `queued`, `running` or `waiting_for_permission`.
    label: &'static str,
    /// `null`: nobody knows.
    percent: Option<u8>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
struct Done {
    message_id: MessageId,
    conversation_id: Option<SessionId>,
    usage: Tokens,
    /// The model; `null` where nobody said it.
    model: Option<String>,
    /// The whole answer, which counts: an engine may say at last something else than what it wrote.
    content: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Fault {
    /// A stable word: `cancelled`, `interrupted`, `timeout` …
    code: String,
    /// A sentence.
    message: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Nothing {}

/// Every event of an answer; all but the last two have an id.
pub(in crate::api) fn events(generator: &mut SchemaGenerator) -> Vec<EventDoc> {
    type Make = fn(&mut SchemaGenerator) -> Schema;
    fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
    let all: [(&str, bool, &str, Make); 9] = [
        ("token", true, "The next piece of the answer.", of::<Token>),
        ("tool_call", true, "The agent calls a tool.", of::<ToolCall>),
        ("tool_result", true, "A tool answered.", of::<ToolResult>),
        ("tool_error", true, "A tool failed.", of::<ToolError>),
        ("progress", true, "Where the run is.", of::<Progress>),
        (
            "done",
            true,
            "The answer is whole; the stream ends.",
            of::<Done>,
        ),
        (
            "error",
            true,
            "There is no more of the answer; the stream ends. `cancelled` is what was stopped.",
            of::<Fault>,
        ),
        (
            "reset",
            false,
            "The id is none of this answer's: it comes from its beginning.",
            of::<Nothing>,
        ),
        (
            "expired",
            false,
            "The token is not good any longer; the run goes on.",
            of::<Nothing>,
        ),
    ];
    all.into_iter()
        .map(|(name, is_stored, says, make)| EventDoc {
            name,
            is_stored,
            says,
            data: make(generator),
        })
        .collect()
}

/// One way through an answer.
pub(super) struct Answer {
    store: Arc<Store>,
    feed: Arc<Feed>,
    reader: Reader,
    execution_id: ExecutionId,
    message_id: MessageId,
    /// The text as far as it is known.
    text: String,
    /// Bytes of it that the client has.
    sent: usize,
    /// Events that were read.
    seen: u64,
    /// How many of them the client has.
    skipped: u64,
    ready: VecDeque<Bytes>,
    is_over: bool,
}

impl Answer {
    /// The answer of an execution from its beginning; `message_id` is what the client calls it.
    pub(super) fn of(
        app: &App,
        execution_id: ExecutionId,
        message_id: MessageId,
    ) -> Result<Self, ApiError> {
        let scope = Scope::Execution(execution_id);
        let reader = Reader::new(app.store.clone(), app.feed.clone(), scope, Some(0))?;
        let text = app.store.read(|tx| {
            let execution = executions::get(tx, execution_id)?;
            let ended = execution.filter(|execution| execution.status.is_final());
            ended.map_or(Ok::<_, StoreError>(String::new()), |ended| {
                content(tx, &ended)
            })
        })?;
        Ok(Self {
            store: app.store.clone(),
            feed: app.feed.clone(),
            reader,
            execution_id,
            message_id,
            text,
            sent: 0,
            seen: 0,
            skipped: 0,
            ready: VecDeque::new(),
            is_over: false,
        })
    }

    /// From behind the event with this number on.
    fn after(&mut self, number: u64) {
        self.sent = usize::try_from(number / ID_STEP).unwrap_or(usize::MAX);
        self.skipped = number % ID_STEP;
    }

    /// As an answer to a request that is open as long as its caller may have it.
    pub(super) fn respond(
        self,
        app: &Arc<App>,
        caller: Caller,
        room: OwnedSemaphorePermit,
        req: &Request,
    ) -> Response {
        let over = Box::pin(caller.over(app.clone()));
        let state = (self, over, room);
        let frames = stream::unfold(state, |(mut answer, mut over, room)| async move {
            let frame = tokio::select! {
                frame = answer.next() => frame?,
                () = &mut over, if !answer.is_over => {
                    answer.is_over = true;
                    answer.ready.clear();
                    frame(None, "expired", &Nothing {})
                }
            };
            Some((frame, (answer, over, room)))
        });
        sse::respond(req.closing(), frames)
    }

    /// Of a run that has ended: nothing is waited for.
    pub(super) fn replay(self) -> Response {
        let frames = stream::unfold(self, |mut answer| async move {
            let frame = answer.next().await?;
            Some((frame, answer))
        });
        sse::respond(&CancellationToken::new(), frames)
    }

    /// Waits until the run has ended.
    pub(super) async fn end(&mut self) -> Result<Execution, ApiError> {
        loop {
            if let Some(ended) = self.ended()? {
                return Ok(ended);
            }
            self.reader.next().await?;
        }
    }

    fn ended(&self) -> Result<Option<Execution>, StoreError> {
        let found = self
            .store
            .read(|tx| executions::get(tx, self.execution_id))?;
        Ok(found.filter(|execution| execution.status.is_final()))
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.read().await {
                // The client comes back with the id it has.
                tracing::error!(execution.id = %self.execution_id, %error, "an answer could not be read");
                self.is_over = true;
            }
        }
    }

    /// Takes what comes next. Text is shown when nothing that is stored stands before it.
    async fn read(&mut self) -> Result<(), StoreError> {
        let item = match self.reader.next().now_or_never() {
            Some(item) => item?,
            None => {
                // An event that is gone, with its chat, is not waited for.
                if self.ended()?.is_some() {
                    return self.finish();
                }
                self.show_text(self.text.len());
                if !self.ready.is_empty() {
                    return Ok(());
                }
                self.reader.next().await?
            }
        };
        match item {
            Item::Partial { text, .. } => self.text = text,
            Item::Delta { offset, text, .. } => {
                let is_news = offset + text.len() > self.text.len();
                if is_news && offset <= self.text.len() && self.text.is_char_boundary(offset) {
                    self.text.truncate(offset);
                    self.text.push_str(&text);
                }
            }
            Item::Stored(_, event) => return self.show(event.body.clone()),
            Item::Thinking { .. } | Item::Reset(_) => {}
        }
        Ok(())
    }

    fn show(&mut self, event: EventBody) -> Result<(), StoreError> {
        match event {
            EventBody::ToolCall {
                id,
                name,
                args,
                offset,
            } => {
                let args = serde_json::from_str(&args).unwrap_or(Value::String(args));
                if self.seen >= self.skipped {
                    self.show_text_before(usize::try_from(offset).unwrap_or(usize::MAX))?;
                }
                self.event("tool_call", &ToolCall { id, name, args });
            }
            EventBody::ToolResult { id, ok, output } => match ok {
                true => self.event("tool_result", &ToolResult { id, result: output }),
                false => self.event("tool_error", &ToolError { id, error: output }),
            },
            EventBody::PermissionRequest(_) => self.progress("waiting_for_permission"),
            EventBody::Status { status, .. } => match status {
                ExecutionStatus::Pending => self.progress("queued"),
                ExecutionStatus::Running => self.progress("running"),
                _ => return self.finish(),
            },
            _ => {}
        }
        Ok(())
    }

    fn progress(&mut self, label: &'static str) {
        let percent = None;
        self.event("progress", &Progress { label, percent });
    }

    fn event(&mut self, name: &str, data: &impl Serialize) {
        self.seen = (self.seen + 1).min(LAST - 1);
        if self.seen > self.skipped {
            let id = self.id(self.seen);
            self.ready.push_back(frame(Some(&id), name, data));
        }
    }

    /// The text that stood before an event. It may be stored before the text is read.
    fn show_text_before(&mut self, end: usize) -> Result<(), StoreError> {
        if self.text.len() < end {
            let live = self.feed.live(Scope::Execution(self.execution_id)).pop();
            if let Some(live) = live {
                self.text = live.text();
            } else if let Some(ended) = self.ended()? {
                self.text = self.store.read(|tx| content(tx, &ended))?;
            }
        }
        self.show_text(end);
        Ok(())
    }

    /// What of the text up to `end` was not sent yet.
    fn show_text(&mut self, end: usize) {
        let end = end.min(self.text.len());
        let Some(text) = self
            .text
            .get(self.sent..end)
            .filter(|text| !text.is_empty())
        else {
            return;
        };
        let text = text.to_owned();
        self.sent = end;
        let id = self.id(self.seen.max(self.skipped));
        self.ready
            .push_back(frame(Some(&id), "token", &Token { text }));
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.is_over = true;
        let (execution, text) = self.store.read(|tx| {
            let execution = executions::get(tx, self.execution_id)?;
            let text = execution
                .as_ref()
                .map_or(Ok(String::new()), |it| content(tx, it))?;
            Ok::<_, StoreError>((execution, text))
        })?;
        let shown = self.text.get(..self.sent).unwrap_or_default();
        // What was shown and is not how the reply begins cannot be taken back.
        if text.starts_with(shown) {
            self.text.clone_from(&text);
        }
        self.show_text(self.text.len());
        let id = self.id(LAST);
        let last = match execution {
            Some(execution) if execution.status == ExecutionStatus::Completed => frame(
                Some(&id),
                "done",
                &Done {
                    message_id: self.message_id,
                    conversation_id: execution.session_id,
                    usage: execution.usage.into(),
                    model: super::super::workers::given(execution.model),
                    content: text,
                },
            ),
            Some(execution) => {
                let (code, message) = fault(&execution);
                frame(Some(&id), "error", &Fault { code, message })
            }
            None => {
                let (code, message) = ("not_found".to_owned(), "It was removed".to_owned());
                frame(Some(&id), "error", &Fault { code, message })
            }
        };
        self.ready.push_back(last);
        Ok(())
    }

    fn id(&self, events: u64) -> String {
        format!(
            "{}:{}",
            self.message_id,
            self.sent as u64 * ID_STEP + events
        )
    }
}

/// `GET /api/chat/{message_id}/stream` -- the answer as it is written, from its beginning or from behind the last event seen.
///
/// Ids are `<message id>:<number>`, and the numbers grow. Who has seen the last event gets 204: nothing follows.
pub async fn stream_chat(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    let caller = require(&req)?;
    let message_id: MessageId = req.path("message_id")?;
    let execution = find(&app, message_id)?;
    let given = req.header(LAST_EVENT_ID).map(str::to_owned);
    let given = given.or_else(|| req.query_text("last_event_id"));
    let room = app.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(ErrorCode::Overloaded, "As many streams are open as may be").retry_after(5)
    })?;
    let mut answer = Answer::of(&app, execution.id, message_id)?;
    match given.as_deref().map(|id| number(id, message_id)) {
        None => {}
        Some(Some(number)) if number % ID_STEP == LAST => return Ok(Response::no_content()),
        Some(Some(number)) => answer.after(number),
        Some(None) => answer.ready.push_back(frame(None, "reset", &Nothing {})),
    }
    Ok(answer.respond(&app, caller, room, &req))
}

/// The number in an id of this answer's; 0 alone is its beginning.
fn number(id: &str, message_id: MessageId) -> Option<u64> {
    match id.trim().split_once(':') {
        Some((of, number)) if of.parse() == Ok(message_id) => number.parse().ok(),
        None if matches!(id.trim(), "" | "0") => Some(0),
        _ => None,
    }
}

fn frame(id: Option<&str>, name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("an event is made of what JSON can say");
    sse::frame(id, Some(name), &data)
}
