//! The steps of an execution. After it was queued, only the supervisor changes it.

use serde::{Deserialize, Serialize};

use super::message::{QUEUE_MAX, agent, enqueue};
use super::permission;
use super::task::execution_ended;
use super::{Apply, Change, Refusal, Rejection};
use crate::model::limits::{REPLY_BYTES_MAX, RESULT_BYTES_MAX};
use crate::model::text::truncated;
use crate::model::{
    EventBody, Execution, ExecutionId, ExecutionStatus, Message, MessageId, MessageStatus, Millis,
    Role, Session, Usage,
};
use crate::store::contexts::{self, Context};
use crate::store::{StoreError, executions, messages, sessions, usage};

fn get(cx: &Apply<'_>, id: ExecutionId) -> Result<Execution, Rejection> {
    Ok(executions::get(cx.tx, id)?.ok_or(Refusal::NotFound("execution"))?)
}

/// From the queue to an engine. It is on disk before the engine's process exists, so a crash cannot run it twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartExecution {
    /// The execution.
    pub id: ExecutionId,
    /// The engine that will run.
    pub engine: String,
    /// When.
    pub at: Millis,
}

impl Change for StartExecution {
    type Outcome = Execution;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Execution, Rejection> {
        let before = get(cx, self.id)?;
        if before.status != ExecutionStatus::Pending {
            return Err(Refusal::WrongState("the execution does not wait any more").into());
        }
        let busy = before.worker_id.is_some() && executions::is_running(cx.tx, before.worker_id)?;
        if busy || session_is_running(cx, &before)? {
            return Err(Refusal::WrongState("its worker or its chat is busy").into());
        }
        let after = Execution {
            status: ExecutionStatus::Running,
            engine: self.engine.clone(),
            started_at: Some(self.at),
            ..before.clone()
        };
        change(cx, &before, &after, self.at)?;
        Ok(after)
    }
}

fn session_is_running(cx: &Apply<'_>, execution: &Execution) -> Result<bool, StoreError> {
    let Some(session) = execution.session_id else {
        return Ok(false);
    };
    let running = executions::list_running(cx.tx)?;
    Ok(running
        .iter()
        .any(|other| other.session_id == Some(session)))
}

/// Something a running execution's engine said that streams show again after a reconnect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordEvent {
    /// The execution.
    pub id: ExecutionId,
    /// What it said.
    pub body: EventBody,
    /// When.
    pub at: Millis,
}

impl Change for RecordEvent {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let execution = running(cx, self.id)?;
        let session = session_of(cx, &execution)?;
        Ok(cx.emit(
            session.map(|session| session.id),
            Some(self.id),
            self.at,
            self.body.clone(),
        )?)
    }
}

/// The engine told its own session id: kept at once, so that a crash does not lose the thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordContext {
    /// The execution.
    pub id: ExecutionId,
    /// The engine's own id.
    pub engine_session_id: String,
    /// The model, where the engine says it.
    pub model: Option<String>,
}

impl Change for RecordContext {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let before = running(cx, self.id)?;
        let after = Execution {
            engine_session_id: Some(self.engine_session_id.clone()),
            model: self.model.clone().unwrap_or_else(|| before.model.clone()),
            ..before.clone()
        };
        executions::update(cx.tx, &before, &after)?;
        if let Some(session) = session_of(cx, &after)?
            && session.context_generation == after.context_generation
        {
            let context = Context {
                engine: after.engine.clone(),
                engine_session_id: self.engine_session_id.clone(),
            };
            contexts::put(cx.tx, session.id, after.worker_id, &context)?;
        }
        Ok(())
    }
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Well.
    Completed,
    /// Badly; the error says why.
    Failed,
    /// The user stopped it.
    Cancelled,
    /// The server died while it ran.
    Interrupted,
}

impl Ending {
    fn status(self) -> ExecutionStatus {
        match self {
            Self::Completed => ExecutionStatus::Completed,
            Self::Failed | Self::Interrupted => ExecutionStatus::Failed,
            Self::Cancelled => ExecutionStatus::Cancelled,
        }
    }

    fn message_status(self) -> MessageStatus {
        match self {
            Self::Completed => MessageStatus::Completed,
            Self::Failed => MessageStatus::Failed,
            Self::Cancelled => MessageStatus::Cancelled,
            Self::Interrupted => MessageStatus::Interrupted,
        }
    }
}

/// The end of a running execution, with its reply: one step to a reader. Its log is sealed before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishExecution {
    /// The execution.
    pub id: ExecutionId,
    /// How it ended.
    pub ending: Ending,
    /// The reply; what there was of it when it did not end well.
    pub text: String,
    /// Why it did not end well.
    pub error: Option<String>,
    /// Tokens and cost.
    pub usage: Usage,
    /// Bytes of the sealed log.
    pub log_bytes: u64,
    /// When.
    pub at: Millis,
}

impl Change for FinishExecution {
    type Outcome = Execution;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Execution, Rejection> {
        let before = running(cx, self.id)?;
        finish(cx, before, self)
    }
}

/// The end of an execution that still waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelPending {
    /// The execution.
    pub id: ExecutionId,
    /// When.
    pub at: Millis,
}

impl Change for CancelPending {
    type Outcome = Execution;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Execution, Rejection> {
        let execution = get(cx, self.id)?;
        if execution.status != ExecutionStatus::Pending {
            return Err(Refusal::WrongState("the execution does not wait any more").into());
        }
        cancel(cx, execution, self.at)
    }
}

/// Runs a final execution's message again, as a new execution; the old reply is hidden.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryExecution {
    /// The final execution.
    pub of: ExecutionId,
    /// The new one's id.
    pub id: ExecutionId,
    /// The id of its reply.
    pub reply_id: MessageId,
    /// When.
    pub at: Millis,
}

impl Change for RetryExecution {
    type Outcome = Execution;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Execution, Rejection> {
        let old = get(cx, self.of)?;
        if !old.status.is_final() {
            return Err(Refusal::WrongState("the execution has not ended yet").into());
        }
        let session = session_of(cx, &old)?.ok_or(Refusal::NotFound("session"))?;
        let reply = messages::find_by_id(cx.tx, old.reply_id)?;
        if reply.as_ref().is_some_and(|reply| reply.hidden) {
            return Err(Refusal::WrongState(
                "the answer was replaced already: it was tried again, or its message was edited",
            )
            .into());
        }
        let (worker_name, engine, model) = agent(cx, old.worker_id)?;
        if executions::queue_length(cx.tx)? >= QUEUE_MAX {
            return Err(
                Refusal::Full("too many messages wait for their answer; try again later").into(),
            );
        }
        if let Some(reply) = reply {
            messages::put(
                cx.tx,
                &Message {
                    hidden: true,
                    ..reply
                },
            )?;
        }
        let execution = Execution {
            id: self.id,
            reply_id: self.reply_id,
            worker_name,
            engine,
            model,
            status: ExecutionStatus::Pending,
            result: None,
            error: None,
            engine_session_id: None,
            context_generation: session.context_generation,
            log_bytes: 0,
            usage: Usage::default(),
            retry_of: Some(old.id),
            created_at: self.at,
            started_at: None,
            completed_at: None,
            ..old
        };
        cx.emit(Some(session.id), None, self.at, EventBody::Session)?;
        enqueue(cx, &execution)?;
        Ok(execution)
    }
}

pub(super) fn running(cx: &Apply<'_>, id: ExecutionId) -> Result<Execution, Rejection> {
    let execution = get(cx, id)?;
    if execution.status == ExecutionStatus::Running {
        Ok(execution)
    } else {
        Err(Refusal::WrongState("the execution is not running").into())
    }
}

/// The chat of an execution, unless it was deleted.
pub(super) fn session_of(
    cx: &Apply<'_>,
    execution: &Execution,
) -> Result<Option<Session>, StoreError> {
    execution
        .session_id
        .map_or(Ok(None), |id| sessions::get(cx.tx, id))
}

/// Ends a waiting execution because somebody does not want it any more.
pub(super) fn cancel(
    cx: &mut Apply<'_>,
    execution: Execution,
    at: Millis,
) -> Result<Execution, Rejection> {
    let end = FinishExecution {
        id: execution.id,
        ending: Ending::Cancelled,
        text: String::new(),
        error: None,
        usage: Usage::default(),
        log_bytes: 0,
        at,
    };
    finish(cx, execution, &end)
}

fn finish(
    cx: &mut Apply<'_>,
    before: Execution,
    end: &FinishExecution,
) -> Result<Execution, Rejection> {
    permission::execution_ended(cx, &before, end.ending, end.at)?;
    let text = truncated(&end.text, REPLY_BYTES_MAX);
    let after = Execution {
        status: end.ending.status(),
        result: (end.ending == Ending::Completed)
            .then(|| truncated(text, RESULT_BYTES_MAX).to_owned()),
        error: end.error.clone(),
        usage: end.usage,
        log_bytes: end.log_bytes,
        completed_at: Some(end.at),
        ..before.clone()
    };
    if let Some(session) = session_of(cx, &before)? {
        let reply = Message {
            id: before.reply_id,
            session_id: session.id,
            seq: session.next_seq,
            role: Role::Bee,
            content: text.to_owned(),
            worker_id: before.worker_id,
            author: before.worker_name.clone(),
            execution_id: Some(before.id),
            media: Vec::new(),
            status: end.ending.message_status(),
            error: end.error.clone(),
            hidden: false,
            created_at: end.at,
        };
        messages::put(cx.tx, &reply)?;
        let session_after = Session {
            next_seq: session.next_seq + 1,
            unread: session.unread.saturating_add(1),
            last_agent: Some(before.worker_id),
            updated_at: end.at.max(session.updated_at),
            ..session.clone()
        };
        sessions::update(cx.tx, &session, &session_after)?;
        cx.emit(
            Some(session.id),
            Some(before.id),
            end.at,
            EventBody::Reply { seq: reply.seq },
        )?;
    }
    change(cx, &before, &after, end.at)?;
    execution_ended(cx, &after, end.at)?;
    usage::add(cx.tx, &after)?;
    Ok(after)
}

/// Writes the new state and says so.
fn change(
    cx: &mut Apply<'_>,
    before: &Execution,
    after: &Execution,
    at: Millis,
) -> Result<(), Rejection> {
    debug_assert!(
        before.status.may_become(after.status),
        "{:?} -> {:?}",
        before.status,
        after.status
    );
    executions::update(cx.tx, before, after)?;
    let session_id = session_of(cx, after)?.map(|session| session.id);
    let status = EventBody::Status {
        status: after.status,
        queue_position: 0,
        worker_id: after.worker_id,
    };
    Ok(cx.emit(session_id, Some(after.id), at, status)?)
}
