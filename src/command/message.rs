//! The user says something in a chat.

use serde::{Deserialize, Serialize};

use super::{Apply, Change, Refusal, Rejection};
use crate::model::limits::TRIGGER_BYTES_MAX;
use crate::model::text::truncated;
use crate::model::{
    EventBody, Execution, ExecutionId, ExecutionStatus, Media, Message, MessageId, MessageStatus,
    Millis, Role, Routing, Session, SessionId, Usage, WorkerId,
};
use crate::store::executions::{Filter, Order};
use crate::store::{executions, messages, sessions, workers};

/// How many executions may wait in all.
pub const QUEUE_MAX: u64 = 10_000;

/// A message and the execution that answers it, in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostMessage {
    /// The message's id.
    pub id: MessageId,
    /// The chat.
    pub session_id: SessionId,
    /// The text.
    pub content: String,
    /// What was attached.
    pub media: Vec<Media>,
    /// The message that this one is an edit of: it and what followed it are hidden.
    pub replaces: Option<MessageId>,
    /// The execution's id.
    pub execution_id: ExecutionId,
    /// The id that the reply will have.
    pub reply_id: MessageId,
    /// Who answers; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// Why that one.
    pub routing: Routing,
    /// When.
    pub at: Millis,
}

/// What became of a posted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// Its id.
    pub id: MessageId,
    /// Its place in the chat.
    pub seq: u64,
    /// The execution that will answer it.
    pub execution_id: ExecutionId,
}

impl Change for PostMessage {
    type Outcome = Posted;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Posted, Rejection> {
        let session = sessions::get(cx.tx, self.session_id)?.ok_or(Refusal::NotFound("session"))?;
        let (worker_name, engine, model) = agent(cx, self.worker_id)?;
        if executions::queue_length(cx.tx)? >= QUEUE_MAX {
            return Err(
                Refusal::Full("too many messages wait for their answer; try again later").into(),
            );
        }
        let replaced = self
            .replaces
            .map(|id| replaced(cx, &session, id))
            .transpose()?;

        if let Some(message) = replaced {
            messages::hide_from(cx.tx, session.id, message.seq)?;
        }
        let seq = session.next_seq;
        let message = Message {
            id: self.id,
            session_id: session.id,
            seq,
            role: Role::User,
            content: self.content.clone(),
            worker_id: None,
            author: String::new(),
            execution_id: Some(self.execution_id),
            media: self.media.clone(),
            status: MessageStatus::Completed,
            error: None,
            hidden: false,
            created_at: self.at,
        };
        messages::put(cx.tx, &message)?;
        let execution = Execution {
            id: self.execution_id,
            worker_id: self.worker_id,
            worker_name,
            session_id: Some(session.id),
            message_id: Some(self.id),
            reply_id: self.reply_id,
            trigger_input: truncated(&self.content, TRIGGER_BYTES_MAX).to_owned(),
            status: ExecutionStatus::Pending,
            result: None,
            error: None,
            routing: self.routing,
            engine,
            model,
            engine_session_id: None,
            context_generation: session.context_generation,
            log_bytes: 0,
            usage: Usage::default(),
            retry_of: None,
            created_at: self.at,
            started_at: None,
            completed_at: None,
        };
        let after = Session {
            next_seq: seq + 1,
            // What is said before the answer is there is for the same.
            last_agent: Some(self.worker_id),
            updated_at: self.at.max(session.updated_at),
            ..session.clone()
        };
        sessions::update(cx.tx, &session, &after)?;
        cx.emit(
            Some(session.id),
            Some(execution.id),
            self.at,
            EventBody::UserMessage { seq },
        )?;
        enqueue(cx, &execution)?;
        Ok(Posted {
            id: self.id,
            seq,
            execution_id: self.execution_id,
        })
    }
}

/// A file was uploaded. The file itself is the truth of that, so this changes nothing; it is what an idempotency key is
/// kept with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeepUpload {
    /// The chat.
    pub session_id: SessionId,
    /// The file.
    pub media: Media,
}

/// A file that was uploaded, and the chat it was uploaded to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uploaded {
    /// The chat.
    pub session_id: SessionId,
    /// The file.
    pub media: Media,
}

impl Change for KeepUpload {
    type Outcome = Uploaded;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Uploaded, Rejection> {
        sessions::get(cx.tx, self.session_id)?.ok_or(Refusal::NotFound("session"))?;
        Ok(Uploaded {
            session_id: self.session_id,
            media: self.media.clone(),
        })
    }
}

/// Name, engine and model of who answers.
pub(super) fn agent(
    cx: &Apply<'_>,
    worker_id: Option<WorkerId>,
) -> Result<(String, String, String), Rejection> {
    match worker_id {
        Some(id) => {
            // Whoever was asked for was there when that was decided.
            let gone = Refusal::WrongState("the worker that was to answer was deleted");
            let worker = workers::get(cx.tx, id)?.ok_or(gone)?;
            Ok((worker.name, worker.engine, worker.model))
        }
        None => {
            let bee = workers::bee(cx.tx)?;
            Ok(("bee".to_owned(), bee.engine, bee.model))
        }
    }
}

/// Puts an execution at the end of the queue and says so, with how many of the same worker are before it.
pub(super) fn enqueue(cx: &mut Apply<'_>, execution: &Execution) -> Result<(), Rejection> {
    let worker = execution.worker_id;
    // The bee runs once per chat, so what it runs elsewhere is not in the way.
    let running = worker.is_some() && executions::is_running(cx.tx, worker)?;
    let before = executions::waiting(cx.tx, worker)? + u64::from(running);
    executions::insert(cx.tx, execution)?;
    let status = EventBody::Status {
        status: ExecutionStatus::Pending,
        queue_position: u32::try_from(before).unwrap_or(u32::MAX),
        worker_id: execution.worker_id,
    };
    cx.emit(
        execution.session_id,
        Some(execution.id),
        execution.created_at,
        status,
    )?;
    if let Some(queued) = cx.added.last_mut() {
        queued.may_start = !running;
    }
    Ok(())
}

fn replaced(cx: &Apply<'_>, session: &Session, id: MessageId) -> Result<Message, Rejection> {
    let message = messages::find_by_id(cx.tx, id)?
        .filter(|message| {
            message.session_id == session.id && message.role == Role::User && !message.hidden
        })
        .ok_or(Refusal::NamesNothing {
            field: "replaces",
            noun: "message",
        })?;
    for status in [ExecutionStatus::Running, ExecutionStatus::Pending] {
        let filter = Filter {
            session: Some(session.id),
            status: Some(status),
            ..Filter::default()
        };
        // The newest of a chat are the only ones that can be unfinished, so this looks at a handful of rows.
        if !executions::list(cx.tx, filter, Order::NewestFirst, None, 1)?
            .rows
            .is_empty()
        {
            return Err(Refusal::WrongState(
                "a reply is still being written; stop it before editing",
            )
            .into());
        }
    }
    Ok(message)
}
