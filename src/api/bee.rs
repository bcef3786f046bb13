//! The bee: the agent that always exists.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::require;
use super::workers::{WorkerBody, given};
use crate::app::App;
use crate::command::UpdateBee;
use crate::http::{ApiError, Request, Response};
use crate::model::{Bee, Millis};
use crate::store::{StoreError, Tx, permissions, workers};

/// The bee.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Bee")]
pub(super) struct BeeView {
    /// Always `bee`.
    name: &'static str,
    engine: Option<String>,
    model: Option<String>,
    memory: String,
    /// Tools that it need not ask about: the user has said "always".
    always_allowed: Vec<String>,
    updated_at: Option<Millis>,
}

fn view(tx: &impl Tx, bee: Bee) -> Result<BeeView, StoreError> {
    Ok(BeeView {
        name: "bee",
        engine: given(bee.engine),
        model: given(bee.model),
        memory: bee.memory,
        always_allowed: permissions::always_allowed(tx, None)?,
        updated_at: (bee.updated_at > 0).then_some(bee.updated_at),
    })
}

/// What a client may say of the bee; what is absent stays, `""` clears.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "BeeChange")]
pub(super) struct BeeBody {
    /// A name from `GET /api/engines`.
    engine: Option<String>,
    model: Option<String>,
    memory: Option<String>,
}

/// `GET /api/bee` -- the agent that answers when no worker is meant.
pub async fn get_bee(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let bee = app.store.read(|tx| view(tx, workers::bee(tx)?))?;
    Ok(Response::ok(&bee))
}

/// `PUT /api/bee` -- changes engine, model or memory.
pub async fn update_bee(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let body: BeeBody = req.json().await?;
    let patch = WorkerBody {
        engine: body.engine,
        model: body.model,
        memory: body.memory,
        ..WorkerBody::default()
    }
    .parse(&app)?;
    let bee = app
        .journal
        .submit(UpdateBee {
            patch,
            at: app.now(),
        })
        .await?;
    Ok(Response::ok(&app.store.read(|tx| view(tx, bee))?))
}
