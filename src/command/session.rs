//! Changes of chats.

use serde::{Deserialize, Serialize};

use super::execution::cancel;
use super::memory::delete_scope;
use super::task::leave_session;
use super::{Apply, Change, Refusal, Rejection};
use crate::model::{
    EventBody, Execution, ExecutionStatus, MemoryScope, Millis, Session, SessionId, WorkerId,
};
use crate::store::executions::{Filter, Order};
use crate::store::{contexts, events, executions, messages, pruned, sessions, workers};

const NO_SUCH_WORKER: Refusal = Refusal::NamesNothing {
    field: "worker_id",
    noun: "worker",
};

/// A new chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateSession {
    /// Its id.
    pub id: SessionId,
    /// Its name.
    pub name: String,
    /// The worker it is pinned to.
    pub worker_id: Option<WorkerId>,
    /// When.
    pub at: Millis,
}

impl Change for CreateSession {
    type Outcome = Session;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Session, Rejection> {
        if let Some(id) = self.worker_id {
            workers::get(cx.tx, id)?.ok_or(NO_SUCH_WORKER)?;
        }
        let session = Session {
            id: self.id,
            name: self.name.clone(),
            worker_id: self.worker_id,
            pinned: false,
            archived: false,
            tags: Vec::new(),
            unread: 0,
            next_seq: 1,
            context_generation: 0,
            last_agent: None,
            created_at: self.at,
            updated_at: self.at,
        };
        sessions::insert(cx.tx, &session)?;
        cx.emit(Some(self.id), None, self.at, EventBody::Session)?;
        Ok(session)
    }
}

/// What changes of a chat; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionPatch {
    /// Its name.
    pub name: Option<String>,
    /// The worker it is pinned to; `Some(None)` unpins.
    pub worker_id: Option<Option<WorkerId>>,
    /// Kept at the top of the list.
    pub pinned: Option<bool>,
    /// Out of the list.
    pub archived: Option<bool>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// Replies that the user has not seen; 0 marks the chat as read.
    pub unread: Option<u32>,
}

/// Changes a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateSession {
    /// The chat.
    pub id: SessionId,
    /// What changes.
    pub patch: SessionPatch,
    /// When.
    pub at: Millis,
}

impl Change for UpdateSession {
    type Outcome = Session;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Session, Rejection> {
        let before = sessions::get(cx.tx, self.id)?.ok_or(Refusal::NotFound("session"))?;
        let patch = self.patch.clone();
        if let Some(Some(id)) = patch.worker_id {
            workers::get(cx.tx, id)?.ok_or(NO_SUCH_WORKER)?;
        }
        // Having read a chat or sorted it away is no news of the chat: its place in the list stays.
        let is_news = patch.name.is_some() || patch.worker_id.is_some();
        let after = Session {
            name: patch.name.unwrap_or_else(|| before.name.clone()),
            worker_id: patch.worker_id.unwrap_or(before.worker_id),
            pinned: patch.pinned.unwrap_or(before.pinned),
            archived: patch.archived.unwrap_or(before.archived),
            tags: patch.tags.unwrap_or_else(|| before.tags.clone()),
            unread: patch.unread.unwrap_or(before.unread),
            updated_at: if is_news {
                self.at.max(before.updated_at)
            } else {
                before.updated_at
            },
            ..before.clone()
        };
        if after != before {
            sessions::update(cx.tx, &before, &after)?;
            cx.emit(Some(self.id), None, self.at, EventBody::Session)?;
        }
        Ok(after)
    }
}

/// Starts fresh engine contexts; the messages stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClearSession {
    /// The chat.
    pub id: SessionId,
    /// When.
    pub at: Millis,
}

impl Change for ClearSession {
    type Outcome = Session;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Session, Rejection> {
        let before = sessions::get(cx.tx, self.id)?.ok_or(Refusal::NotFound("session"))?;
        // What runs now belongs to the old generation and will not bring its context back.
        let after = Session {
            context_generation: before.context_generation + 1,
            ..before.clone()
        };
        contexts::delete_all(cx.tx, self.id)?;
        sessions::update(cx.tx, &before, &after)?;
        cx.emit(Some(self.id), None, self.at, EventBody::Session)?;
        Ok(after)
    }
}

/// One agent of a chat begins afresh; the others and the messages stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClearContext {
    /// The chat.
    pub session_id: SessionId,
    /// The agent; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// When.
    pub at: Millis,
}

impl Change for ClearContext {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        sessions::get(cx.tx, self.session_id)?.ok_or(Refusal::NotFound("session"))?;
        Ok(contexts::delete(cx.tx, self.session_id, self.worker_id)?)
    }
}

/// Removes a chat with its messages, events and engine contexts, and cancels what waits in it. What is running is stopped
/// by the supervisor and ends without a reply. Executions and logs stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteSession {
    /// The chat.
    pub id: SessionId,
    /// When.
    pub at: Millis,
}

impl Change for DeleteSession {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let session = sessions::get(cx.tx, self.id)?.ok_or(Refusal::NotFound("session"))?;
        messages::delete_all(cx.tx, self.id)?;
        contexts::delete_all(cx.tx, self.id)?;
        pruned::delete_uploads(cx.tx, self.id)?;
        sessions::delete(cx.tx, &session)?;
        delete_scope(cx, MemoryScope::Session(self.id))?;
        leave_session(cx, self.id, self.at)?;
        let filter = Filter {
            session: Some(self.id),
            status: Some(ExecutionStatus::Pending),
            ..Filter::default()
        };
        let waiting: Vec<Execution> =
            executions::list(cx.tx, filter, Order::NewestFirst, None, usize::MAX)?.rows;
        for execution in waiting {
            cancel(cx, execution, self.at)?;
        }
        events::delete_all(cx.tx, self.id)?;
        Ok(cx.emit(Some(self.id), None, self.at, EventBody::Deleted)?)
    }
}
