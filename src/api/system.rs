//! How the server is, what it found, and what an operator may ask of it.

use std::sync::Arc;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::caller::require;
use crate::app::App;
use crate::http::{ApiError, Request, Response};
use crate::journal::Health;

/// `GET /healthz` -- the process answers.
pub async fn get_health(_app: Arc<App>, _req: Request) -> Result<Response, ApiError> {
    Ok(Response::ok(&json!({ "status": "ok" })))
}

/// Whether the server is of use.
#[derive(Serialize, JsonSchema)]
pub(super) struct Readiness {
    status: ReadyWord,
    /// Whether this is a copy that waits for its confirmation.
    held: bool,
    /// What is in the way.
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ReadyWord {
    Ready,
    /// It reads, writes and shows, and runs nothing.
    Held,
    /// No change is taken until there is space.
    StorageFull,
    /// No change is taken: the disk failed.
    ReadOnly,
}

/// `GET /readyz` -- whether changes are taken, and whether this is a copy that waits for its confirmation.
pub async fn get_readiness(app: Arc<App>, _req: Request) -> Result<Response, ApiError> {
    let health = app.journal.health().borrow().clone();
    let held = app.is_held();
    let (status, word, reason) = match health {
        Health::Good if held => {
            let reason = "this is a copy of another hive; its queue waits for POST /api/resume";
            (StatusCode::OK, ReadyWord::Held, Some(reason.to_owned()))
        }
        Health::Good => (StatusCode::OK, ReadyWord::Ready, None),
        Health::StorageFull => (
            StatusCode::SERVICE_UNAVAILABLE,
            ReadyWord::StorageFull,
            Some("the disk is full".to_owned()),
        ),
        Health::ReadOnly(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            ReadyWord::ReadOnly,
            Some("the disk failed to keep a change; the log says more".to_owned()),
        ),
    };
    Ok(Response::json(
        status,
        &Readiness {
            status: word,
            held,
            reason,
        },
    ))
}

/// What answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Version {
    /// Always `skep`.
    name: &'static str,
    #[schemars(example = &"0.1.0")]
    version: &'static str,
}

/// `GET /api/version` -- what answers.
pub async fn get_version(_app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    Ok(Response::ok(&Version {
        name: "skep",
        version: env!("CARGO_PKG_VERSION"),
    }))
}

/// `GET /api/engines` -- what was found on this machine, and what fixes what is missing.
pub async fn list_engines(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    Ok(Response::ok(&app.engines.list().await))
}

/// `POST /api/resume` -- a copy becomes a hive of its own and goes on with its queue.
pub async fn resume(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    if !app.is_held() {
        return Err(ApiError::conflict("This hive is not held"));
    }
    let data = app.data.clone();
    tokio::task::spawn_blocking(move || data.confirm())
        .await
        .map_err(ApiError::internal)??;
    app.supervisor.release();
    Ok(Response::ok(&json!({ "status": "resumed" })))
}

/// `POST /api/purge` -- what was deleted is gone from disk, too, when this answers.
pub async fn purge(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    app.journal.purge().await?;
    Ok(Response::ok(&json!({ "status": "purged" })))
}
