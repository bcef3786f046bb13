//! Chats, which are called sessions here.

use std::fs;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::require;
use super::page::{self, PageQuery};
use super::submit::submit;
use super::workers::present;
use crate::app::App;
use crate::command::{ClearSession, CreateSession, DeleteSession, SessionPatch, UpdateSession};
use crate::http::{ApiError, Request, Response};
use crate::model::limits::{TAG_CHARS_MAX, TAGS_MAX};
use crate::model::text::{session_name, single_line, truncated};
use crate::model::{Invalid, MessageStatus, Millis, Role, Session, SessionId, WorkerId};
use crate::store::{StoreError, Tx, messages, permissions, sessions};

/// How much of the last message a list shows, bytes.
const EXTRACT_BYTES_MAX: usize = 200;

/// A chat.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
pub(super) struct SessionView {
    id: SessionId,
    #[schemars(example = &"My Chat")]
    name: String,
    /// The worker it is pinned to.
    worker_id: Option<WorkerId>,
    /// Whether it is shown before the others.
    pinned: bool,
    archived: bool,
    tags: Vec<String>,
    /// How many replies were not looked at.
    unread: u32,
    /// Whether something that runs in it waits for the user's permission.
    waiting: bool,
    last_message: Option<LastMessage>,
    created_at: Millis,
    updated_at: Millis,
}

/// The end of a chat, as a list shows it.
#[derive(Serialize, JsonSchema)]
struct LastMessage {
    role: Role,
    /// How it begins.
    content: String,
    /// The author's name; empty for the user.
    author: String,
    status: MessageStatus,
    ts: Millis,
}

pub(super) fn view(tx: &impl Tx, session: Session) -> Result<SessionView, StoreError> {
    let last = messages::last(tx, session.id)?.map(|message| LastMessage {
        role: message.role,
        content: truncated(&message.content, EXTRACT_BYTES_MAX).to_owned(),
        author: message.author,
        status: message.status,
        ts: message.created_at,
    });
    let waiting = permissions::waiting_sessions(tx)?.contains(&session.id);
    Ok(SessionView {
        waiting,
        ..view_with(session, last)
    })
}

fn view_with(session: Session, last_message: Option<LastMessage>) -> SessionView {
    SessionView {
        id: session.id,
        name: session.name,
        worker_id: session.worker_id,
        pinned: session.pinned,
        archived: session.archived,
        tags: session.tags,
        unread: session.unread,
        waiting: false,
        last_message,
        created_at: session.created_at,
        updated_at: session.updated_at,
    }
}

/// A new chat.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewSession {
    name: String,
    /// The worker it is pinned to.
    worker_id: Option<WorkerId>,
}

/// `POST /api/local/sessions` -- a new chat.
pub async fn create_session(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let body: NewSession = req.json().await?;
    let name = session_name(&body.name)?;
    let create = CreateSession {
        id: app.ids.next(),
        name,
        worker_id: body.worker_id,
        at: app.now(),
    };
    created(&app, submit(&app, &req, create).await?)
}

/// A new chat has no message yet.
pub(super) fn created(_app: &App, session: Session) -> Result<Response, ApiError> {
    let location = format!("/api/local/sessions/{}", session.id);
    Ok(Response::created(&location, &view_with(session, None)))
}

/// `GET /api/local/sessions` -- last changed first.
pub async fn list_sessions(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let query = PageQuery::of(&req)?;
    let (rows, next) = app.store.read(|tx| {
        let page = sessions::list(tx, query.cursor, query.limit)?;
        let rows = page.rows.into_iter().map(|session| view(tx, session));
        Ok::<_, StoreError>((rows.collect::<Result<Vec<_>, _>>()?, page.next))
    })?;
    Ok(page::answer(&req, &rows, next))
}

/// `GET /api/local/sessions/{session_id}` -- one chat.
pub async fn get_session(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let session = find(&app, req.path("session_id")?)?;
    Ok(Response::ok(&app.store.read(|tx| view(tx, session))?))
}

/// What changes of a chat; `worker_id: null` unpins it, which is not the same as leaving it out.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "SessionChange")]
pub(super) struct ChangedSession {
    name: Option<String>,
    /// The worker it is pinned to; `null` unpins it.
    #[serde(deserialize_with = "present")]
    worker_id: Option<Option<WorkerId>>,
    pinned: Option<bool>,
    archived: Option<bool>,
    tags: Option<Vec<String>>,
    /// 0 marks it as read.
    unread: Option<u32>,
}

/// `PATCH /api/local/sessions/{session_id}` -- name, worker, pinned, archived, tags, unread (0 marks it as read).
pub async fn update_session(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: SessionId = req.path("session_id")?;
    let body: ChangedSession = req.json().await?;
    let patch = SessionPatch {
        name: body.name.as_deref().map(session_name).transpose()?,
        worker_id: body.worker_id,
        pinned: body.pinned,
        archived: body.archived,
        tags: body.tags.map(tags).transpose()?,
        unread: body.unread,
    };
    let session = app
        .journal
        .submit(UpdateSession {
            id,
            patch,
            at: app.now(),
        })
        .await?;
    Ok(Response::ok(&app.store.read(|tx| view(tx, session))?))
}

fn tags(tags: Vec<String>) -> Result<Vec<String>, Invalid> {
    if tags.len() > TAGS_MAX {
        return Err(Invalid::new("tags", format!("must be at most {TAGS_MAX}")));
    }
    tags.iter()
        .map(|tag| single_line("tags", tag, TAG_CHARS_MAX))
        .collect()
}

/// `POST /api/local/sessions/{session_id}/clear` -- engines start afresh; the messages stay.
pub async fn clear_session(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: SessionId = req.path("session_id")?;
    let session = app
        .journal
        .submit(ClearSession { id, at: app.now() })
        .await?;
    Ok(Response::ok(&app.store.read(|tx| view(tx, session))?))
}

/// `DELETE /api/local/sessions/{session_id}` -- the chat with all that belongs to it; what runs in it is stopped.
pub async fn delete_session(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: SessionId = req.path("session_id")?;
    app.journal
        .submit(DeleteSession { id, at: app.now() })
        .await?;
    app.frames.clear();
    app.supervisor.stop_session(id).await;
    let uploads = app.data.uploads(id);
    let removed = tokio::task::spawn_blocking(move || fs::remove_dir_all(uploads)).await;
    if let Ok(Err(error)) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(session.id = %id, %error, "the uploads of a deleted chat could not be removed");
    }
    Ok(Response::deleted())
}

pub(super) fn find(app: &App, id: SessionId) -> Result<Session, ApiError> {
    app.store
        .read(|tx| sessions::get(tx, id))?
        .ok_or_else(|| ApiError::not_found("session"))
}
