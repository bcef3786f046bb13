//! What an execution asks the user for, and how that is answered: once.

use serde::{Deserialize, Serialize};

use super::execution::{Ending, running, session_of};
use super::{Apply, Change, Refusal, Rejection};
use crate::model::limits::{ALWAYS_ALLOWED_MAX, PERMISSIONS_PER_EXECUTION_MAX};
use crate::model::{
    DecidedBy, EventBody, Execution, ExecutionId, Millis, PermissionAnswer, PermissionDecision,
    PermissionId, PermissionRequest, WorkerId,
};
use crate::store::{executions, permissions, workers};

/// A running execution asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskPermission {
    /// What for.
    pub request: PermissionRequest,
}

impl Change for AskPermission {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let request = &self.request;
        let execution = running(cx, request.execution_id)?;
        let session = session_of(cx, &execution)?.map(|session| session.id);
        if permissions::count(cx.tx, execution.id)? >= PERMISSIONS_PER_EXECUTION_MAX {
            return Err(Refusal::Full("the user was asked too often in this run").into());
        }
        permissions::put(cx.tx, session, request)?;
        let body = EventBody::PermissionRequest(request.id);
        Ok(cx.emit(session, Some(execution.id), request.asked_at, body)?)
    }
}

/// A request is answered. The first answer stays; any other one is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerPermission {
    /// The execution that asked.
    pub execution_id: ExecutionId,
    /// The request.
    pub id: PermissionId,
    /// How, by whom and when.
    pub answer: PermissionAnswer,
}

impl Change for AnswerPermission {
    type Outcome = PermissionRequest;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<PermissionRequest, Rejection> {
        let execution =
            executions::get(cx.tx, self.execution_id)?.ok_or(Refusal::NotFound("execution"))?;
        let request = permissions::get(cx.tx, self.execution_id, self.id)?
            .ok_or(Refusal::NotFound("permission request"))?;
        if request.answer.is_some() {
            return Err(Refusal::WrongState("the permission request was already answered").into());
        }
        if self.answer.decision == PermissionDecision::AllowAlways {
            remember(cx, &execution, &request.tool, self.answer.at)?;
        }
        resolve(cx, &execution, request, self.answer)
    }
}

/// A worker that was deleted since has nothing left to remember.
fn remember(
    cx: &mut Apply<'_>,
    execution: &Execution,
    tool: &str,
    at: Millis,
) -> Result<(), Rejection> {
    let worker = execution.worker_id;
    if let Some(id) = worker
        && workers::get(cx.tx, id)?.is_none()
    {
        return Ok(());
    }
    if permissions::always_allowed(cx.tx, worker)?.len() >= ALWAYS_ALLOWED_MAX {
        return Err(Refusal::WrongState(
            "as many tools are always allowed as may be; allow it once, or forget one first",
        )
        .into());
    }
    permissions::allow_always(cx.tx, worker, tool, at)?;
    if let Some(id) = worker {
        cx.emit(None, None, at, EventBody::Worker(id))?;
    }
    Ok(())
}

/// A worker (`None` is the bee) has to ask about a tool again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForgetPermission {
    /// The worker.
    pub worker_id: Option<WorkerId>,
    /// The tool.
    pub tool: String,
    /// When.
    pub at: Millis,
}

impl Change for ForgetPermission {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        if !permissions::forget(cx.tx, self.worker_id, &self.tool)? {
            return Err(Refusal::NotFound("permission").into());
        }
        if let Some(id) = self.worker_id {
            cx.emit(None, None, self.at, EventBody::Worker(id))?;
        }
        Ok(())
    }
}

/// Nobody can answer what an execution asked once it is over.
pub(super) fn execution_ended(
    cx: &mut Apply<'_>,
    execution: &Execution,
    ending: Ending,
    at: Millis,
) -> Result<(), Rejection> {
    let by = match ending {
        Ending::Cancelled => DecidedBy::Cancelled,
        Ending::Interrupted => DecidedBy::Interrupted,
        Ending::Completed | Ending::Failed => DecidedBy::Ended,
    };
    let decision = PermissionDecision::Deny;
    for id in permissions::waiting(cx.tx, execution.id)? {
        if let Some(request) = permissions::get(cx.tx, execution.id, id)? {
            resolve(
                cx,
                execution,
                request,
                PermissionAnswer { decision, by, at },
            )?;
        }
    }
    Ok(())
}

fn resolve(
    cx: &mut Apply<'_>,
    execution: &Execution,
    request: PermissionRequest,
    answer: PermissionAnswer,
) -> Result<PermissionRequest, Rejection> {
    let session = session_of(cx, execution)?.map(|session| session.id);
    let resolved = PermissionRequest {
        answer: Some(answer),
        ..request
    };
    permissions::put(cx.tx, session, &resolved)?;
    let body = EventBody::PermissionResolved(resolved.id);
    cx.emit(session, Some(execution.id), answer.at, body)?;
    Ok(resolved)
}
