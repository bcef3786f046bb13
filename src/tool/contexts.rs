//! What agents go on with in a chat: their engines' own sessions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chats::{SESSION, session};
use super::workers::find;
use super::{
    Access, Authority, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, parse,
};
use crate::command::ClearContext;
use crate::store::{contexts, workers};

/// Who goes on with what. Data: a list of [`Goes`].
pub const LIST: Tool = Tool {
    name: "list_session_contexts",
    description: "Lists which agents of a chat go on with a session of their engine.",
    access: Access::Read,
    params: &[SESSION],
    call: |cx, args| Box::pin(list(cx, args)),
};

/// One agent begins afresh. Data: the chat and the worker.
pub const CLEAR: Tool = Tool {
    name: "clear_worker_session",
    description: "Lets one agent of a chat begin afresh with its next message; the others and the messages stay.",
    access: Access::Write,
    params: &[
        Param::optional(
            "worker",
            Kind::Text,
            "The worker, by name or id, or \"bee\"; without it whoever calls this.",
        ),
        SESSION,
    ],
    call: |cx, args| Box::pin(clear(cx, args)),
};

/// An agent that goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goes {
    /// The worker; `None` is the bee.
    pub worker_id: Option<String>,
    /// Its name.
    pub worker: String,
    /// Its engine.
    pub engine: String,
    /// The engine's own id of the session.
    pub engine_session_id: String,
}

#[derive(Deserialize)]
struct List {
    session_id: Option<String>,
}

async fn list(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let List { session_id } = parse(args)?;
    let id = session(cx, session_id.as_deref())?;
    let cx = cx.clone();
    let found = blocking(move || {
        cx.shared.store.read(|tx| {
            if crate::store::sessions::get(tx, id)?.is_none() {
                return Err(ToolError::NotFound("there is no such chat".to_owned()));
            }
            let mut found = Vec::new();
            for (worker, context) in contexts::list(tx, id)? {
                let name = match worker {
                    None => Some("bee".to_owned()),
                    Some(id) => workers::get(tx, id)?.map(|worker| worker.name),
                };
                found.push(Goes {
                    worker_id: worker.map(|id| id.to_string()),
                    worker: name.unwrap_or_default(),
                    engine: context.engine,
                    engine_session_id: context.engine_session_id,
                });
            }
            Ok(found)
        })
    })
    .await?;
    let mut lines: Vec<String> = found
        .iter()
        .map(|goes| {
            format!(
                "{}: {} {}",
                goes.worker, goes.engine, goes.engine_session_id
            )
        })
        .collect();
    if lines.is_empty() {
        lines.push("every agent begins afresh".to_owned());
    }
    Ok(ToolOutput::new(lines.join("\n"), &found))
}

#[derive(Deserialize)]
struct Clear {
    worker: Option<String>,
    session_id: Option<String>,
}

async fn clear(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Clear { worker, session_id } = parse(args)?;
    let session_id = session(cx, session_id.as_deref())?;
    let worker_id = match worker.as_deref().map(str::trim) {
        None => cx.worker_id,
        Some(name) if name.eq_ignore_ascii_case("bee") => None,
        Some(name) => Some(cx.shared.store.read(|tx| find(tx, name))?.id),
    };
    if cx.authority == Authority::Agent && cx.worker_id.is_some() && worker_id != cx.worker_id {
        return Err(ToolError::Denied(
            "a worker may let nobody but itself begin afresh".to_owned(),
        ));
    }
    let clear = ClearContext {
        session_id,
        worker_id,
        at: (cx.shared.clock)(),
    };
    cx.shared.journal.submit(clear).await?;
    let said = serde_json::json!({
        "session_id": session_id.to_string(),
        "worker_id": worker_id.map(|id| id.to_string()),
    });
    Ok(ToolOutput::new("it begins afresh", &said))
}
