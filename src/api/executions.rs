//! Executions.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::caller::require;
use super::error::held;
use super::page::{self, PageQuery};
use super::workers::given;
use crate::app::App;
use crate::command::RetryExecution;
use crate::http::{ApiError, Request, Response};
use crate::model::{
    Execution, ExecutionId, ExecutionStatus, Millis, Routing, SessionId, Usage, WorkerId,
};
use crate::store::executions::{Filter, Order};
use crate::store::{executions, sessions};
use crate::supervisor::Cancelled;

#[derive(Serialize)]
pub(super) struct ExecutionView {
    id: String,
    worker_id: Option<String>,
    worker_name: String,
    session_id: Option<String>,
    message_id: Option<String>,
    task_id: Option<String>,
    trigger_input: String,
    status: ExecutionStatus,
    result: Option<String>,
    error: Option<String>,
    routing: Routing,
    engine: Option<String>,
    model: Option<String>,
    engine_session_id: Option<String>,
    pid: Option<u32>,
    log_path: String,
    log_bytes: u64,
    usage: Usage,
    retry_of: Option<String>,
    created_at: Millis,
    started_at: Option<Millis>,
    completed_at: Option<Millis>,
}

/// An execution as clients see it; of a running one, also what only the supervisor knows.
pub(super) fn view(app: &App, execution: Execution) -> ExecutionView {
    let text = |id: &dyn ToString| id.to_string();
    let live = app
        .supervisor
        .log_length(execution.id)
        .map(|length| length.borrow().bytes);
    ExecutionView {
        log_path: execution.log_path(),
        id: execution.id.to_string(),
        worker_id: execution.worker_id.map(|id| text(&id)),
        worker_name: execution.worker_name,
        session_id: execution.session_id.map(|id| text(&id)),
        message_id: execution.message_id.map(|id| text(&id)),
        task_id: None,
        trigger_input: execution.trigger_input,
        status: execution.status,
        result: execution.result,
        error: execution.error,
        routing: execution.routing,
        engine: given(execution.engine),
        model: given(execution.model),
        engine_session_id: execution.engine_session_id,
        pid: app.supervisor.pid(execution.id),
        log_bytes: live.unwrap_or(execution.log_bytes),
        usage: execution.usage,
        retry_of: execution.retry_of.map(|id| text(&id)),
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

/// `GET /api/executions/{execution_id}`.
pub async fn get_execution(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let execution = find(&app, req.path("execution_id")?)?;
    Ok(Response::ok(&view(&app, execution)))
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
    match app.supervisor.cancel(execution.id).await? {
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
    let execution = app.journal.submit(retry).await?;
    Ok(Response::accepted(&view(&app, execution)))
}

pub(super) fn find(app: &App, id: ExecutionId) -> Result<Execution, ApiError> {
    let found = app.store.read(|tx| executions::get(tx, id))?;
    found.ok_or_else(|| ApiError::not_found("execution"))
}

fn list(app: &App, req: &Request, filter: Filter, order: Order) -> Result<Response, ApiError> {
    let query = PageQuery::of(req)?;
    let page = app
        .store
        .read(|tx| executions::list(tx, filter, order, query.cursor, query.limit))?;
    let rows: Vec<ExecutionView> = page.rows.into_iter().map(|row| view(app, row)).collect();
    Ok(page::answer(req, &rows, page.next))
}
