//! For OpenAI's client libraries: each worker is a model, and so is the bee.
//!
//! A conversation that a client sends whole becomes a chat of its own, archived and tagged `v1`, so that nothing of
//! another one gets into it and the list of chats stays what it was. A client that names a chat in
//! `metadata.session_id` goes on with that one: its last message is sent there, what came before is known there.
//!
//! A client of this API that hangs up does not want the answer any more: the run is stopped, which is not so anywhere
//! else.
//!
//! Owns what is read and written in OpenAI's words. Must never know how a chat is routed or run. Start reading at
//! [`create_chat_completion`].

mod answer;
mod asked;
mod chunks;
pub(in crate::api) mod conversation;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::caller::require;
use crate::app::App;
use crate::http::{ApiError, Request, Response};
use crate::model::{Millis, Worker, WorkerId};
use crate::store::{StoreError, workers};

pub(super) use answer::ChatCompletion;
pub use answer::create_chat_completion;
pub(super) use asked::ChatCompletionRequest;
pub(super) use chunks::events;

/// The model that is no worker.
const BEE: &str = "bee";
/// How many models are listed; there is no next page in OpenAI's words.
const MODELS_MAX: usize = 1000;

/// A worker as a model.
#[derive(Serialize, JsonSchema)]
pub(super) struct Model {
    /// The worker's name.
    id: String,
    /// Always `model`.
    object: &'static str,
    /// Unix seconds.
    created: u64,
    /// Always `skep`.
    owned_by: &'static str,
}

/// All models.
#[derive(Serialize, JsonSchema)]
pub(super) struct ModelList {
    /// Always `list`.
    object: &'static str,
    data: Vec<Model>,
}

fn model(name: &str, created_at: Millis) -> Model {
    Model {
        id: name.to_owned(),
        object: "model",
        created: created_at / 1000,
        owned_by: "skep",
    }
}

/// `GET /v1/models` -- the workers by name, newest first, and `bee`.
pub async fn list_models(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let workers = app
        .store
        .read(|tx| workers::list(tx, None, MODELS_MAX))?
        .rows;
    let mut data = vec![model(BEE, 0)];
    data.extend(workers.iter().map(|row| model(&row.name, row.created_at)));
    Ok(Response::ok(&ModelList {
        object: "list",
        data,
    }))
}

/// `GET /v1/models/{model}` -- a worker by its name, or `bee`.
pub async fn get_model(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let name: String = req.path("model")?;
    let found = find(&app, &name)?;
    Ok(Response::ok(&match found {
        Some(worker) => model(&worker.name, worker.created_at),
        None => model(BEE, 0),
    }))
}

/// The worker that a model is; `None` is the bee.
fn find(app: &App, name: &str) -> Result<Option<Worker>, ApiError> {
    let name = name.trim();
    if name.eq_ignore_ascii_case(BEE) {
        return Ok(None);
    }
    let found = app.store.read(|tx| {
        let by_name = workers::find_by_name(tx, name)?;
        match by_name.or_else(|| name.parse::<WorkerId>().ok()) {
            Some(id) => workers::get(tx, id),
            None => Ok::<_, StoreError>(None),
        }
    })?;
    found.map(Some).ok_or_else(|| ApiError::not_found("model"))
}
