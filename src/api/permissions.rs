//! Permission requests: what an execution asks the user for, and the answer.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::caller::require;
use super::executions;
use super::submit::submit;
use crate::app::App;
use crate::command::{AnswerPermission, ForgetPermission};
use crate::http::{ApiError, Request, Response};
use crate::journal::SubmitError;
use crate::model::{
    DecidedBy, Effect, ExecutionId, Millis, PermissionAnswer, PermissionDecision, PermissionId,
    PermissionRequest, WorkerId,
};
use crate::store::permissions;

/// What an execution asks for.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Asked {
    pub request_id: PermissionId,
    /// The engine's id of the call that it is about, where there is one.
    pub call_id: Option<String>,
    /// The tool, by the engine's name of it.
    pub tool: String,
    /// What it does to the world.
    pub effect: Effect,
    /// What it would be called with: JSON, or text where it is too long to be shown whole.
    pub args: Value,
    /// What it would change, as a unified diff, where that is known before.
    pub diff: Option<String>,
    /// The answers that can be given.
    pub options: Vec<PermissionDecision>,
    pub asked_at: Millis,
    /// When it is denied if nobody answers.
    pub expires_at: Millis,
}

/// How that was answered.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Resolved {
    pub request_id: PermissionId,
    /// The tool, by the engine's name of it.
    pub tool: String,
    pub decision: PermissionDecision,
    /// By whom or what; everybody but the user only denies.
    pub by: DecidedBy,
    pub at: Millis,
}

impl Asked {
    pub(super) fn of(request: PermissionRequest) -> Self {
        Self {
            request_id: request.id,
            call_id: request.call_id,
            tool: request.tool,
            effect: request.effect,
            args: serde_json::from_str(&request.args).unwrap_or(Value::String(request.args)),
            diff: request.diff,
            options: request.options,
            asked_at: request.asked_at,
            expires_at: request.expires_at,
        }
    }
}

impl Resolved {
    /// `None` as long as nobody has answered.
    pub(super) fn of(request: PermissionRequest) -> Option<Self> {
        let answer = request.answer?;
        Some(Self {
            request_id: request.id,
            tool: request.tool,
            decision: answer.decision,
            by: answer.by,
            at: answer.at,
        })
    }
}

/// A permission request.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PermissionRequest")]
pub(super) struct PermissionView {
    execution_id: ExecutionId,
    #[serde(flatten)]
    asked: Asked,
    /// What was decided; `null` while it waits.
    decision: Option<PermissionDecision>,
    /// By whom or what.
    by: Option<DecidedBy>,
    decided_at: Option<Millis>,
}

fn view(request: PermissionRequest) -> PermissionView {
    let answer = request.answer;
    PermissionView {
        execution_id: request.execution_id,
        decision: answer.map(|answer| answer.decision),
        by: answer.map(|answer| answer.by),
        decided_at: answer.map(|answer| answer.at),
        asked: Asked::of(request),
    }
}

/// `GET /api/executions/{execution_id}/permissions` -- what it asked for, oldest first.
pub async fn list_permissions(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let execution = executions::find(&app, req.path("execution_id")?)?;
    let requests = app
        .store
        .read(|tx| permissions::list(tx, execution.id))?
        .into_iter();
    Ok(Response::ok(&requests.map(view).collect::<Vec<_>>()))
}

/// An answer.
#[derive(Deserialize, JsonSchema)]
pub(super) struct PermissionAnswerBody {
    /// One of the request's options.
    decision: PermissionDecision,
}

/// `POST /api/executions/{execution_id}/permissions/{request_id}` -- answers it, once.
///
/// `allow` is for this call, `allow_always` also for every later call of this tool by this worker, and for those that
/// wait.
pub async fn answer_permission(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let execution = executions::find(&app, req.path("execution_id")?)?;
    let id: PermissionId = req.path("request_id")?;
    let body: PermissionAnswerBody = req.json().await?;
    let request = app
        .store
        .read(|tx| permissions::get(tx, execution.id, id))?
        .ok_or_else(|| ApiError::not_found("permission request"))?;
    if !request.options.contains(&body.decision) {
        let message = "is not among the request's options".to_owned();
        return Err(ApiError::validation([("decision", message)]));
    }
    let answer = PermissionAnswer {
        decision: body.decision,
        by: DecidedBy::User,
        at: app.now(),
    };
    let command = AnswerPermission {
        execution_id: execution.id,
        id,
        answer,
    };
    let resolved = submit(&app, &req, command).await?;
    if body.decision == PermissionDecision::AllowAlways {
        answer_the_others(&app, execution.worker_id, &request.tool, answer).await?;
    }
    answered(&app, resolved)
}

/// What else of this tool waits needs no answer any more; one that somebody answered meanwhile keeps its own.
async fn answer_the_others(
    app: &App,
    worker: Option<WorkerId>,
    tool: &str,
    answer: PermissionAnswer,
) -> Result<(), ApiError> {
    let others = app
        .store
        .read(|tx| permissions::waiting_for(tx, worker, tool))?;
    let others = others
        .into_iter()
        .filter(|other| other.options.contains(&answer.decision));
    for other in others {
        let command = AnswerPermission {
            execution_id: other.execution_id,
            id: other.id,
            answer,
        };
        match app.journal.submit(command).await {
            Ok(_) | Err(SubmitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The request with its answer.
pub(super) fn answered(_app: &App, request: PermissionRequest) -> Result<Response, ApiError> {
    Ok(Response::ok(&view(request)))
}

/// `DELETE /api/workers/{worker_id}/permissions/{tool}` -- the worker asks about this tool again.
pub async fn forget_worker_permission(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let worker = super::workers::find(&app, req.path("worker_id")?)?;
    forget(&app, &req, Some(worker.id)).await
}

/// `DELETE /api/bee/permissions/{tool}` -- the bee asks about this tool again.
pub async fn forget_bee_permission(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    forget(&app, &req, None).await
}

async fn forget(
    app: &App,
    req: &Request,
    worker_id: Option<WorkerId>,
) -> Result<Response, ApiError> {
    let forget = ForgetPermission {
        worker_id,
        tool: req.path("tool")?,
        at: app.now(),
    };
    submit(app, req, forget).await?;
    Ok(Response::deleted())
}
