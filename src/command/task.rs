//! Changes of tasks. When a task is due next is worked out before, since it needs a time zone; here it is only compared.

use serde::{Deserialize, Serialize};

use super::{Apply, AskWorker, Change, PostMessage, Refusal, Rejection};
use crate::model::limits::TASKS_MAX;
use crate::model::{
    EventBody, Execution, ExecutionId, ExecutionStatus, MessageId, Millis, Routing, SessionId,
    Task, TaskId, TaskKind, TaskStatus, WorkerId,
};
use crate::store::{StoreError, executions, sessions, tasks, workers};

fn get(cx: &Apply<'_>, id: TaskId) -> Result<Task, Rejection> {
    Ok(tasks::get(cx.tx, id)?.ok_or(Refusal::NotFound("task"))?)
}

fn write(cx: &mut Apply<'_>, before: &Task, after: &Task, at: Millis) -> Result<(), StoreError> {
    tasks::update(cx.tx, before, after)?;
    cx.emit(None, None, at, EventBody::Task(after.id))
}

/// Brings a task to another part of its way.
fn go_to(
    cx: &mut Apply<'_>,
    before: &Task,
    status: TaskStatus,
    next_run_at: Option<Millis>,
    at: Millis,
) -> Result<Task, Rejection> {
    let after = Task {
        status,
        next_run_at,
        updated_at: at.max(before.updated_at),
        ..before.clone()
    };
    write(cx, before, &after, at)?;
    Ok(after)
}

/// Ends a task, also one that would come due again.
fn end(cx: &mut Apply<'_>, id: TaskId, status: TaskStatus, at: Millis) -> Result<Task, Rejection> {
    let before = get(cx, id)?;
    if before.status.is_over() {
        return Err(Refusal::WrongState("the task is over already").into());
    }
    go_to(cx, &before, status, None, at)
}

fn check_place(
    cx: &Apply<'_>,
    worker: Option<WorkerId>,
    session: Option<SessionId>,
) -> Result<(), Rejection> {
    if let Some(id) = worker {
        workers::get(cx.tx, id)?.ok_or(Refusal::NamesNothing {
            field: "worker_id",
            noun: "worker",
        })?;
    }
    if let Some(id) = session {
        sessions::get(cx.tx, id)?.ok_or(Refusal::NamesNothing {
            field: "session_id",
            noun: "session",
        })?;
    }
    Ok(())
}

/// A new task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateTask {
    /// The task, pending.
    pub task: Task,
}

impl Change for CreateTask {
    type Outcome = Task;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Task, Rejection> {
        let task = &self.task;
        check_place(cx, task.worker_id, task.session_id)?;
        if tasks::count(cx.tx)? >= TASKS_MAX {
            return Err(Refusal::WrongState(
                "there are as many tasks as there may be; delete one first",
            )
            .into());
        }
        tasks::insert(cx.tx, task)?;
        cx.emit(None, None, task.created_at, EventBody::Task(task.id))?;
        Ok(task.clone())
    }
}

/// What changes of a task; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskPatch {
    /// Who does it; `Some(None)` is the bee.
    pub worker_id: Option<Option<WorkerId>>,
    /// The chat of its replies.
    pub session_id: Option<Option<SessionId>>,
    /// What its worker is told.
    pub instruction: Option<String>,
    /// When it is due.
    pub timing: Option<Timing>,
}

/// When a task is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// In which way.
    pub kind: TaskKind,
    /// When a countdown is over.
    pub scheduled_at: Option<Millis>,
    /// When a scheduled one is due.
    pub cron_expr: Option<String>,
    /// In which time zone.
    pub timezone: Option<String>,
    /// When it is due next.
    pub next_run_at: Millis,
}

/// Changes a task. One that was over and gets another time waits for it; a paused one stays paused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateTask {
    /// The task.
    pub id: TaskId,
    /// What changes.
    pub patch: TaskPatch,
    /// When.
    pub at: Millis,
}

impl Change for UpdateTask {
    type Outcome = Task;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Task, Rejection> {
        let before = get(cx, self.id)?;
        let patch = self.patch.clone();
        check_place(cx, patch.worker_id.flatten(), patch.session_id.flatten())?;
        let mut after = Task {
            worker_id: patch.worker_id.unwrap_or(before.worker_id),
            session_id: patch.session_id.unwrap_or(before.session_id),
            instruction: patch
                .instruction
                .unwrap_or_else(|| before.instruction.clone()),
            updated_at: self.at.max(before.updated_at),
            ..before.clone()
        };
        if let Some(timing) = patch.timing {
            after.kind = timing.kind;
            after.scheduled_at = timing.scheduled_at;
            after.cron_expr = timing.cron_expr;
            after.timezone = timing.timezone;
            after.next_run_at = (after.status != TaskStatus::Paused).then_some(timing.next_run_at);
            if after.status.is_over() {
                after.status = TaskStatus::Pending;
            }
        }
        write(cx, &before, &after, self.at)?;
        Ok(after)
    }
}

/// Starts a task: because it is due, which is claimed by this once, or because somebody wants it now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunTask {
    /// The task.
    pub id: TaskId,
    /// The time that it was due; `None` is by hand, which leaves the schedule as it is.
    pub due: Option<Millis>,
    /// When it is due next.
    pub next_run_at: Option<Millis>,
    /// The execution's id.
    pub execution_id: ExecutionId,
    /// The id of the message in its chat.
    pub message_id: MessageId,
    /// The id that the reply will have.
    pub reply_id: MessageId,
    /// When.
    pub at: Millis,
}

impl Change for RunTask {
    type Outcome = Task;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Task, Rejection> {
        let before = get(cx, self.id)?;
        let next_run_at = match self.due {
            Some(_) if before.next_run_at != self.due => {
                return Err(Refusal::WrongState("the task is not due then").into());
            }
            Some(_) => self.next_run_at,
            None if before.kind == TaskKind::Scheduled => before.next_run_at,
            None => None,
        };
        let mut after = Task {
            next_run_at,
            updated_at: self.at.max(before.updated_at),
            ..before.clone()
        };
        if before.status == TaskStatus::Running {
            if self.due.is_none() {
                return Err(Refusal::WrongState("the task is running already").into());
            }
            // A task runs once at a time: what comes due meanwhile is passed over.
            write(cx, &before, &after, self.at)?;
            return Ok(after);
        }
        if before.status == TaskStatus::Cancelled {
            return Err(Refusal::WrongState("the task was cancelled").into());
        }
        let session = match before.session_id {
            Some(id) => sessions::get(cx.tx, id)?,
            None => None,
        };
        after.message_id = session.is_some().then_some(self.message_id);
        match session {
            Some(session) => {
                PostMessage {
                    id: self.message_id,
                    session_id: session.id,
                    content: before.instruction.clone(),
                    media: Vec::new(),
                    replaces: None,
                    execution_id: self.execution_id,
                    reply_id: self.reply_id,
                    worker_id: before.worker_id,
                    routing: Routing::Asked,
                    at: self.at,
                }
                .apply(cx)?;
            }
            None => AskWorker {
                execution_id: self.execution_id,
                reply_id: self.reply_id,
                worker_id: before.worker_id,
                question: before.instruction.clone(),
                routing: Routing::Asked,
                at: self.at,
            }
            .apply(cx)
            .map(drop)?,
        }
        tasks::set_of_execution(cx.tx, self.execution_id, self.id)?;
        after.status = TaskStatus::Running;
        after.last_execution_id = Some(self.execution_id);
        write(cx, &before, &after, self.at)?;
        Ok(after)
    }
}

/// A task is not due until it goes on; what runs of it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PauseTask {
    /// The task.
    pub id: TaskId,
    /// When.
    pub at: Millis,
}

impl Change for PauseTask {
    type Outcome = Task;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Task, Rejection> {
        let before = get(cx, self.id)?;
        if before.status == TaskStatus::Paused || before.next_run_at.is_none() {
            return Err(Refusal::WrongState("the task does not wait for a time").into());
        }
        go_to(cx, &before, TaskStatus::Paused, None, self.at)
    }
}

/// A paused task goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResumeTask {
    /// The task.
    pub id: TaskId,
    /// When it is due next.
    pub next_run_at: Millis,
    /// When.
    pub at: Millis,
}

impl Change for ResumeTask {
    type Outcome = Task;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Task, Rejection> {
        let before = get(cx, self.id)?;
        if before.status != TaskStatus::Paused {
            return Err(Refusal::WrongState("the task is not paused").into());
        }
        let status = if unfinished(cx, &before)? {
            TaskStatus::Running
        } else {
            TaskStatus::Pending
        };
        go_to(cx, &before, status, Some(self.next_run_at), self.at)
    }
}

fn unfinished(cx: &Apply<'_>, task: &Task) -> Result<bool, StoreError> {
    let last = match task.last_execution_id {
        Some(id) => executions::get(cx.tx, id)?,
        None => None,
    };
    Ok(last.is_some_and(|execution| !execution.status.is_final()))
}

/// A task is not wanted any more. What runs of it is stopped by whoever asks for this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelTask {
    /// The task.
    pub id: TaskId,
    /// When.
    pub at: Millis,
}

impl Change for CancelTask {
    type Outcome = Task;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Task, Rejection> {
        end(cx, self.id, TaskStatus::Cancelled, self.at)
    }
}

/// Its worker says that a task is done, also one that would come due again. What runs of it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompleteTask {
    /// The task.
    pub id: TaskId,
    /// When.
    pub at: Millis,
}

impl Change for CompleteTask {
    type Outcome = Task;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Task, Rejection> {
        end(cx, self.id, TaskStatus::Completed, self.at)
    }
}

/// Removes a task; its executions stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteTask {
    /// The task.
    pub id: TaskId,
    /// When.
    pub at: Millis,
}

impl Change for DeleteTask {
    type Outcome = Task;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Task, Rejection> {
        let task = get(cx, self.id)?;
        tasks::delete(cx.tx, &task)?;
        cx.emit(None, None, self.at, EventBody::Task(self.id))?;
        Ok(task)
    }
}

/// The end of an execution is its task's: one that is due again waits for that, the others are over.
pub(super) fn execution_ended(
    cx: &mut Apply<'_>,
    execution: &Execution,
    at: Millis,
) -> Result<(), StoreError> {
    let Some(id) = tasks::of_execution(cx.tx, execution.id)? else {
        return Ok(());
    };
    let Some(before) = tasks::get(cx.tx, id)? else {
        return Ok(());
    };
    if before.status != TaskStatus::Running || before.last_execution_id != Some(execution.id) {
        return Ok(());
    }
    let status = match (before.next_run_at, before.kind, execution.status) {
        (Some(_), ..) => TaskStatus::Pending,
        (None, TaskKind::Scheduled, _) => TaskStatus::Paused,
        (None, _, ExecutionStatus::Completed) => TaskStatus::Completed,
        (None, _, ExecutionStatus::Cancelled) => TaskStatus::Cancelled,
        (None, ..) => TaskStatus::Failed,
    };
    let after = Task {
        status,
        updated_at: at.max(before.updated_at),
        ..before.clone()
    };
    write(cx, &before, &after, at)
}

/// The tasks of a worker that is being deleted go with it.
pub(super) fn delete_of_worker(
    cx: &mut Apply<'_>,
    worker: WorkerId,
    at: Millis,
) -> Result<(), StoreError> {
    for task in tasks::of_worker(cx.tx, worker)? {
        tasks::delete(cx.tx, &task)?;
        cx.emit(None, None, at, EventBody::Task(task.id))?;
    }
    Ok(())
}

/// The tasks of a chat that is being deleted go on without one.
pub(super) fn leave_session(
    cx: &mut Apply<'_>,
    session: SessionId,
    at: Millis,
) -> Result<(), StoreError> {
    for before in tasks::of_session(cx.tx, session)? {
        let after = Task {
            session_id: None,
            message_id: None,
            ..before.clone()
        };
        write(cx, &before, &after, at)?;
    }
    Ok(())
}
