//! What a document of the index is: the key of a row of the store, and the text of it.

use crate::model::{ExecutionId, SessionId};
use crate::store::walk::Record;
use crate::store::{StoreError, Tx, executions, messages, sessions};

/// What can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A chat by its name.
    Session = 0,
    /// A message of a chat.
    Message = 1,
    /// What an execution was asked and what came of it.
    Execution = 2,
}

/// Which kinds are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// One more.
    pub fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// Whether the document of a number is of one of them.
    pub(super) fn have(self, number: u32) -> bool {
        self.0 & 1 << (number & 3) != 0
    }
}

/// A kind and the key of a row.
pub(super) type Key = (u8, u128, u64);

pub(super) fn session_key(id: SessionId) -> Key {
    (Kind::Session as u8, id.as_u128(), 0)
}

pub(super) fn message_key(session: SessionId, seq: u64) -> Key {
    (Kind::Message as u8, session.as_u128(), seq)
}

pub(super) fn execution_key(id: u128) -> Key {
    (Kind::Execution as u8, id, 0)
}

/// The row of a key.
pub(super) fn load(tx: &impl Tx, key: Key) -> Result<Option<Record>, StoreError> {
    let (kind, id, seq) = key;
    let session = SessionId::from_u128(id);
    Ok(match kind {
        kind if kind == Kind::Session as u8 => sessions::get(tx, session)?.map(Record::Session),
        kind if kind == Kind::Message as u8 => {
            messages::get(tx, session, seq)?.map(|message| Record::Message(Box::new(message)))
        }
        _ => executions::get(tx, ExecutionId::from_u128(id))?
            .map(|execution| Record::Execution(Box::new(execution))),
    })
}

/// The key of a row.
pub(super) fn key_of(record: &Record) -> Key {
    match record {
        Record::Session(session) => session_key(session.id),
        Record::Message(message) => message_key(message.session_id, message.seq),
        Record::Execution(execution) => execution_key(execution.id.as_u128()),
    }
}

/// The text by which a row is found; `None` is a row that is not shown.
pub(super) fn text_of(record: &Record) -> Option<String> {
    match record {
        Record::Session(session) => Some(session.name.clone()),
        Record::Message(message) if message.hidden => None,
        Record::Message(message) => {
            let names = message.media.iter().map(|media| media.name.as_str());
            let parts: Vec<&str> = std::iter::once(message.content.as_str())
                .chain(names)
                .collect();
            Some(parts.join("\n"))
        }
        Record::Execution(execution) => {
            let outcome = [&execution.result, &execution.error];
            let outcome = outcome.into_iter().flatten().map(String::as_str);
            let parts: Vec<&str> = std::iter::once(execution.trigger_input.as_str())
                .chain(outcome)
                .collect();
            Some(parts.join("\n"))
        }
    }
}
