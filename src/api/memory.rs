//! Memory: entries that every engine is told of, for all, for a worker or for a chat.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::require;
use super::page::{self, PageQuery};
use crate::app::App;
use crate::command::{DeleteMemory, SetMemory};
use crate::http::{ApiError, Request, Response};
use crate::model::memory::NoScope;
use crate::model::{Memory, MemoryScope, Millis};
use crate::store::memory;
use crate::tool;

/// A memory entry.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Memory")]
pub(super) struct MemoryView {
    /// `global`, `worker:<id>` or `session:<id>`.
    #[schemars(example = &"global")]
    scope: String,
    #[schemars(example = &"tea")]
    key: String,
    #[schemars(example = &"Green, without sugar.")]
    value: String,
    created_at: Millis,
    updated_at: Millis,
}

impl From<Memory> for MemoryView {
    fn from(entry: Memory) -> Self {
        Self {
            scope: entry.scope.to_string(),
            key: entry.key,
            value: entry.value,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

/// What is to be kept in mind.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewMemory {
    value: String,
}

/// `GET /api/memory` -- last changed first.
pub async fn list_memory(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let query = PageQuery::of(&req)?;
    let scope = req
        .query_text("scope")
        .filter(|text| !text.is_empty())
        .map(|text| text.parse::<MemoryScope>())
        .transpose()
        .map_err(|error: NoScope| ApiError::bad_request(format!("scope: {error}")))?;
    let page = app
        .store
        .read(|tx| memory::list(tx, scope, query.cursor, query.limit))?;
    let rows: Vec<MemoryView> = page.rows.into_iter().map(MemoryView::from).collect();
    Ok(page::answer(&req, &rows, page.next))
}

/// `PUT /api/memory/{scope}/{key}` -- sets an entry; the next turn of every agent of its scope is told.
pub async fn set_memory(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let scope = req.path("scope")?;
    let key: String = req.path("key")?;
    let body: NewMemory = req.json().await?;
    let set = SetMemory {
        scope,
        key: tool::memory::key(&key)?,
        value: tool::memory::value(&body.value)?,
        at: app.now(),
    };
    let entry = app.journal.submit(set).await?;
    Ok(Response::ok(&MemoryView::from(entry)))
}

/// `DELETE /api/memory/{scope}/{key}` -- forgets an entry.
pub async fn delete_memory(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let (scope, key) = (req.path("scope")?, req.path("key")?);
    app.journal.submit(DeleteMemory { scope, key }).await?;
    Ok(Response::deleted())
}
