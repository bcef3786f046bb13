//! The bee: the agent that always exists.

use std::sync::Arc;

use serde::Serialize;

use super::caller::require;
use super::workers::{WorkerBody, given};
use crate::app::App;
use crate::command::UpdateBee;
use crate::http::{ApiError, Request, Response};
use crate::model::{Bee, Millis};
use crate::store::workers;

#[derive(Serialize)]
struct BeeView {
    name: &'static str,
    engine: Option<String>,
    model: Option<String>,
    memory: String,
    updated_at: Option<Millis>,
}

impl From<Bee> for BeeView {
    fn from(bee: Bee) -> Self {
        Self {
            name: "bee",
            engine: given(bee.engine),
            model: given(bee.model),
            memory: bee.memory,
            updated_at: (bee.updated_at > 0).then_some(bee.updated_at),
        }
    }
}

/// `GET /api/bee`.
pub async fn get_bee(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let bee = app.store.read(workers::bee)?;
    Ok(Response::ok(&BeeView::from(bee)))
}

/// `PUT /api/bee` -- changes engine, model or memory.
pub async fn update_bee(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let body: WorkerBody = req.json().await?;
    let patch = body.parse(&app)?;
    let bee = app
        .journal
        .submit(UpdateBee {
            patch,
            at: app.now(),
        })
        .await?;
    Ok(Response::ok(&BeeView::from(bee)))
}
