//! What uses the disk.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::caller::require;
use crate::app::App;
use crate::http::{ApiError, Request, Response};

/// Room on disk by what takes it, in bytes.
#[derive(Serialize, JsonSchema)]
pub(super) struct StorageView {
    journal_bytes: u64,
    snapshots_bytes: u64,
    /// The tables.
    hive_bytes: u64,
    logs_bytes: u64,
    uploads_bytes: u64,
    /// Work directories that Skep made; those that were given to workers are not counted.
    workers_bytes: u64,
    /// What search looks things up in; made anew whenever it is missing.
    search_bytes: u64,
    other_bytes: u64,
    free_bytes: u64,
    /// Whether everything was looked at; a work directory can hold too many files for that.
    complete: bool,
    /// How old this is. It is counted anew at most once a minute.
    age_ms: u64,
}

/// `GET /api/storage` -- what uses the disk, counted at most once a minute.
pub async fn get_storage(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let counted = app.usage.get(app.data.root()).await;
    let (usage, age) = counted.map_err(ApiError::internal)?;
    Ok(Response::ok(&StorageView {
        journal_bytes: usage.journal,
        snapshots_bytes: usage.snapshots,
        hive_bytes: usage.hive,
        logs_bytes: usage.logs,
        uploads_bytes: usage.uploads,
        workers_bytes: usage.workers,
        search_bytes: usage.search,
        other_bytes: usage.other,
        free_bytes: usage.free,
        complete: usage.is_complete,
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
    }))
}
