//! An agent says something in a chat that nobody asked it for there.

use serde::{Deserialize, Serialize};

use super::message::agent;
use super::{Apply, Change, Refusal, Rejection};
use crate::model::{
    EventBody, Media, Message, MessageId, MessageStatus, Millis, Role, Session, SessionId, WorkerId,
};
use crate::store::{messages, sessions};

/// A message of an agent that is no reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendNotice {
    /// Its id.
    pub id: MessageId,
    /// The chat.
    pub session_id: SessionId,
    /// Who says it; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// The text.
    pub content: String,
    /// What is attached.
    pub media: Vec<Media>,
    /// When.
    pub at: Millis,
}

impl Change for SendNotice {
    type Outcome = u64;

    /// Its place in the chat.
    fn apply(&self, cx: &mut Apply<'_>) -> Result<u64, Rejection> {
        let session = sessions::get(cx.tx, self.session_id)?.ok_or(Refusal::NotFound("session"))?;
        let (author, ..) = agent(cx, self.worker_id)?;
        let seq = session.next_seq;
        let message = Message {
            id: self.id,
            session_id: session.id,
            seq,
            role: Role::Bee,
            content: self.content.clone(),
            worker_id: self.worker_id,
            author,
            execution_id: None,
            media: self.media.clone(),
            status: MessageStatus::Completed,
            error: None,
            hidden: false,
            created_at: self.at,
        };
        messages::put(cx.tx, &message)?;
        let after = Session {
            next_seq: seq + 1,
            unread: session.unread.saturating_add(1),
            updated_at: self.at.max(session.updated_at),
            ..session.clone()
        };
        sessions::update(cx.tx, &session, &after)?;
        cx.emit(Some(session.id), None, self.at, EventBody::Reply { seq })?;
        Ok(seq)
    }
}
