//! Chats: say something in one, let one begin afresh, see what ran.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::beneath::{Beneath, RelativePath};
use super::workers::find;
use super::{
    Access, Authority, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, parse,
};
use crate::attachment;
use crate::command::{ClearSession, SendNotice};
use crate::data_dir::make_dir;
use crate::journal::error::is_storage_full;
use crate::model::limits::MESSAGE_BYTES_MAX;
use crate::model::text::{free_text, truncated};
use crate::model::{ExecutionStatus, Ids, Media, MessageId, SessionId};
use crate::store::executions::{self, Filter, Order};
use crate::store::{pruned, sessions};

/// Executions that one call lists.
pub const LISTED_MAX: usize = 100;
/// What is shown of a question, bytes.
const ASKED_BYTES_MAX: usize = 120;

pub(super) const SESSION: Param = Param::optional(
    "session_id",
    Kind::Text,
    "The chat; without it the one that this is called in.",
);

/// A message. It stays within Skep, so it needs no more permission than a note. Data: [`Sent`].
pub const SEND: Tool = Tool {
    name: "send_message",
    description: "Sends a message to a chat now, before the reply and beside it, e.g. to tell how far something is.",
    access: Access::Write,
    params: &[
        Param::optional("content", Kind::Text, "The text, Markdown."),
        Param::optional(
            "media_path",
            Kind::Text,
            "A file to attach: its path in the work directory, or the one that the upload to this chat answered.",
        ),
        SESSION,
    ],
    call: |cx, args| Box::pin(send(cx, args)),
};

/// Fresh contexts. Data: the id of the chat.
pub const CLEAR: Tool = Tool {
    name: "clear_session",
    description: "Lets the agents of a chat begin afresh with its next message; the messages stay.",
    access: Access::Write,
    params: &[SESSION],
    call: |cx, args| Box::pin(clear(cx, args)),
};

/// What ran. Data: a list of [`Ran`].
pub const EXECUTIONS: Tool = Tool {
    name: "list_executions",
    description: "Lists what ran, runs and waits, newest first. A worker sees its own and its chat's.",
    access: Access::Read,
    params: &[
        Param::optional(
            "worker",
            Kind::Text,
            "Only those of this worker: its name or its id.",
        ),
        Param::optional("session_id", Kind::Text, "Only those of this chat."),
        Param::optional(
            "status",
            Kind::Text,
            "Only those in this state: pending, running, completed, failed or cancelled.",
        ),
        Param::optional("limit", Kind::Number, "How many, at most 100."),
    ],
    call: |cx, args| Box::pin(list(cx, args)),
};

/// A message that is in the chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// The chat.
    pub session_id: String,
    /// Its place there.
    pub seq: u64,
}

/// An execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// Its id.
    pub id: String,
    /// The worker's name.
    pub worker: String,
    /// Its chat.
    pub session_id: Option<String>,
    /// The word of the API.
    pub status: String,
    /// What was asked, the beginning of it.
    pub asked: String,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was queued, Unix milliseconds.
    pub created_at: u64,
}

/// The chat that is meant. An agent reaches its own alone.
pub(super) fn session(cx: &Context, wanted: Option<&str>) -> Result<SessionId, ToolError> {
    let id = match wanted {
        Some(text) => text
            .parse()
            .map_err(|_| ToolError::NotFound("there is no such chat".to_owned()))?,
        None => cx.session_id.ok_or_else(|| {
            ToolError::InvalidArguments("\"session_id\" is missing: which chat?".to_owned())
        })?,
    };
    if cx.authority == Authority::Agent && cx.session_id != Some(id) {
        return Err(ToolError::Denied(
            "an agent may only use the chat that it answers in".to_owned(),
        ));
    }
    Ok(id)
}

#[derive(Deserialize)]
struct Send {
    #[serde(default)]
    content: String,
    media_path: Option<String>,
    session_id: Option<String>,
}

async fn send(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let args: Send = parse(args)?;
    let session_id = session(cx, args.session_id.as_deref())?;
    let content = free_text("content", &args.content, MESSAGE_BYTES_MAX)?;
    let media = match args.media_path.filter(|path| !path.is_empty()) {
        Some(path) => vec![attached(cx, session_id, path).await?],
        None => Vec::new(),
    };
    if content.trim().is_empty() && media.is_empty() {
        return Err(ToolError::InvalidArguments(
            "there is nothing to send: give \"content\" or \"media_path\"".to_owned(),
        ));
    }
    let notice = SendNotice {
        id: Ids.next(),
        session_id,
        worker_id: cx.worker_id,
        content,
        media,
        at: (cx.shared.clock)(),
    };
    let id = notice.id.to_string();
    let seq = cx.shared.journal.submit(notice).await?;
    let sent = Sent {
        id,
        session_id: session_id.to_string(),
        seq,
    };
    Ok(ToolOutput::new("sent", &sent))
}

/// A file of the work directory, copied to the chat, or one that was uploaded to it. Links do not count.
async fn attached(cx: &Context, session_id: SessionId, path: String) -> Result<Media, ToolError> {
    let exists = cx.shared.store.read(|tx| sessions::get(tx, session_id))?;
    if exists.is_none() {
        return Err(ToolError::NotFound("there is no such chat".to_owned()));
    }
    let cx = cx.clone();
    blocking(move || {
        let path = Path::new(&path);
        let uploads = cx.shared.data.uploads(session_id);
        if path.parent() == Some(uploads.as_path()) {
            return uploaded(path);
        }
        let inside = path.strip_prefix(&cx.work_dir).unwrap_or(path);
        copied(&cx, session_id, &inside.to_string_lossy(), &uploads)
    })
    .await
}

fn uploaded(path: &Path) -> Result<Media, ToolError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let found = name
        .filter(|name| !name.starts_with('.'))
        .zip(fs::symlink_metadata(path).ok())
        .filter(|(_, metadata)| metadata.is_file());
    let (name, metadata) = found.ok_or_else(|| {
        ToolError::NotFound("\"media_path\" is no file that was uploaded to this chat".into())
    })?;
    Ok(attachment::media(name.to_owned(), metadata.len()))
}

/// Copies a file of the work directory to the files of the chat; it is there, synced, when this returns.
fn copied(
    cx: &Context,
    session_id: SessionId,
    path: &str,
    uploads: &Path,
) -> Result<Media, ToolError> {
    let relative = RelativePath::parse(path)?;
    let (file, stat) = Beneath::open(&cx.work_dir)?.file(&relative)?;
    let bytes_max = cx.shared.upload_bytes_max;
    if u64::try_from(stat.st_size).is_ok_and(|size| size > bytes_max) {
        return Err(ToolError::Refused(format!(
            "an attachment has at most {bytes_max} bytes"
        )));
    }
    let failed = |error: io::Error| match is_storage_full(&error) {
        true => ToolError::Unavailable("the disk is full".to_owned()),
        false => ToolError::Failed(format!("the file could not be attached: {error}")),
    };
    let id: MessageId = Ids.next();
    let partial = Partial(
        cx.shared
            .data
            .incoming()
            .join(format!("{}{id}", attachment::PARTIAL_PREFIX)),
    );
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial.0)
        .map_err(failed)?;
    // It may grow while it is read.
    let size = io::copy(&mut file.take(bytes_max), &mut copy).map_err(failed)?;
    copy.sync_all().map_err(failed)?;
    make_dir(uploads).map_err(|error| ToolError::Failed(error.to_string()))?;
    let removed = |name: &str| {
        cx.shared
            .store
            .read(|tx| pruned::upload(tx, session_id, name))
    };
    // Messages still speak of what was removed by its name.
    let is_free = |name: &str| matches!(removed(name), Ok(None));
    let name = attachment::safe_name(path);
    let name = attachment::place(&partial.0, uploads, &name, is_free).map_err(failed)?;
    let directory = File::open(uploads).map_err(failed)?;
    directory.sync_all().map_err(failed)?;
    Ok(attachment::media(name, size))
}

/// A copy that is not in its place; dropped, it leaves nothing behind.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[derive(Deserialize)]
struct Clear {
    session_id: Option<String>,
}

async fn clear(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Clear { session_id } = parse(args)?;
    let id = session(cx, session_id.as_deref())?;
    let at = (cx.shared.clock)();
    cx.shared.journal.submit(ClearSession { id, at }).await?;
    Ok(ToolOutput::new(
        "its agents begin afresh",
        &serde_json::json!({ "session_id": id.to_string() }),
    ))
}

#[derive(Deserialize)]
struct List {
    worker: Option<String>,
    session_id: Option<String>,
    status: Option<String>,
    limit: Option<usize>,
}

async fn list(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let args: List = parse(args)?;
    let session = args.session_id.as_deref();
    let session = session.map(|id| session_of(cx, id)).transpose()?;
    let status = args.status.as_deref().map(|word| {
        ExecutionStatus::parse(word)
            .ok_or_else(|| ToolError::InvalidArguments(format!("there is no status {word:?}")))
    });
    let status = status.transpose()?;
    let limit = args.limit.unwrap_or(LISTED_MAX).clamp(1, LISTED_MAX);
    let cx = cx.clone();
    let rows = blocking(move || {
        cx.shared.store.read(|tx| {
            let worker = args.worker.as_deref().map(|name| find(tx, name));
            let worker = worker.transpose()?.map(|worker| worker.id);
            let (worker, session) = match (cx.may_tell_of(worker, session), cx.session_id) {
                (true, _) => (worker, session),
                (false, Some(own)) => (worker, Some(own)),
                (false, None) if worker.is_none() => (cx.worker_id, None),
                (false, None) => {
                    let why = "a worker is told of its own executions and its chat's alone";
                    return Err(ToolError::Denied(why.to_owned()));
                }
            };
            let filter = Filter {
                worker,
                session,
                status,
                ..Filter::default()
            };
            let page = executions::list(tx, filter, Order::NewestFirst, None, limit)?;
            let rows = page.rows.into_iter().map(|execution| Ran {
                id: execution.id.to_string(),
                worker: execution.worker_name,
                session_id: execution.session_id.map(|id| id.to_string()),
                status: execution.status.as_str().to_owned(),
                asked: truncated(execution.trigger_input.trim(), ASKED_BYTES_MAX).to_owned(),
                error: execution.error,
                created_at: execution.created_at,
            });
            Ok::<_, ToolError>(rows.collect::<Vec<_>>())
        })
    })
    .await?;
    let lines: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}: {} ({})", row.id, row.worker, row.asked, row.status))
        .collect();
    Ok(ToolOutput::new(lines.join("\n"), &rows))
}

fn session_of(cx: &Context, id: &str) -> Result<SessionId, ToolError> {
    session(cx, Some(id))
}
