//! What a worker's engine is started with beside what `skep.toml` says of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::require;
use super::submit::submit;
use super::workers::find;
use crate::app::App;
use crate::command::SetEngineOptions;
use crate::http::{ApiError, Request, Response};
use crate::model::engine_options::{EngineOptionsPatch, McpServer};
use crate::store::engine_options;

/// What changes; what is absent stays.
#[derive(Deserialize, JsonSchema)]
pub(super) struct EngineOptionsBody {
    /// Arguments after all others; at most 64.
    args: Option<Vec<String>>,
    /// Variables; at most 64.
    env: Option<BTreeMap<String, String>>,
    /// Variables whose values are secret: each names a file in `keys/`, or a variable of Skep's own environment.
    secrets: Option<BTreeMap<String, String>>,
    /// MCP servers beside Skep's own tools, by name.
    mcp_servers: Option<BTreeMap<String, McpServer>>,
}

/// `GET /api/workers/{worker_id}/engine` -- what its engine is started with; secrets by their names alone.
pub async fn get_engine_options(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let worker = find(&app, req.path("worker_id")?)?;
    let options = app.store.read(|tx| engine_options::get(tx, worker.id))?;
    Ok(Response::ok(&options))
}

/// `PUT /api/workers/{worker_id}/engine` -- changes it; the next turn is started so.
///
/// It is for engines that are programs.
pub async fn set_engine_options(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let worker = find(&app, req.path("worker_id")?)?;
    let body: EngineOptionsBody = req.json().await?;
    let patch = EngineOptionsPatch {
        args: body.args,
        env: body.env,
        secrets: body.secrets,
        mcp_servers: body.mcp_servers,
    };
    let set = SetEngineOptions {
        id: worker.id,
        patch: patch.checked()?,
        at: app.now(),
    };
    Ok(Response::ok(&submit(&app, &req, set).await?))
}
