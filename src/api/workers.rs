//! Workers: who answers, with which engine, in which directory, and what each may do unasked.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::caller::require;
use super::page::{self, PageQuery};
use super::submit::submit;
use super::{error, work_dir};
use crate::app::App;
use crate::command::{CreateAgent, DeleteWorker, UpdateAgent, UpdateWorker, WorkerPatch};
use crate::http::{ApiError, Request, Response};
use crate::model::limits::{
    DAILY_COST_USD_MAX, DESCRIPTION_BYTES_MAX, MEMORY_BYTES_MAX, NAME_BYTES_MAX, TIMEOUT_S_MAX,
};
use crate::model::profile::{Agent, Profile, ProfilePatch};
use crate::model::tally::{self, day_of, usd};
use crate::model::text::{free_text, worker_name};
use crate::model::{ExecutionStatus, Invalid, Millis, WorkDir, Worker, WorkerId};
use crate::store::{StoreError, Tx, executions, permissions, profiles, usage, workers};

/// The words of `permissions`; what each allows is the engine's to say.
const PERMISSIONS: [&str; 4] = ["ask", "allow_edits", "allow_all", "read_only"];

/// A worker.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Worker")]
pub(super) struct WorkerView {
    id: WorkerId,
    /// What it is called and called by; unique ignoring case.
    #[schemars(example = &"Assistant")]
    name: String,
    /// What it is for; messages are routed by it.
    #[schemars(example = &"General purpose assistant")]
    description: String,
    /// What it always keeps in mind.
    #[schemars(example = &"You are a helpful assistant.")]
    memory: String,
    /// Where it works: an absolute path.
    #[schemars(example = &"/home/user/.skep/workers/019ac0de-0000-7000-8000-000000000001")]
    work_dir: String,
    status: WorkerStatus,
    /// The name of its engine; `null` is the default one.
    engine: Option<String>,
    /// The model; `null` is the engine's own choice.
    model: Option<String>,
    permissions: Option<String>,
    /// Tools that it need not ask about: the user has said "always".
    always_allowed: Vec<String>,
    /// How long a run may take, seconds.
    timeout_s: Option<u32>,
    /// What its executions may cost a day (UTC), US dollars; `null` is any amount. One more is not begun above it.
    daily_cost_max: Option<f64>,
    /// What they have cost today, as far as its engine says it.
    cost_today: f64,
    /// How many executions wait for it.
    queue_length: u64,
    created_at: Millis,
    updated_at: Millis,
}

/// Derived from its executions.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WorkerStatus {
    /// Nothing runs.
    Idle,
    /// An execution of it runs.
    Working,
    /// Its last execution failed.
    Error,
}

fn view(app: &App, tx: &impl Tx, worker: Worker) -> Result<WorkerView, StoreError> {
    let activity = executions::activity(tx, Some(worker.id))?;
    let status = match activity {
        executions::Activity { running: true, .. } => WorkerStatus::Working,
        executions::Activity {
            last: Some(ExecutionStatus::Failed),
            ..
        } => WorkerStatus::Error,
        _ => WorkerStatus::Idle,
    };
    let today = day_of(app.now());
    let spent = usage::sum_of_worker(tx, Some(worker.id), today..=today)?;
    let profile = profiles::get(tx, worker.id)?;
    Ok(WorkerView {
        status,
        queue_length: activity.pending,
        always_allowed: permissions::always_allowed(tx, Some(worker.id))?,
        cost_today: spent.cost_usd(),
        ..new_view(app, Agent { worker, profile })
    })
}

/// A worker that has done nothing yet.
fn new_view(app: &App, agent: Agent) -> WorkerView {
    let Agent { worker, profile } = agent;
    let work_dir = app.data.work_dir(worker.id, &worker.work_dir);
    WorkerView {
        id: worker.id,
        name: worker.name,
        description: worker.description,
        memory: worker.memory,
        work_dir: work_dir.to_string_lossy().into_owned(),
        status: WorkerStatus::Idle,
        engine: given(worker.engine),
        model: given(worker.model),
        permissions: given(worker.permissions),
        always_allowed: Vec::new(),
        timeout_s: worker.timeout_s,
        daily_cost_max: profile.daily_cost_nanos_max.map(usd),
        cost_today: 0.0,
        queue_length: 0,
        created_at: worker.created_at,
        updated_at: worker.updated_at,
    }
}

/// What was set, where nothing is said as `null`.
pub(super) fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// What a client may say of a worker. For a `PUT`, what is absent stays and `""` clears.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "WorkerChange")]
pub(super) struct WorkerBody {
    /// 1 to 100 characters; not `bee`, and no other worker's.
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) memory: Option<String>,
    /// An absolute path; `""` is a directory that Skep makes.
    pub(super) work_dir: Option<String>,
    /// A name from `GET /api/engines`.
    pub(super) engine: Option<String>,
    pub(super) model: Option<String>,
    /// `ask`, `allow_edits`, `allow_all` or `read_only`.
    pub(super) permissions: Option<String>,
    /// `null`, like 0, is the default.
    #[serde(deserialize_with = "present")]
    pub(super) timeout_s: Option<Option<u64>>,
    /// US dollars a day; `null`, like 0, is any amount. The bee has none.
    #[serde(deserialize_with = "present")]
    pub(super) daily_cost_max: Option<Option<f64>>,
}

/// A new worker: only its name is required.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct NewWorker(WorkerBody);

/// A field for which `null` is a value, which is not the same as leaving it out.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl WorkerBody {
    /// Checks everything but the directory; every fault is told at once.
    pub(super) fn parse(&self, app: &App) -> Result<WorkerPatch, ApiError> {
        let mut faults = Vec::new();
        let mut checked = |result: Option<Result<String, Invalid>>| match result.transpose() {
            Ok(value) => value,
            Err(fault) => {
                faults.push((fault.field, fault.message));
                None
            }
        };
        let text = |field, text: &Option<String>, max| {
            text.as_ref().map(|text| free_text(field, text, max))
        };
        let patch = WorkerPatch {
            name: checked(self.name.as_deref().map(worker_name)),
            description: checked(text(
                "description",
                &self.description,
                DESCRIPTION_BYTES_MAX,
            )),
            memory: checked(text("memory", &self.memory, MEMORY_BYTES_MAX)),
            work_dir: None,
            engine: checked(self.engine.as_deref().map(|name| engine_name(app, name))),
            model: checked(self.model.as_deref().map(model_name)),
            permissions: checked(self.permissions.as_deref().map(permissions)),
            timeout_s: None,
        };
        let timeout_s = self
            .timeout_s
            .map(Option::unwrap_or_default)
            .map(u32::try_from);
        let timeout_s = match timeout_s {
            Some(Ok(seconds)) if seconds <= TIMEOUT_S_MAX => Some((seconds > 0).then_some(seconds)),
            Some(_) => {
                let message = format!("must be at most {TIMEOUT_S_MAX}; 0 is the default");
                faults.push(("timeout_s", message));
                None
            }
            None => None,
        };
        let patch = WorkerPatch { timeout_s, ..patch };
        if let Err(fault) = self.profile() {
            faults.push((fault.field, fault.message));
        }
        if faults.is_empty() {
            Ok(patch)
        } else {
            Err(ApiError::validation(faults))
        }
    }
}

impl WorkerBody {
    /// What changes beside the worker itself.
    fn profile(&self) -> Result<ProfilePatch, Invalid> {
        let daily_cost_nanos_max = match self.daily_cost_max.map(Option::unwrap_or_default) {
            None => None,
            Some(amount) if (0.0..=DAILY_COST_USD_MAX).contains(&amount) => {
                let nanos = tally::nanos(amount);
                Some((nanos > 0).then_some(nanos))
            }
            Some(_) => {
                let message =
                    format!("must be US dollars, at most {DAILY_COST_USD_MAX}; 0 is any amount");
                return Err(Invalid::new("daily_cost_max", message));
            }
        };
        Ok(ProfilePatch {
            daily_cost_nanos_max,
            ..ProfilePatch::default()
        })
    }
}

fn engine_name(app: &App, name: &str) -> Result<String, Invalid> {
    if name.is_empty() || app.engines.knows(name) {
        return Ok(name.to_owned());
    }
    let message = format!(
        "there is no engine {name:?}; one of: {}",
        app.engines.names().join(", ")
    );
    Err(Invalid::new("engine", message))
}

fn model_name(name: &str) -> Result<String, Invalid> {
    let name = free_text("model", name.trim(), NAME_BYTES_MAX)?;
    // It becomes an argument of a command line, where a leading dash would make it an option.
    if name.starts_with('-') || name.chars().any(char::is_control) {
        return Err(Invalid::new(
            "model",
            "must be one line that does not begin with -",
        ));
    }
    Ok(name)
}

fn permissions(word: &str) -> Result<String, Invalid> {
    if word.is_empty() || PERMISSIONS.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(Invalid::new(
        "permissions",
        format!("must be one of: {}", PERMISSIONS.join(", ")),
    ))
}

/// `POST /api/workers` -- makes a worker; only its name is required.
pub async fn create_worker(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let NewWorker(body) = req.json().await?;
    let patch = body.parse(&app)?;
    let name = patch
        .name
        .ok_or_else(|| ApiError::bad_request("name: is missing"))?;
    let id: WorkerId = app.ids.next();
    refuse_taken(&app, &name)?;
    let work_dir = work_dir::prepare(&app, id, body.work_dir.as_deref().unwrap_or_default())?;
    let now = app.now();
    let worker = Worker {
        id,
        name,
        description: patch.description.unwrap_or_default(),
        memory: patch.memory.unwrap_or_default(),
        work_dir: work_dir.clone(),
        engine: patch.engine.unwrap_or_default(),
        model: patch.model.unwrap_or_default(),
        permissions: patch.permissions.unwrap_or_default(),
        timeout_s: patch.timeout_s.flatten(),
        created_at: now,
        updated_at: now,
    };
    let profile = Profile::default().with(body.profile().map_err(fault)?);
    match submit(&app, &req, CreateAgent { worker, profile }).await {
        Ok(agent) => created(&app, agent),
        Err(error) => {
            work_dir::undo(&app, id, &work_dir);
            Err(error)
        }
    }
}

/// Before a directory is made for it; the change itself looks again.
pub(super) fn refuse_taken(app: &App, name: &str) -> Result<(), ApiError> {
    match app.store.read(|tx| workers::find_by_name(tx, name))? {
        Some(_) => Err(ApiError::conflict(format!(
            "A worker named {name:?} exists already"
        ))),
        None => Ok(()),
    }
}

/// A new worker has done nothing yet.
pub(super) fn created(app: &App, agent: Agent) -> Result<Response, ApiError> {
    let location = format!("/api/workers/{}", agent.worker.id);
    Ok(Response::created(&location, &new_view(app, agent)))
}

fn fault(fault: Invalid) -> ApiError {
    ApiError::validation([(fault.field, fault.message)])
}

/// `GET /api/workers` -- newest first.
pub async fn list_workers(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let query = PageQuery::of(&req)?;
    let (rows, next) = app.store.read(|tx| {
        let page = workers::list(tx, query.cursor, query.limit)?;
        let rows = page.rows.into_iter().map(|worker| view(&app, tx, worker));
        Ok::<_, StoreError>((rows.collect::<Result<Vec<_>, _>>()?, page.next))
    })?;
    Ok(page::answer(&req, &rows, next))
}

/// `GET /api/workers/{worker_id}` -- one worker.
pub async fn get_worker(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let worker = find(&app, req.path("worker_id")?)?;
    Ok(Response::ok(&app.store.read(|tx| view(&app, tx, worker))?))
}

/// `PUT /api/workers/{worker_id}` -- changes what is given.
pub async fn update_worker(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: WorkerId = req.path("worker_id")?;
    let body: WorkerBody = req.json().await?;
    let mut patch = body.parse(&app)?;
    let before = find(&app, id)?;
    if let Some(path) = &body.work_dir {
        let is_same = Path::new(path) == app.data.work_dir(id, &before.work_dir);
        patch.work_dir = if is_same {
            None
        } else {
            Some(work_dir::prepare(&app, id, path)?)
        };
    }
    let made = patch.work_dir.clone();
    match app
        .journal
        .submit(UpdateAgent {
            worker: UpdateWorker {
                id,
                patch,
                at: app.now(),
            },
            profile: body.profile().map_err(fault)?,
        })
        .await
    {
        Ok(Agent { worker, .. }) => Ok(Response::ok(&app.store.read(|tx| view(&app, tx, worker))?)),
        Err(error) => {
            if let Some(made) = made {
                work_dir::undo(&app, id, &made);
            }
            Err(error.into())
        }
    }
}

/// `DELETE /api/workers/{worker_id}?delete_work_dir=true` -- stops what it runs, cancels what waits for it, removes it.
pub async fn delete_worker(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: WorkerId = req.path("worker_id")?;
    let delete_work_dir = req.query::<bool>("delete_work_dir")?.unwrap_or(false);
    let worker = find(&app, id)?;
    delete(&app, worker, delete_work_dir).await
}

pub(super) async fn delete(
    app: &Arc<App>,
    worker: Worker,
    delete_work_dir: bool,
) -> Result<Response, ApiError> {
    let id = worker.id;
    if delete_work_dir && app.is_held() {
        return Err(error::held());
    }
    let path = app.data.work_dir(id, &worker.work_dir);
    if delete_work_dir {
        work_dir::check_owned(app, &worker)?;
    }
    // Nothing of it starts, and nothing of it runs, from here to the end.
    let barred = app.supervisor.bar_worker(id).await;
    if delete_work_dir {
        // Whatever ran until now could have put something else in its place.
        work_dir::check_owned(app, &worker)?;
    }
    app.journal
        .submit(DeleteWorker { id, at: app.now() })
        .await?;
    if delete_work_dir {
        let removed = tokio::task::spawn_blocking(move || fs::remove_dir_all(path)).await;
        if let Ok(Err(error)) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(worker.id = %id, %error, "the directory of a deleted worker could not be removed");
        }
    } else if worker.work_dir == WorkDir::Own {
        // Only if it is empty: then nobody misses it.
        let _ = fs::remove_dir(path);
    }
    drop(barred);
    Ok(Response::deleted())
}

pub(super) fn find(app: &App, id: WorkerId) -> Result<Worker, ApiError> {
    app.store
        .read(|tx| workers::get(tx, id))?
        .ok_or_else(|| ApiError::not_found("worker"))
}
