//! Executions: one run of an engine each, with what it was asked, what came of it and what it took.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::caller::require;
use super::error::held;
use super::page::{self, PageQuery};
use super::submit::submit;
use super::workers::given;
use crate::app::App;
use crate::command::RetryExecution;
use crate::http::{ApiError, ErrorCode, Request, Response};
use crate::model::{
    Execution, ExecutionId, ExecutionStatus, MessageId, Millis, Routing, SessionId, TaskId, Usage,
    WorkerId,
};
use crate::store::executions::{Filter, Order};
use crate::store::{StoreError, Tx, executions, permissions, pruned, sessions, tasks};
use crate::supervisor::Cancelled;

/// An execution: one run of an engine for one message.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Execution")]
pub(super) struct ExecutionView {
    id: ExecutionId,
    /// `null` is the bee.
    worker_id: Option<WorkerId>,
    /// The worker's name when it was queued.
    #[schemars(example = &"Assistant")]
    worker_name: String,
    session_id: Option<SessionId>,
    message_id: Option<MessageId>,
    /// The task that it is a run of.
    task_id: Option<TaskId>,
    /// What the worker was asked; a long text is cut, the message has all of it.
    #[schemars(example = &"Hello, what can you do?")]
    trigger_input: String,
    status: ExecutionStatus,
    /// Whether it runs and waits for the user's permission.
    waiting: bool,
    /// Whether it runs and was told to stop.
    stopping: bool,
    /// The final text; a long one is cut, the reply has all of it.
    result: Option<String>,
    /// Why it failed: a stable word, then a sentence.
    error: Option<String>,
    routing: Routing,
    engine: Option<String>,
    model: Option<String>,
    /// The engine's own id of the conversation.
    engine_session_id: Option<String>,
    /// The process, while it runs.
    pid: Option<u32>,
    /// Its log, relative to the data directory; `null` once it was removed.
    #[schemars(example = &"logs/2026-11/019ac0de-0000-7000-8000-000000000001.log")]
    log_path: Option<String>,
    log_bytes: u64,
    usage: Usage,
    /// The execution it repeats.
    retry_of: Option<ExecutionId>,
    created_at: Millis,
    started_at: Option<Millis>,
    completed_at: Option<Millis>,
}

/// An execution as clients see it; of a running one, also what only the supervisor knows.
pub(super) fn view(
    app: &App,
    tx: &impl Tx,
    execution: Execution,
) -> Result<ExecutionView, StoreError> {
    let id = execution.id;
    let is_log_gone = pruned::log(tx, id)?.is_some();
    let live = app.supervisor.log_length(id);
    let live = live.map(|length| length.borrow().bytes);
    let stored = view_stored(execution);
    Ok(ExecutionView {
        waiting: permissions::is_waiting(tx, id)?,
        stopping: app.supervisor.is_stopping(id),
        task_id: tasks::of_execution(tx, id)?,
        pid: app.supervisor.pid(id),
        log_path: stored.log_path.filter(|_| !is_log_gone),
        log_bytes: live.unwrap_or(stored.log_bytes),
        ..stored
    })
}

fn view_stored(execution: Execution) -> ExecutionView {
    ExecutionView {
        log_path: Some(execution.log_path()),
        id: execution.id,
        worker_id: execution.worker_id,
        worker_name: execution.worker_name,
        session_id: execution.session_id,
        message_id: execution.message_id,
        task_id: None,
        trigger_input: execution.trigger_input,
        status: execution.status,
        waiting: false,
        stopping: false,
        result: execution.result,
        error: execution.error,
        routing: execution.routing,
        engine: given(execution.engine),
        model: given(execution.model),
        engine_session_id: execution.engine_session_id,
        pid: None,
        log_bytes: execution.log_bytes,
        usage: execution.usage,
        retry_of: execution.retry_of,
        created_at: execution.created_at,
        started_at: execution.started_at,
        completed_at: execution.completed_at,
    }
}

/// `GET /api/executions` -- newest first, with filters.
pub async fn list_executions(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let status = req
        .query_text("status")
        .filter(|word| !word.is_empty())
        .map(|word| {
            ExecutionStatus::parse(&word).ok_or_else(|| {
                ApiError::bad_request(
                    "status: must be pending, running, completed, failed or cancelled",
                )
            })
        });
    let filter = Filter {
        status: status.transpose()?,
        worker: req.query::<WorkerId>("worker_id")?,
        session: req.query::<SessionId>("session_id")?,
        since: req.query::<Millis>("since")?,
        until: req.query::<Millis>("until")?,
    };
    list(&app, &req, filter, Order::NewestFirst)
}

/// `GET /api/executions/{execution_id}` -- one execution.
pub async fn get_execution(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let execution = find(&app, req.path("execution_id")?)?;
    Ok(Response::ok(
        &app.store.read(|tx| view(&app, tx, execution))?,
    ))
}

/// `GET /api/workers/{worker_id}/executions` -- newest first.
pub async fn list_worker_executions(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let worker = super::workers::find(&app, req.path("worker_id")?)?;
    list(
        &app,
        &req,
        Filter {
            worker: Some(worker.id),
            ..Filter::default()
        },
        Order::NewestFirst,
    )
}

/// `GET /api/sessions/{session_id}/executions` -- oldest first. Executions stay when their chat is deleted.
pub async fn list_session_executions(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let id: SessionId = req.path("session_id")?;
    let filter = Filter {
        session: Some(id),
        ..Filter::default()
    };
    if app.store.read(|tx| sessions::get(tx, id))?.is_none() {
        let known = app
            .store
            .read(|tx| executions::list(tx, filter, Order::OldestFirst, None, 1))?;
        if known.rows.is_empty() {
            return Err(ApiError::not_found("session"));
        }
    }
    list(&app, &req, filter, Order::OldestFirst)
}

/// `POST /api/executions/{execution_id}/cancel` -- takes it out of the queue, or stops its whole process tree.
pub async fn cancel_execution(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let execution = find(&app, req.path("execution_id")?)?;
    cancel(&app, execution.id).await
}

pub(super) async fn cancel(app: &App, id: ExecutionId) -> Result<Response, ApiError> {
    match app.supervisor.cancel(id).await? {
        Cancelled::Stopping | Cancelled::Done => {
            Ok(Response::accepted(&json!({ "status": "cancelling" })))
        }
        Cancelled::AlreadyFinal => Err(ApiError::conflict("The execution has already ended")),
        Cancelled::Unknown => Err(ApiError::not_found("execution")),
    }
}

/// `POST /api/executions/{execution_id}/retry` -- runs its message again.
pub async fn retry_execution(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let of: ExecutionId = req.path("execution_id")?;
    if app.is_held() {
        return Err(held());
    }
    let retry = RetryExecution {
        of,
        id: app.ids.next(),
        reply_id: app.ids.next(),
        at: app.now(),
    };
    retried(&app, submit(&app, &req, retry).await?)
}

/// The new execution as it was queued.
pub(super) fn retried(_app: &App, execution: Execution) -> Result<Response, ApiError> {
    Ok(Response::accepted(&view_stored(execution)))
}

pub(super) fn find(app: &App, id: ExecutionId) -> Result<Execution, ApiError> {
    let found = app.store.read(|tx| executions::get(tx, id))?;
    found.ok_or_else(|| missing(app, id))
}

/// What was removed is told from what never was by the age in its id, as far as that can be.
fn missing(app: &App, id: ExecutionId) -> ApiError {
    let age = app.config.retention.executions_age;
    let made_at = Millis::try_from(id.as_u128() >> 80).unwrap_or(Millis::MAX);
    match (age.in_words(), age.before(app.now())) {
        (Some(words), Some(end)) if made_at < end => ApiError::new(
            ErrorCode::NotFound,
            format!("There is no such execution (any more): executions are removed after {words}"),
        ),
        _ => ApiError::not_found("execution"),
    }
}

fn list(app: &App, req: &Request, filter: Filter, order: Order) -> Result<Response, ApiError> {
    let query = PageQuery::of(req)?;
    let (rows, next) = app.store.read(|tx| {
        let page = executions::list(tx, filter, order, query.cursor, query.limit)?;
        let rows = page.rows.into_iter().map(|row| view(app, tx, row));
        Ok::<_, StoreError>((rows.collect::<Result<Vec<_>, _>>()?, page.next))
    })?;
    Ok(page::answer(req, &rows, next))
}
