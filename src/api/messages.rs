//! Messages of a chat: one that is posted is answered by an execution, in the stream of the chat.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::require;
use super::error::held;
use super::page::{self, PageQuery};
use super::submit::submit;
use super::{media, sessions};
use crate::app::App;
use crate::command::{PostMessage, Posted};
use crate::http::{ApiError, Request, Response};
use crate::model::limits::MESSAGE_BYTES_MAX;
use crate::model::text::free_text;
use crate::model::{
    ExecutionId, Invalid, Message, MessageId, MessageStatus, Millis, Role, Routing, Session,
    WorkerId,
};
use crate::render;
use crate::store::{StoreError, messages, workers};
use crate::supervisor::routing::{self, Candidate, Question};

/// Workers that routing considers.
const CANDIDATES_MAX: usize = 10_000;

/// A message of a chat: the user's, or a reply.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Message")]
pub(super) struct MessageView {
    role: Role,
    #[schemars(example = &"Hi there!")]
    content: String,
    ts: Millis,
    id: MessageId,
    /// Its place in the chat: 1, 2, 3 …
    seq: u64,
    /// Who answered; `null` for the user's own.
    author: Option<Author>,
    /// The execution that it asked for or that answered.
    execution_id: Option<ExecutionId>,
    media: Vec<media::MediaView>,
    status: MessageStatus,
    /// Why a reply failed: a stable word, then a sentence.
    error: Option<String>,
    created_at: Millis,
    /// The sanitised rendering of a reply, where that was asked for; code in it has `<span class="c-…">`.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    /// Only where a stream brings what the user sent: the place of the message before it, 0 at the start. What was between
    /// the two was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) follows: Option<u64>,
}

/// Who answered.
#[derive(Serialize, JsonSchema)]
struct Author {
    /// `null` is the bee.
    worker_id: Option<WorkerId>,
    /// The name when it was written.
    #[schemars(example = &"Assistant")]
    name: String,
}

/// A message as clients see it, with its rendering if they want that.
pub(super) fn view(
    app: &App,
    message: Message,
    with_html: bool,
) -> Result<MessageView, StoreError> {
    let media = message
        .media
        .iter()
        .map(|file| {
            let removed_at = media::removed_at(app, message.session_id, &file.name)?;
            Ok(media::view(app, message.session_id, file, removed_at))
        })
        .collect::<Result<_, StoreError>>()?;
    let author = (message.role == Role::Bee).then_some(Author {
        worker_id: message.worker_id,
        name: message.author,
    });
    Ok(MessageView {
        html: (with_html && message.role == Role::Bee).then(|| rendered(&message.content)),
        role: message.role,
        content: message.content,
        ts: message.created_at,
        id: message.id,
        seq: message.seq,
        author,
        execution_id: message.execution_id,
        media,
        status: message.status,
        error: message.error,
        created_at: message.created_at,
        follows: None,
    })
}

/// The longest text that is rendered on a thread that others wait for, bytes.
const RENDERED_INLINE_BYTES_MAX: usize = 16 * 1024;

/// The sanitised rendering of a reply. A long one takes longer than a thread of the runtime may.
pub(super) fn rendered(markdown: &str) -> String {
    if markdown.len() <= RENDERED_INLINE_BYTES_MAX {
        return render::html(markdown);
    }
    tokio::task::block_in_place(|| render::html(markdown))
}

/// `GET /api/local/sessions/{session_id}/messages` -- the newest ones, oldest first within the page.
pub async fn list_messages(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let session = sessions::find(&app, req.path("session_id")?)?;
    let query = PageQuery::of(&req)?;
    let with_html = req.query::<bool>("html")?.unwrap_or(false);
    let page = app
        .store
        .read(|tx| messages::list(tx, session.id, query.cursor, query.limit))?;
    let (rows, next) = (page.rows.into_iter().rev(), page.next);
    let make = || -> Result<Vec<MessageView>, StoreError> {
        rows.map(|message| view(&app, message, with_html)).collect()
    };
    let rows = if with_html {
        tokio::task::block_in_place(make)?
    } else {
        make()?
    };
    Ok(page::answer(&req, &rows, next))
}

/// A message to send.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewMessage {
    /// The text; it may be empty only where there is a `media_path`.
    #[serde(default)]
    content: String,
    /// The `path` that the upload of a file to this chat answered.
    media_path: Option<String>,
    /// Who shall answer.
    worker_id: Option<WorkerId>,
    /// The message that this one replaces; what followed it is hidden.
    replaces: Option<MessageId>,
}

/// A message that is on disk, with the execution that will answer it.
#[derive(Serialize, JsonSchema)]
pub(super) struct QueuedMessage {
    status: Queued,
    id: MessageId,
    seq: u64,
    execution_id: ExecutionId,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Queued {
    Queued,
}

/// `POST /api/local/sessions/{session_id}/messages` -- stores a message and queues an execution for it.
///
/// Answers 202 once both are on disk; progress is read from the session's stream.
pub async fn post_message(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let session_id = req.path("session_id")?;
    let body: NewMessage = req.json().await?;
    let content = free_text("content", &body.content, MESSAGE_BYTES_MAX)?;
    let session = sessions::find(&app, session_id)?;
    let media = body.media_path.as_deref().filter(|path| !path.is_empty());
    let media = media
        .map(|path| media::attached(&app, session.id, path))
        .transpose()?;
    if content.trim().is_empty() && media.is_none() {
        return Err(Invalid::new("content", "must not be empty").into());
    }
    if app.is_held() {
        return Err(held());
    }
    let (worker_id, routing) = decide(&app, Some(&session), &content, body.worker_id)?;
    let message = PostMessage {
        id: app.ids.next(),
        session_id: session.id,
        content,
        media: media.into_iter().collect(),
        replaces: body.replaces,
        execution_id: app.ids.next(),
        reply_id: app.ids.next(),
        worker_id,
        routing,
        at: app.now(),
    };
    queued(&app, submit(&app, &req, message).await?)
}

pub(super) fn queued(_app: &App, posted: Posted) -> Result<Response, ApiError> {
    Ok(Response::accepted(&QueuedMessage {
        status: Queued::Queued,
        id: posted.id,
        seq: posted.seq,
        execution_id: posted.execution_id,
    }))
}

/// Who answers, and why; a chat that is new has nobody yet.
pub(super) fn decide(
    app: &App,
    session: Option<&Session>,
    content: &str,
    asked: Option<WorkerId>,
) -> Result<(Option<WorkerId>, Routing), ApiError> {
    let workers = app.store.read(|tx| {
        if let Some(id) = asked
            && workers::get(tx, id)?.is_none()
        {
            return Ok(None);
        }
        Ok::<_, StoreError>(Some(workers::list(tx, None, CANDIDATES_MAX)?.rows))
    })?;
    let unknown = || ApiError::validation([("worker_id", "there is no such worker")]);
    let workers = workers.ok_or_else(unknown)?;
    let candidates: Vec<Candidate<'_>> = workers
        .iter()
        .map(|worker| Candidate {
            id: worker.id,
            name: &worker.name,
            description: &worker.description,
        })
        .collect();
    let question = Question {
        content,
        worker_id: asked,
        pinned: session.and_then(|session| session.worker_id),
        last: session.and_then(|session| session.last_agent.flatten()),
    };
    let decision = routing::route(question, &candidates);
    Ok((decision.worker_id, decision.routing))
}
