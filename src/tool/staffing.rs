//! Workers: create, change, delete.

use serde::Deserialize;
use serde_json::Value;

use super::beneath::printable;
use super::workers::{AUTO, WORKER, Which, find, get, info};
use super::{
    Access, Authority, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, parse,
};
use crate::command::conditional::Resource;
use crate::command::{CreateWorker, DeleteWorker, UpdateWorker, WorkerPatch};
use crate::data_dir::make_dir;
use crate::model::limits::{DESCRIPTION_BYTES_MAX, MEMORY_BYTES_MAX, NAME_BYTES_MAX};
use crate::model::text::{free_text, single_line, worker_name};
use crate::model::{Invalid, WorkDir, Worker, WorkerId};

const NAME: &str = "Up to 100 characters; unique, ignoring case.";
const DESCRIPTION: Param = Param::optional(
    "description",
    Kind::Text,
    "What it is good at; messages find their worker by it.",
);
const ENGINE: Param = Param::optional(
    "engine",
    Kind::Text,
    "The name of its engine; without it the default one.",
);
const MODEL: Param = Param::optional("model", Kind::Text, "The model its engine is asked for.");
const MEMORY: Param = Param::optional("memory", Kind::Text, "What it is told before every turn.");

/// A new worker. Data: [`WorkerInfo`](super::workers::WorkerInfo).
pub const CREATE: Tool = Tool {
    name: "create_worker",
    description: "Creates a worker with a directory of its own.",
    access: Access::Write,
    params: &[
        Param::required("name", Kind::Text, NAME),
        DESCRIPTION,
        ENGINE,
        MODEL,
        MEMORY,
    ],
    call: |cx, args| Box::pin(create(cx, args)),
};

/// A changed worker. Data: [`WorkerInfo`](super::workers::WorkerInfo).
pub const UPDATE: Tool = Tool {
    name: "update_worker",
    description: "Changes a worker; what is left out stays, and \"\" clears (not the name).",
    access: Access::Write,
    params: &[
        WORKER,
        Param::optional("name", Kind::Text, NAME),
        DESCRIPTION,
        ENGINE,
        MODEL,
        MEMORY,
    ],
    call: |cx, args| Box::pin(update(cx, args)),
};

/// A worker less. Data: [`WorkerInfo`](super::workers::WorkerInfo) as it was.
pub const DELETE: Tool = Tool {
    name: "delete_worker",
    description: "Deletes a worker that has nothing to do. Its files, executions and logs stay.",
    access: Access::Write,
    params: &[WORKER],
    call: |cx, args| Box::pin(delete(cx, args)),
};

#[derive(Deserialize)]
struct Create {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    engine: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    memory: String,
}

async fn create(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let new: Create = parse(args)?;
    may_change(cx, None)?;
    let at = (cx.shared.clock)();
    let worker = Worker {
        id: crate::model::Ids.next(),
        name: worker_name(&new.name)?,
        description: free_text("description", &new.description, DESCRIPTION_BYTES_MAX)?,
        memory: free_text("memory", &new.memory, MEMORY_BYTES_MAX)?,
        work_dir: WorkDir::Own,
        engine: engine_name(cx, &new.engine).await?,
        model: optional_line("model", &new.model)?,
        permissions: String::new(),
        timeout_s: None,
        created_at: at,
        updated_at: at,
    };
    // The directory comes first, so that there is never a worker without one.
    let work_dir = cx.shared.data.work_dir(worker.id, &worker.work_dir);
    let made = work_dir.clone();
    blocking(move || {
        make_dir(&made)
            .map(drop)
            .map_err(|error| ToolError::Failed(format!("its directory could not be made: {error}")))
    })
    .await?;
    let id = worker.id;
    if let Err(error) = cx
        .shared
        .make(Resource::Workers, CreateWorker { worker })
        .await
    {
        let _ = tokio::fs::remove_dir(&work_dir).await;
        return Err(error);
    }
    let args = serde_json::json!({ "worker": id.to_string() });
    let created = get(cx, args).await?;
    Ok(ToolOutput {
        text: format!("created {}", created.text),
        ..created
    })
}

#[derive(Deserialize)]
struct Update {
    worker: String,
    name: Option<String>,
    description: Option<String>,
    engine: Option<String>,
    model: Option<String>,
    memory: Option<String>,
}

async fn update(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Update {
        worker,
        name,
        description,
        engine,
        model,
        memory,
    } = parse(args)?;
    let before = cx.shared.store.read(|tx| find(tx, &worker))?;
    may_change(cx, Some(before.id))?;
    let engine = match engine {
        Some(engine) => Some(engine_name(cx, &engine).await?),
        None => None,
    };
    let patch = WorkerPatch {
        name: name.map(|name| worker_name(&name)).transpose()?,
        description: description
            .map(|text| free_text("description", &text, DESCRIPTION_BYTES_MAX))
            .transpose()?,
        memory: memory
            .map(|text| free_text("memory", &text, MEMORY_BYTES_MAX))
            .transpose()?,
        engine,
        model: model
            .map(|model| optional_line("model", &model))
            .transpose()?,
        ..WorkerPatch::default()
    };
    if patch == WorkerPatch::default() {
        return Err(ToolError::InvalidArguments(
            "nothing was given that could change".to_owned(),
        ));
    }
    let at = (cx.shared.clock)();
    let id = before.id;
    cx.shared
        .journal
        .submit(UpdateWorker { id, patch, at })
        .await?;
    let args = serde_json::json!({ "worker": id.to_string() });
    let updated = get(cx, args).await?;
    Ok(ToolOutput {
        text: format!("changed {}", updated.text),
        ..updated
    })
}

async fn delete(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Which { worker } = parse(args)?;
    let before = cx.shared.store.read(|tx| {
        let worker = find(tx, &worker)?;
        info(cx, tx, worker)
    })?;
    let id: WorkerId = before
        .id
        .parse()
        .map_err(|_| ToolError::Failed("a worker's id does not read".to_owned()))?;
    may_change(cx, Some(id))?;
    if cx.worker_id == Some(id) {
        return Err(ToolError::Refused(
            "a worker cannot delete itself while it answers; ask the bee".to_owned(),
        ));
    }
    if before.running || before.pending > 0 {
        return Err(ToolError::Refused(format!(
            "{} is busy ({}); stop what it does first",
            before.name,
            if before.running {
                "running"
            } else {
                "executions wait"
            },
        )));
    }
    let at = (cx.shared.clock)();
    cx.shared.journal.submit(DeleteWorker { id, at }).await?;
    let text = format!(
        "deleted {}; its files stay in {}",
        before.name, before.work_dir
    );
    Ok(ToolOutput::new(text, &before))
}

/// An agent that made up its own mind may change itself, and nobody else.
fn may_change(cx: &Context, worker: Option<WorkerId>) -> Result<(), ToolError> {
    let itself = worker.is_some() && worker == cx.worker_id;
    let is_bee = cx.worker_id.is_none();
    if cx.authority == Authority::Account || is_bee || itself {
        return Ok(());
    }
    Err(ToolError::Denied(
        "a worker may not change other workers; the user can, or the bee".to_owned(),
    ))
}

/// The engine's name, if there is such an engine. It need not be ready yet.
async fn engine_name(cx: &Context, wanted: &str) -> Result<String, ToolError> {
    let wanted = optional_line("engine", wanted)?;
    if wanted.is_empty() || wanted.eq_ignore_ascii_case(AUTO) {
        return Ok(wanted.to_lowercase());
    }
    let engines = (cx.shared.engines)().await;
    match engines
        .iter()
        .find(|engine| engine.name.eq_ignore_ascii_case(&wanted))
    {
        Some(engine) => Ok(engine.name.clone()),
        None => {
            let names: Vec<&str> = engines.iter().map(|engine| engine.name.as_str()).collect();
            Err(ToolError::InvalidArguments(format!(
                "there is no engine named \"{}\"; there are {AUTO}, {}",
                printable(&wanted),
                names.join(", ")
            )))
        }
    }
}

fn optional_line(field: &'static str, text: &str) -> Result<String, ToolError> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    Ok(single_line(field, text, NAME_BYTES_MAX)?)
}

impl From<Invalid> for ToolError {
    fn from(invalid: Invalid) -> Self {
        Self::InvalidArguments(format!("the {} {}", invalid.field, invalid.message))
    }
}
