//! Tasks: what is to be done later, or again and again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::workers::find;
use super::{
    Access, Authority, Context, Kind, Param, Tool, ToolError, ToolOutput, blocking, chats, parse,
};
use crate::command::conditional::Resource;
use crate::command::{CancelTask, CompleteTask, CreateTask, Timing};
use crate::model::limits::{
    COUNTDOWN_AT_MAX, COUNTDOWN_MS_MIN, INSTRUCTION_BYTES_MAX, TASKS_OF_AGENT_MAX,
};
use crate::model::schedule::Schedule;
use crate::model::text::{free_text, truncated};
use crate::model::{
    ExecutionId, Ids, Invalid, Millis, SessionId, Task, TaskId, TaskKind, TaskStatus, WorkerId,
};
use crate::store::tasks;

/// Tasks that one call lists.
pub const LISTED_MAX: usize = 100;
/// What is shown of an instruction, bytes.
const SHOWN_BYTES_MAX: usize = 200;

const WHICH: Param = Param::optional(
    "task_id",
    Kind::Text,
    "The task; without it the one that is being done now.",
);

/// A task. Data: [`TaskInfo`].
pub const CREATE: Tool = Tool {
    name: "create_task",
    description: "Plans something to be done: at once, after a delay, or again and again by a cron expression. The reply comes to the chat.",
    access: Access::Write,
    params: &[
        Param::required("instruction", Kind::Text, "What the worker is told then."),
        Param::optional(
            "worker",
            Kind::Text,
            "Who does it, by name or id; without it whoever plans it.",
        ),
        Param::optional(
            "session_id",
            Kind::Text,
            "The chat of the replies; without it the one that this is called in.",
        ),
        Param::optional("delay_s", Kind::Number, "Once, after this many seconds."),
        Param::optional(
            "scheduled_at",
            Kind::Number,
            "Once, at this time, Unix milliseconds.",
        ),
        Param::optional(
            "cron_expr",
            Kind::Text,
            "Again and again: minute, hour, day of the month, month, day of the week.",
        ),
        Param::optional(
            "timezone",
            Kind::Text,
            "The IANA time zone of the cron expression; UTC without it.",
        ),
    ],
    call: |cx, args| Box::pin(create(cx, args)),
};

/// The tasks. Data: a list of [`TaskInfo`].
pub const LIST: Tool = Tool {
    name: "list_tasks",
    description: "Lists the planned tasks, newest first; those that are over only where they are asked for. A worker sees its own and its chat's.",
    access: Access::Read,
    params: &[
        Param::optional("worker", Kind::Text, "Only those of this worker."),
        Param::optional(
            "status",
            Kind::Text,
            "Only those in this state: pending, running, completed, failed, cancelled or paused.",
        ),
        Param::optional("limit", Kind::Number, "How many, at most 100."),
    ],
    call: |cx, args| Box::pin(list(cx, args)),
};

/// A task less. Data: [`TaskInfo`].
pub const CANCEL: Tool = Tool {
    name: "cancel_task",
    description: "Cancels a task: it is not due any more, and what runs of it is stopped.",
    access: Access::Write,
    params: &[Param::required("task_id", Kind::Text, "The task.")],
    call: |cx, args| Box::pin(cancel(cx, args)),
};

/// A task that is done. Data: [`TaskInfo`].
pub const COMPLETE: Tool = Tool {
    name: "mark_task_complete",
    description: "Says that a task is done for good, also one that would come due again.",
    access: Access::Write,
    params: &[WHICH],
    call: |cx, args| Box::pin(complete(cx, args)),
};

/// What is said of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Its id.
    pub id: String,
    /// Who does it; `None` is the bee.
    pub worker_id: Option<String>,
    /// The chat of its replies.
    pub session_id: Option<String>,
    /// What its worker is told, the beginning of it.
    pub instruction: String,
    /// `immediate`, `countdown` or `scheduled`.
    pub r#type: TaskKind,
    /// Where it is on its way.
    pub status: TaskStatus,
    /// When a scheduled one is due.
    pub cron_expr: Option<String>,
    /// In which time zone.
    pub timezone: Option<String>,
    /// When it is due next, Unix milliseconds.
    pub next_run_at: Option<Millis>,
    /// Its last execution.
    pub last_execution_id: Option<String>,
}

impl From<Task> for TaskInfo {
    fn from(task: Task) -> Self {
        Self {
            id: task.id.to_string(),
            worker_id: task.worker_id.map(|id| id.to_string()),
            session_id: task.session_id.map(|id| id.to_string()),
            instruction: truncated(&task.instruction, SHOWN_BYTES_MAX).to_owned(),
            r#type: task.kind,
            status: task.status,
            cron_expr: task.cron_expr,
            timezone: task.timezone,
            next_run_at: task.next_run_at,
            last_execution_id: task.last_execution_id.map(|id| id.to_string()),
        }
    }
}

impl TaskInfo {
    fn line(&self) -> String {
        let word = |value| serde_json::to_value(value).unwrap_or_default();
        let status = word(self.status);
        let due = match (&self.cron_expr, self.next_run_at) {
            (Some(cron), _) => format!("at {cron} {}", self.timezone.as_deref().unwrap_or("UTC")),
            (None, Some(at)) => format!("at {at}"),
            (None, None) => "not due".to_owned(),
        };
        format!(
            "{} ({}, {due}): {}",
            self.id,
            status.as_str().unwrap_or_default(),
            self.instruction
        )
    }
}

/// What a worker may be told.
pub fn instruction(text: &str) -> Result<String, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new("instruction", "must not be empty"));
    }
    free_text("instruction", text, INSTRUCTION_BYTES_MAX)
}

/// What is said of when a task is due, worked out.
pub fn timing(
    kind: TaskKind,
    scheduled_at: Option<Millis>,
    cron_expr: Option<String>,
    timezone: Option<String>,
    now: Millis,
) -> Result<Timing, Invalid> {
    let timing = Timing {
        kind,
        scheduled_at: None,
        cron_expr: None,
        timezone: None,
        next_run_at: now,
    };
    match kind {
        TaskKind::Immediate => Ok(timing),
        TaskKind::Countdown => {
            let earliest = now.saturating_add(COUNTDOWN_MS_MIN);
            let at = scheduled_at
                .filter(|at| (earliest..=COUNTDOWN_AT_MAX).contains(at))
                .ok_or_else(|| {
                    let why = "must be a time at least a second ahead and before the year 10000, in Unix milliseconds";
                    Invalid::new("scheduled_at", why)
                })?;
            Ok(Timing {
                scheduled_at: Some(at),
                next_run_at: at,
                ..timing
            })
        }
        TaskKind::Scheduled => {
            let cron_expr = cron_expr.unwrap_or_default();
            let timezone = timezone.unwrap_or_else(|| "UTC".to_owned());
            let next = Schedule::parse(&cron_expr, &timezone, now)?.next(now);
            let next_run_at = next.ok_or_else(|| Invalid::new("cron_expr", "never comes"))?;
            Ok(Timing {
                cron_expr: Some(cron_expr),
                timezone: Some(timezone),
                next_run_at,
                ..timing
            })
        }
    }
}

#[derive(Deserialize)]
struct Create {
    instruction: String,
    worker: Option<String>,
    session_id: Option<String>,
    delay_s: Option<u64>,
    scheduled_at: Option<Millis>,
    cron_expr: Option<String>,
    timezone: Option<String>,
}

async fn create(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let new: Create = parse(args)?;
    let worker_id = match new.worker.as_deref() {
        Some(name) => Some(cx.shared.store.read(|tx| find(tx, name))?.id),
        None => cx.worker_id,
    };
    if cx.authority == Authority::Agent && cx.worker_id.is_some() && worker_id != cx.worker_id {
        return Err(ToolError::Denied(
            "a worker plans its own tasks alone; ask another one with ask_worker".to_owned(),
        ));
    }
    if cx.authority == Authority::Agent
        && cx.shared.store.read(|tx| tasks::count_of(tx, worker_id))? >= TASKS_OF_AGENT_MAX
    {
        return Err(ToolError::Denied(format!(
            "there are {TASKS_OF_AGENT_MAX} tasks of this agent, as many as it may plan; the user can delete those that are over"
        )));
    }
    let session_id = match new.session_id.as_deref() {
        Some(id) => Some(chats::session(cx, Some(id))?),
        None => cx.session_id,
    };
    let now = (cx.shared.clock)();
    let delayed = new
        .delay_s
        .map(|delay| now.saturating_add(delay.saturating_mul(1000)));
    let kind = match (delayed.or(new.scheduled_at), &new.cron_expr) {
        (Some(_), Some(_)) => {
            return Err(ToolError::InvalidArguments(
                "a task is due once (delay_s or scheduled_at) or again and again (cron_expr), not both"
                    .to_owned(),
            ));
        }
        (Some(_), None) => TaskKind::Countdown,
        (None, Some(_)) => TaskKind::Scheduled,
        (None, None) => TaskKind::Immediate,
    };
    let at = delayed.or(new.scheduled_at);
    let timing = timing(kind, at, new.cron_expr, new.timezone, now)?;
    let task = Task {
        id: Ids.next(),
        worker_id,
        session_id,
        message_id: None,
        instruction: instruction(&new.instruction)?,
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
    let task = cx.shared.make(Resource::Tasks, CreateTask { task }).await?;
    Ok(answer("planned", task))
}

fn answer(what: &str, task: Task) -> ToolOutput {
    let info = TaskInfo::from(task);
    ToolOutput::new(format!("{what} {}", info.line()), &info)
}

#[derive(Deserialize)]
struct List {
    worker: Option<String>,
    status: Option<TaskStatus>,
    limit: Option<usize>,
}

async fn list(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let List {
        worker,
        status,
        limit,
    } = parse(args)?;
    let limit = limit.unwrap_or(LISTED_MAX).clamp(1, LISTED_MAX);
    let cx = cx.clone();
    let found = blocking(move || {
        cx.shared.store.read(|tx| {
            let worker = worker.as_deref().map(|name| find(tx, name)).transpose()?;
            let wanted = |task: &Task| {
                let is_of_worker = worker
                    .as_ref()
                    .is_none_or(|worker| task.worker_id == Some(worker.id));
                let is_in_state = status.map_or(!task.status.is_over(), |it| task.status == it);
                let may_tell = cx.may_tell_of(task.worker_id, task.session_id);
                is_of_worker && is_in_state && may_tell
            };
            let mut found: Vec<TaskInfo> = Vec::new();
            let mut after = None;
            loop {
                let page = tasks::list(tx, after, LISTED_MAX)?;
                found.extend(page.rows.into_iter().filter(wanted).map(TaskInfo::from));
                after = page.next;
                if after.is_none() || found.len() >= limit {
                    found.truncate(limit);
                    return Ok::<_, ToolError>(found);
                }
            }
        })
    })
    .await?;
    let mut lines: Vec<String> = found.iter().map(TaskInfo::line).collect();
    if lines.is_empty() {
        lines.push("there are no such tasks".to_owned());
    }
    Ok(ToolOutput::new(lines.join("\n"), &found))
}

#[derive(Deserialize)]
struct Which {
    task_id: Option<String>,
}

/// The task that is meant, if it may be changed: an agent's own, or one of its chat.
fn mine(cx: &Context, wanted: Option<&str>) -> Result<Task, ToolError> {
    let missing = || ToolError::NotFound("there is no such task".to_owned());
    let task = cx.shared.store.read(|tx| {
        let id = match (wanted, cx.execution_id) {
            (Some(id), _) => id.parse::<TaskId>().map_err(|_| missing())?,
            (None, Some(execution)) => tasks::of_execution(tx, execution)?.ok_or_else(|| {
                ToolError::InvalidArguments(
                    "\"task_id\" is missing: what is being done now is no task".to_owned(),
                )
            })?,
            (None, None) => {
                return Err(ToolError::InvalidArguments(
                    "\"task_id\" is missing: which task?".to_owned(),
                ));
            }
        };
        tasks::get(tx, id)?.ok_or_else(missing)
    })?;
    if may_change(cx, task.worker_id, task.session_id) {
        return Ok(task);
    }
    Err(ToolError::Denied(
        "an agent may only change its own tasks".to_owned(),
    ))
}

fn may_change(cx: &Context, worker: Option<WorkerId>, session: Option<SessionId>) -> bool {
    let is_own = worker == cx.worker_id && session.is_none_or(|id| cx.session_id == Some(id));
    // The bee manages what happens in its chat, whoever does it.
    let is_bees = cx.worker_id.is_none() && session.is_some() && session == cx.session_id;
    cx.authority == Authority::Account || is_own || is_bees
}

async fn cancel(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Which { task_id } = parse(args)?;
    let task = mine(cx, task_id.as_deref())?;
    let id = task.id;
    let at = (cx.shared.clock)();
    let task = cx.shared.journal.submit(CancelTask { id, at }).await?;
    let runs: Option<ExecutionId> = task.last_execution_id;
    // Who cancels the task that it is doing ends by itself.
    if let Some(execution) = runs.filter(|&id| cx.execution_id != Some(id)) {
        cx.shared.runner()?.stop(execution);
    }
    Ok(answer("cancelled", task))
}

async fn complete(cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
    let Which { task_id } = parse(args)?;
    let task = mine(cx, task_id.as_deref())?;
    let id = task.id;
    let at = (cx.shared.clock)();
    let task = cx.shared.journal.submit(CompleteTask { id, at }).await?;
    Ok(answer("completed", task))
}
