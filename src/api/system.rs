//! The server: which engines it found, and what an operator may ask of it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::caller::require;
use super::retention;
use crate::app::App;
use crate::http::{ApiError, Request, Response};

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
    let engines = match req.query::<bool>("versions")?.unwrap_or(true) {
        true => app.engines.list().await,
        false => app.engines.list_known().await,
    };
    Ok(Response::ok(&engines))
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
///
/// The executions of deleted chats go with it, and their logs: what was said there is in both.
pub async fn purge(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let forgotten = app.keeper.forget(req.closing()).await;
    forgotten.map_err(retention::refused)?;
    app.journal.purge().await?;
    let search = app.search.clone();
    tokio::task::spawn_blocking(move || search.clear())
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    Ok(Response::ok(&json!({ "status": "purged" })))
}
