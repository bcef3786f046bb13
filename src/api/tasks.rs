//! Tasks: what starts by itself, at once, at a time, or again and again.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::require;
use super::error::held;
use super::page::{self, PageQuery};
use super::submit::submit;
use super::workers::present;
use crate::app::App;
use crate::command::{
    CancelTask, CreateTask, DeleteTask, PauseTask, ResumeTask, RunTask, TaskPatch, UpdateTask,
};
use crate::http::{ApiError, Request, Response};
use crate::model::schedule::Schedule;
use crate::model::{
    ExecutionId, MessageId, Millis, SessionId, Task, TaskId, TaskKind, TaskStatus, WorkerId,
};
use crate::store::tasks;
use crate::tool::tasks::{instruction, timing};

/// How many times a preview shows.
const PREVIEWED: usize = 5;

/// Something to be done at a time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Task")]
pub(super) struct TaskView {
    id: TaskId,
    /// Who does it; `null` is the bee.
    worker_id: Option<WorkerId>,
    /// The chat that its replies come to; `null` is none, also once its chat was deleted.
    session_id: Option<SessionId>,
    /// The message of its last run, in its chat.
    message_id: Option<MessageId>,
    /// What its worker is told.
    #[schemars(example = &"Summarise what is new")]
    instruction: String,
    r#type: TaskKind,
    status: TaskStatus,
    /// When a countdown is over.
    scheduled_at: Option<Millis>,
    /// When a scheduled one is due: minute, hour, day of the month, month, day of the week.
    #[schemars(example = &"0 9 * * 1-5")]
    cron_expr: Option<String>,
    /// The IANA time zone of that.
    #[schemars(example = &"Europe/Berlin")]
    timezone: Option<String>,
    /// When it is due next.
    next_run_at: Option<Millis>,
    last_execution_id: Option<ExecutionId>,
    created_at: Millis,
    updated_at: Millis,
}

impl From<Task> for TaskView {
    fn from(task: Task) -> Self {
        Self {
            id: task.id,
            worker_id: task.worker_id,
            session_id: task.session_id,
            message_id: task.message_id,
            instruction: task.instruction,
            r#type: task.kind,
            status: task.status,
            scheduled_at: task.scheduled_at,
            cron_expr: task.cron_expr,
            timezone: task.timezone,
            next_run_at: task.next_run_at,
            last_execution_id: task.last_execution_id,
            created_at: task.created_at,
            updated_at: task.updated_at,
        }
    }
}

/// A new task.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewTask {
    /// Who does it; the bee, if nobody is named.
    worker_id: Option<WorkerId>,
    /// The chat that its replies come to.
    session_id: Option<SessionId>,
    /// What its worker is told.
    instruction: String,
    r#type: TaskKind,
    /// When a countdown is over, at least a second ahead.
    scheduled_at: Option<Millis>,
    /// When a scheduled one is due: minute, hour, day of the month, month, day of the week.
    cron_expr: Option<String>,
    /// The IANA time zone of that; UTC if it is left out.
    timezone: Option<String>,
}

/// What changes of a task; what is absent stays. Another `type` needs its own fields.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "TaskChange")]
pub(super) struct ChangedTask {
    /// `null` is the bee.
    #[serde(deserialize_with = "present")]
    worker_id: Option<Option<WorkerId>>,
    /// `null` is no chat.
    #[serde(deserialize_with = "present")]
    session_id: Option<Option<SessionId>>,
    instruction: Option<String>,
    r#type: Option<TaskKind>,
    scheduled_at: Option<Millis>,
    cron_expr: Option<String>,
    timezone: Option<String>,
}

/// A cron expression to look at.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Previewed {
    cron_expr: String,
    /// UTC if it is left out.
    timezone: Option<String>,
}

/// When that would be due.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TaskPreview")]
pub(super) struct Preview {
    /// The next five times.
    next_runs: Vec<Millis>,
}

/// `POST /api/tasks` -- a new task; an immediate one starts at once.
pub async fn create_task(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let body: NewTask = req.json().await?;
    let now = app.now();
    let timing = timing(
        body.r#type,
        body.scheduled_at,
        body.cron_expr,
        body.timezone,
        now,
    )?;
    let task = Task {
        id: app.ids.next(),
        worker_id: body.worker_id,
        session_id: body.session_id,
        message_id: None,
        instruction: instruction(&body.instruction)?,
        kind: timing.kind,
        status: TaskStatus::Pending,
        scheduled_at: timing.scheduled_at,
        cron_expr: timing.cron_expr,
        timezone: timing.timezone,
        next_run_at: Some(timing.next_run_at),
        last_execution_id: None,
        created_at: now,
        updated_at: now,
    };
    created(&app, submit(&app, &req, CreateTask { task }).await?)
}

/// A new task, before anything came of it.
pub(super) fn created(_app: &App, task: Task) -> Result<Response, ApiError> {
    let location = format!("/api/tasks/{}", task.id);
    Ok(Response::created(&location, &TaskView::from(task)))
}

/// `GET /api/tasks` -- newest first.
pub async fn list_tasks(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let query = PageQuery::of(&req)?;
    let page = app
        .store
        .read(|tx| tasks::list(tx, query.cursor, query.limit))?;
    let rows: Vec<TaskView> = page.rows.into_iter().map(TaskView::from).collect();
    Ok(page::answer(&req, &rows, page.next))
}

/// `GET /api/tasks/{task_id}` -- one task.
pub async fn get_task(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let task = find(&app, req.path("task_id")?)?;
    Ok(Response::ok(&TaskView::from(task)))
}

/// `PATCH /api/tasks/{task_id}` -- worker, chat, instruction, and when it is due.
pub async fn update_task(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let before = find(&app, req.path("task_id")?)?;
    let body: ChangedTask = req.json().await?;
    let now = app.now();
    let changes_timing = body.r#type.is_some()
        || body.scheduled_at.is_some()
        || body.cron_expr.is_some()
        || body.timezone.is_some();
    let timing = changes_timing.then(|| {
        timing(
            body.r#type.unwrap_or(before.kind),
            body.scheduled_at.or(before.scheduled_at),
            body.cron_expr.or(before.cron_expr),
            body.timezone.or(before.timezone),
            now,
        )
    });
    let patch = TaskPatch {
        worker_id: body.worker_id,
        session_id: body.session_id,
        instruction: body.instruction.as_deref().map(instruction).transpose()?,
        timing: timing.transpose()?,
    };
    let update = UpdateTask {
        id: before.id,
        patch,
        at: now,
    };
    let task = app.journal.submit(update).await?;
    Ok(Response::ok(&TaskView::from(task)))
}

/// `DELETE /api/tasks/{task_id}` -- removes it; what runs of it is stopped, its executions stay.
pub async fn delete_task(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id = req.path("task_id")?;
    let task = app.journal.submit(DeleteTask { id, at: app.now() }).await?;
    stop(&app, &task).await?;
    Ok(Response::deleted())
}

/// `POST /api/tasks/{task_id}/run` -- starts it now; its schedule stays.
pub async fn run_task(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id = req.path("task_id")?;
    if app.is_held() {
        return Err(held());
    }
    let run = RunTask {
        id,
        due: None,
        next_run_at: None,
        execution_id: app.ids.next(),
        message_id: app.ids.next(),
        reply_id: app.ids.next(),
        at: app.now(),
    };
    started(&app, submit(&app, &req, run).await?)
}

/// The task as it was started.
pub(super) fn started(_app: &App, task: Task) -> Result<Response, ApiError> {
    Ok(Response::accepted(&TaskView::from(task)))
}

/// `POST /api/tasks/{task_id}/pause` -- it is not due until it is resumed.
pub async fn pause_task(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id = req.path("task_id")?;
    let task = app.journal.submit(PauseTask { id, at: app.now() }).await?;
    Ok(Response::ok(&TaskView::from(task)))
}

/// `POST /api/tasks/{task_id}/resume` -- it goes on; a countdown that is over meanwhile is due at once.
pub async fn resume_task(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let task = find(&app, req.path("task_id")?)?;
    let now = app.now();
    let next_run_at = match task.kind {
        TaskKind::Scheduled => {
            let kind = task.kind;
            timing(kind, None, task.cron_expr, task.timezone, now)?.next_run_at
        }
        _ => task.scheduled_at.unwrap_or(now).max(now),
    };
    let resume = ResumeTask {
        id: task.id,
        next_run_at,
        at: now,
    };
    let task = app.journal.submit(resume).await?;
    Ok(Response::ok(&TaskView::from(task)))
}

/// `POST /api/tasks/{task_id}/cancel` -- it is not due any more, and what runs of it is stopped.
pub async fn cancel_task(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id = req.path("task_id")?;
    let task = app.journal.submit(CancelTask { id, at: app.now() }).await?;
    stop(&app, &task).await?;
    Ok(Response::ok(&TaskView::from(task)))
}

/// `POST /api/tasks/preview` -- when a cron expression would be due.
pub async fn preview_task(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let body: Previewed = req.json().await?;
    let now = app.now();
    let timezone = body.timezone.as_deref().unwrap_or("UTC");
    let schedule = Schedule::parse(&body.cron_expr, timezone, now)?;
    let next_runs = schedule.times(now, PREVIEWED);
    Ok(Response::ok(&Preview { next_runs }))
}

async fn stop(app: &App, task: &Task) -> Result<(), ApiError> {
    if let Some(execution) = task.last_execution_id {
        app.supervisor.cancel(execution).await?;
    }
    Ok(())
}

fn find(app: &App, id: TaskId) -> Result<Task, ApiError> {
    app.store
        .read(|tx| tasks::get(tx, id))?
        .ok_or_else(|| ApiError::not_found("task"))
}
