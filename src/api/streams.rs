//! Streams of events (SSE).

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use hyper::header::HeaderName;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::caller::{Caller, require};
use super::events::{
    Delta, Fault, Html, Nothing, OfExecution, OfSession, Partial, Status, TaskChanged, Thinking,
    ToolCall, ToolResult, WorkerChanged,
};
use super::permissions::{Asked, Resolved};
use super::{executions, messages, sessions};
use crate::app::App;
use crate::feed::{Item, Reader};
use crate::http::{ApiError, ErrorCode, Request, Response, sse};
use crate::model::{
    Event, EventBody, ExecutionId, PermissionId, PermissionRequest, Role, SessionId,
};
use crate::store::events::Scope;
use crate::store::{
    StoreError, messages as stored_messages, permissions, sessions as stored_sessions,
};

/// The shortest time between two renderings of running replies on one stream, and how many times as long as the last
/// one took: rendering never takes more than a twentieth of a thread.
const RENDER_INTERVAL: Duration = Duration::from_millis(150);
const RENDER_REST_FACTOR: u32 = 20;
/// Running replies are rendered up to this size, bytes; what follows comes as deltas until the reply is whole.
const RENDER_BYTES_MAX: usize = 32 * 1024;

/// What the documentation says of `?html=true`.
pub(super) const HTML: &str = "Adds `html` events: running replies, rendered now and then";

/// Where a client was (HTML, server-sent events).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `GET /api/local/sessions/{session_id}/stream` -- the events of one chat.
pub async fn stream_session(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    let caller = require(&req)?;
    let session = sessions::find(&app, req.path("session_id")?)?;
    open(app, &req, &caller, Scope::Session(session.id))
}

/// `GET /api/executions/{execution_id}/stream` -- the events of one execution.
pub async fn stream_execution(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    let caller = require(&req)?;
    let execution = executions::find(&app, req.path("execution_id")?)?;
    open(app, &req, &caller, Scope::Execution(execution.id))
}

/// `GET /api/stream` -- the events of all chats and executions.
///
/// On every stream `?html=true` adds transient `html` events, `{execution_id, bytes, html}`: the rendering of the first
/// `bytes` bytes of a reply that is being written, after the delta that brought it there.
pub async fn stream_all(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    let caller = require(&req)?;
    open(app, &req, &caller, Scope::All)
}

/// One open stream.
struct EventStream {
    app: Arc<App>,
    reader: Reader,
    scope: Scope,
    is_over: bool,
    rendering: Option<Rendering>,
    _room: OwnedSemaphorePermit,
}

/// What `?html=true` adds: replies that are being written, rendered now and then.
struct Rendering {
    /// How far this stream has shown each reply that grew since it was last rendered, bytes.
    grown: BTreeMap<ExecutionId, usize>,
    /// When the next one may be rendered.
    due: Instant,
}

fn open(app: Arc<App>, req: &Request, caller: &Caller, scope: Scope) -> Result<Response, ApiError> {
    let room = app.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(ErrorCode::Overloaded, "As many streams are open as may be").retry_after(5)
    })?;
    let last_event = last_event_id(req)?;
    let over = caller.clone().over(app.clone());
    let stream = EventStream {
        reader: Reader::new(app.store.clone(), app.feed.clone(), scope, last_event)?,
        app,
        scope,
        is_over: false,
        rendering: req
            .query::<bool>("html")?
            .unwrap_or(false)
            .then(|| Rendering {
                grown: BTreeMap::new(),
                due: Instant::now(),
            }),
        _room: room,
    };
    let over = Box::pin(over);
    // Boxed, because it is moved with each frame.
    let frames = stream::unfold(Box::new((stream, over)), |mut open| async move {
        let (stream, over) = &mut *open;
        let frame = stream.next(over.as_mut()).await?;
        Some((frame, open))
    });
    Ok(sse::respond(req.closing(), frames))
}

/// Where the client was: the header wins. What is no number of ours gets a `reset`, as one from the future does.
pub fn last_event_id(req: &Request) -> Result<Option<u64>, ApiError> {
    let given = req.header(LAST_EVENT_ID).map(str::to_owned);
    let given = given
        .or_else(|| req.query_text("last_event_id"))
        .filter(|text| !text.is_empty());
    Ok(given.map(|text| text.trim().parse().unwrap_or(u64::MAX)))
}

impl EventStream {
    /// The next frame, until the caller may not be answered any longer.
    async fn next(&mut self, mut over: Pin<&mut impl Future<Output = ()>>) -> Option<Bytes> {
        while !self.is_over {
            let due = self.rendering.as_ref().and_then(Rendering::next_at);
            let rendering_due = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let item = tokio::select! {
                item = self.reader.next() => item,
                () = rendering_due => {
                    match self.render_next() {
                        Some(frame) => return Some(frame),
                        None => continue,
                    }
                }
                () = &mut over => {
                    self.is_over = true;
                    return Some(frame(None, "expired", &Nothing {}));
                }
            };
            let shown = match item {
                Ok(item) => self.show(item).await,
                Err(error) => Err(error),
            };
            match shown {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => {}
                // The client comes back with the id it has.
                Err(error) => return self.fail(&error.to_string()),
            }
        }
        None
    }

    fn fail(&mut self, cause: &str) -> Option<Bytes> {
        tracing::error!(cause, "a stream could not be read");
        self.is_over = true;
        None
    }

    async fn show(&mut self, item: Item) -> Result<Option<Bytes>, StoreError> {
        Ok(match item {
            Item::Stored(id, event) => {
                let is_deleted =
                    event.body == EventBody::Deleted && matches!(self.scope, Scope::Session(_));
                let frame = self.stored(id, event).await?;
                self.is_over = is_deleted;
                frame
            }
            Item::Reset(id) => Some(frame(Some(id), "reset", &Nothing {})),
            Item::Partial {
                execution_id,
                session_id,
                text,
            } => {
                let html = messages::rendered(&text);
                let data = of(execution_id, session_id, Partial { text, html });
                Some(frame(None, "partial", &data))
            }
            Item::Delta {
                execution_id,
                session_id,
                offset,
                text,
            } => {
                if let Some(rendering) = &mut self.rendering {
                    rendering.grown.insert(execution_id, offset + text.len());
                }
                let data = of(execution_id, session_id, Delta { offset, text });
                Some(frame(None, "delta", &data))
            }
            Item::Thinking {
                execution_id,
                session_id,
                text,
            } => Some(frame(
                None,
                "thinking",
                &of(execution_id, session_id, Thinking { text }),
            )),
        })
    }

    /// One reply that grew, as far as this stream has shown it; `None` when it has ended or is too long.
    fn render_next(&mut self) -> Option<Bytes> {
        let rendering = self.rendering.as_mut()?;
        let (execution_id, shown) = rendering.grown.pop_first()?;
        let reply = self.app.feed.live(Scope::Execution(execution_id)).pop()?;
        let mut text = reply.text();
        if shown > RENDER_BYTES_MAX || !text.is_char_boundary(shown) {
            return None;
        }
        text.truncate(shown);
        let began = Instant::now();
        let html = messages::rendered(&text);
        rendering.due = Instant::now() + RENDER_INTERVAL.max(began.elapsed() * RENDER_REST_FACTOR);
        let rendered = Html { bytes: shown, html };
        let data = of(execution_id, reply.session_id, rendered);
        Some(frame(None, "html", &data))
    }

    /// The frame of a stored event: written once, then shared with every other stream that shows it.
    async fn stored(&self, id: u64, event: Arc<Event>) -> Result<Option<Bytes>, StoreError> {
        self.app
            .frames
            .get_or_make(id, || self.frame(id, Arc::unwrap_or_clone(event)))
            .await
    }

    /// `None` when what the event was about is gone.
    fn frame(&self, id: u64, event: Event) -> Result<Option<Bytes>, StoreError> {
        let (session_id, execution_id) = (event.session_id, event.execution_id);
        Ok(Some(match event.body {
            EventBody::UserMessage { seq } => {
                return self.message(id, "user_message", session_id, seq);
            }
            EventBody::Reply { seq } => return self.message(id, "message", session_id, seq),
            EventBody::Status {
                status,
                queue_position,
                worker_id,
            } => {
                let data = Status {
                    status,
                    queue_position,
                    worker_id,
                    at: event.at,
                };
                frame(Some(id), "status", &of(execution_id, session_id, data))
            }
            EventBody::ToolCall {
                id: call,
                name,
                args,
                offset,
            } => {
                let data = ToolCall {
                    id: call,
                    name,
                    args: serde_json::from_str(&args).unwrap_or(Value::String(args)),
                    offset,
                };
                frame(Some(id), "tool_call", &of(execution_id, session_id, data))
            }
            EventBody::ToolResult {
                id: call,
                ok,
                output,
            } => {
                let data = ToolResult {
                    id: call,
                    ok,
                    output,
                };
                frame(Some(id), "tool_result", &of(execution_id, session_id, data))
            }
            EventBody::Usage(usage) => {
                frame(Some(id), "usage", &of(execution_id, session_id, usage))
            }
            EventBody::Error { error, message } => {
                let data = Fault { error, message };
                frame(Some(id), "error", &of(execution_id, session_id, data))
            }
            EventBody::Session => {
                let Some(session) = session_id else {
                    return Ok(None);
                };
                let view = self.app.store.read(|tx| {
                    stored_sessions::get(tx, session)?
                        .map(|found| sessions::view(tx, found))
                        .transpose()
                })?;
                match view {
                    Some(data) => frame(Some(id), "session", &OfSession { session_id, data }),
                    None => return Ok(None),
                }
            }
            EventBody::Deleted => {
                let data = Nothing {};
                frame(Some(id), "deleted", &OfSession { session_id, data })
            }
            EventBody::PermissionRequest(request) => {
                let Some(found) = self.permission(execution_id, request)? else {
                    return Ok(None);
                };
                let data = of(execution_id, session_id, Asked::of(found));
                frame(Some(id), "permission_request", &data)
            }
            EventBody::PermissionResolved(request) => {
                let found = self.permission(execution_id, request)?;
                let Some(data) = found.and_then(Resolved::of) else {
                    return Ok(None);
                };
                let data = of(execution_id, session_id, data);
                frame(Some(id), "permission_resolved", &data)
            }
            EventBody::Task(task_id) => frame(Some(id), "task", &TaskChanged { task_id }),
            EventBody::Worker(worker_id) => frame(Some(id), "worker", &WorkerChanged { worker_id }),
        }))
    }

    fn permission(
        &self,
        execution: Option<ExecutionId>,
        id: PermissionId,
    ) -> Result<Option<PermissionRequest>, StoreError> {
        let Some(execution) = execution else {
            return Ok(None);
        };
        let store = &self.app.store;
        store.read(|tx| permissions::get(tx, execution, id))
    }

    fn message(
        &self,
        id: u64,
        name: &str,
        session_id: Option<SessionId>,
        seq: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        let Some(session) = session_id else {
            return Ok(None);
        };
        let found = self.app.store.read(|tx| {
            let Some(message) = stored_messages::get(tx, session, seq)? else {
                return Ok(None);
            };
            let follows = match message.role {
                Role::User => Some(stored_messages::seq_before(tx, session, seq)?),
                Role::Bee => None,
            };
            Ok::<_, StoreError>(Some((message, follows)))
        })?;
        let data = found.map(|(message, follows)| {
            let mut view = messages::view(&self.app, message, true)?;
            view.follows = follows;
            Ok::<_, StoreError>(view)
        });
        Ok(data
            .transpose()?
            .map(|data| frame(Some(id), name, &OfSession { session_id, data })))
    }
}

impl Rendering {
    fn next_at(&self) -> Option<Instant> {
        (!self.grown.is_empty()).then_some(self.due)
    }
}

fn of<T>(
    execution_id: impl Into<Option<ExecutionId>>,
    session_id: Option<SessionId>,
    data: T,
) -> OfExecution<T> {
    OfExecution {
        execution_id: execution_id.into(),
        session_id,
        data,
    }
}

/// `message` is what an event without a name is, so replies reach the simplest of clients.
fn frame(id: Option<u64>, name: &str, data: &impl Serialize) -> Bytes {
    let id = id.map(|id| id.to_string());
    sse::frame(
        id.as_deref(),
        (name != "message").then_some(name),
        &serde_json::to_string(data).expect("an event is made of what JSON can say"),
    )
}
