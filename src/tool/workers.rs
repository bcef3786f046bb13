//! Workers: list and look at; [`super::staffing`] changes them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::beneath::printable;
use super::{Access, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, parse};
use crate::model::{Worker, WorkerId};
use crate::store::executions::{Filter, Order, activity};
use crate::store::{ReadTx, executions, workers};

/// Workers that one call lists.
pub const LISTED_MAX: usize = 200;
/// What the engine is called that takes whatever is there.
pub const AUTO: &str = "auto";

pub(super) const WORKER: Param = Param::required("worker", Kind::Text, "Its name or its id.");
/// The workers. Data: [`WorkerList`].
pub const LIST: Tool = Tool {
    name: "list_workers",
    description: "Lists the workers, newest first, with what they are good at and whether they are busy.",
    access: Access::Read,
    params: &[],
    call: |cx, _| Box::pin(list(cx)),
};

/// A worker. Data: [`WorkerInfo`].
pub const GET: Tool = Tool {
    name: "get_worker",
    description: "Looks at one worker.",
    access: Access::Read,
    params: &[WORKER],
    call: |cx, args| Box::pin(get(cx, args)),
};

/// What a worker does. Data: [`WorkerStatus`].
pub const STATUS: Tool = Tool {
    name: "get_worker_status",
    description: "Tells what a worker does now and how its last executions ended.",
    access: Access::Read,
    params: &[WORKER],
    call: |cx, args| Box::pin(status(cx, args)),
};

/// Some workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerList {
    /// Newest first.
    pub workers: Vec<WorkerInfo>,
    /// Whether there are more.
    pub more: bool,
}

/// What is said of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is good at.
    pub description: String,
    /// Its engine; empty means the default one.
    pub engine: String,
    /// Its model; empty means the engine's choice.
    pub model: String,
    /// What it is told before every turn.
    pub memory: String,
    /// Where it works.
    pub work_dir: String,
    /// Whether it runs now.
    pub running: bool,
    /// How many executions wait for it.
    pub pending: u64,
}

/// What a worker does and did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// The worker.
    pub worker: WorkerInfo,
    /// Its last executions, newest first.
    pub executions: Vec<ExecutionInfo>,
}

/// What is said of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionInfo {
    /// Its id.
    pub id: String,
    /// The word of the API.
    pub status: String,
    /// What was asked, the first line of it.
    pub asked: String,
    /// Why it failed.
    pub error: Option<String>,
}

/// Executions that a status shows.
const EXECUTIONS_SHOWN: usize = 5;

pub(super) fn info(cx: &Context, tx: &ReadTx, worker: Worker) -> Result<WorkerInfo, ToolError> {
    let activity = activity(tx, Some(worker.id))?;
    let work_dir = cx.shared.data.work_dir(worker.id, &worker.work_dir);
    Ok(WorkerInfo {
        id: worker.id.to_string(),
        work_dir: printable(&work_dir.to_string_lossy()),
        name: worker.name,
        description: worker.description,
        engine: worker.engine,
        model: worker.model,
        memory: worker.memory,
        running: activity.running,
        pending: activity.pending,
    })
}

fn line(worker: &WorkerInfo) -> String {
    let engine = match worker.engine.as_str() {
        "" => "default",
        engine => engine,
    };
    let busy = match (worker.running, worker.pending) {
        (true, 0) => "running".to_owned(),
        (true, pending) => format!("running, {pending} waiting"),
        (false, 0) => "idle".to_owned(),
        (false, pending) => format!("{pending} waiting"),
    };
    format!(
        "{} ({}; engine {engine}; {busy}): {}",
        worker.name, worker.id, worker.description
    )
}

/// The worker that a name or id means.
pub(super) fn find(tx: &ReadTx, wanted: &str) -> Result<Worker, ToolError> {
    let wanted = wanted.trim();
    let by_name = workers::find_by_name(tx, wanted)?;
    let id = by_name.or_else(|| wanted.parse::<WorkerId>().ok());
    let worker = match id {
        Some(id) => workers::get(tx, id)?,
        None => None,
    };
    worker.ok_or_else(|| {
        ToolError::NotFound(if wanted.eq_ignore_ascii_case("bee") {
            "the bee is no worker; it is always there".to_owned()
        } else {
            format!("there is no worker named \"{}\"", printable(wanted))
        })
    })
}

async fn list(cx: &Context) -> Result<ToolOutput, ToolError> {
    let cx = cx.clone();
    let list = blocking(move || {
        cx.shared.store.read(|tx| {
            let page = workers::list(tx, None, LISTED_MAX)?;
            let rows = page.rows.into_iter().map(|worker| info(&cx, tx, worker));
            Ok::<_, ToolError>(WorkerList {
                workers: rows.collect::<Result<_, _>>()?,
                more: page.next.is_some(),
            })
        })
    })
    .await?;
    let mut lines: Vec<String> = list.workers.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("there are no workers".to_owned());
    }
    if list.more {
        lines.push("… and more".to_owned());
    }
    Ok(ToolOutput::new(lines.join("\n"), &list))
}

#[derive(Deserialize)]
pub(super) struct Which {
    pub(super) worker: String,
}

pub(super) async fn get(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Which { worker } = parse(args)?;
    let cx = cx.clone();
    let worker = blocking(move || {
        let read = |tx: &ReadTx| info(&cx, tx, find(tx, &worker)?);
        cx.shared.store.read(read)
    })
    .await?;
    Ok(ToolOutput::new(line(&worker), &worker))
}

async fn status(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Which { worker } = parse(args)?;
    let cx = cx.clone();
    let status = blocking(move || {
        cx.shared.store.read(|tx| {
            let worker = find(tx, &worker)?;
            let filter = Filter {
                worker: Some(worker.id),
                ..Filter::default()
            };
            let page = executions::list(tx, filter, Order::NewestFirst, None, EXECUTIONS_SHOWN)?;
            let executions = page.rows.into_iter().map(|execution| ExecutionInfo {
                id: execution.id.to_string(),
                status: execution.status.as_str().to_owned(),
                asked: match cx.may_tell_of(execution.worker_id, execution.session_id) {
                    true => first_line(&execution.trigger_input),
                    false => String::new(),
                },
                error: execution.error,
            });
            Ok::<_, ToolError>(WorkerStatus {
                executions: executions.collect(),
                worker: info(&cx, tx, worker)?,
            })
        })
    })
    .await?;
    let mut lines = vec![line(&status.worker)];
    lines.extend(status.executions.iter().map(|execution| {
        let error = execution.error.as_deref().unwrap_or_default();
        format!("- {}: {} {error}", execution.status, execution.asked)
    }));
    Ok(ToolOutput::new(lines.join("\n"), &status))
}

fn first_line(text: &str) -> String {
    const SHOWN_BYTES_MAX: usize = 120;
    let line = text.trim().lines().next().unwrap_or_default();
    printable(crate::model::text::truncated(line, SHOWN_BYTES_MAX))
}
