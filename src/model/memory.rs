//! A memory entry: what agents keep in mind, by name, for everybody, a worker or a chat.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Millis, SessionId, WorkerId};

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Whose it is.
    pub scope: MemoryScope,
    /// Its name in there.
    pub key: String,
    /// What is to be kept in mind.
    pub value: String,
    /// Its place in the order of changes: later is higher.
    pub order: u64,
    /// When it was created.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

/// Whose memory. Stored by position: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MemoryScope {
    /// Every agent's.
    Global,
    /// A worker's.
    Worker(WorkerId),
    /// Of everybody who answers in a chat.
    Session(SessionId),
}

impl MemoryScope {
    /// The form of table keys.
    pub fn as_key(self) -> (u8, u128) {
        match self {
            Self::Global => (0, 0),
            Self::Worker(id) => (1, id.as_u128()),
            Self::Session(id) => (2, id.as_u128()),
        }
    }
}

impl fmt::Display for MemoryScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Worker(id) => write!(f, "worker:{id}"),
            Self::Session(id) => write!(f, "session:{id}"),
        }
    }
}

/// A text that names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be global, worker:<id> or session:<id>")]
pub struct NoScope;

impl FromStr for MemoryScope {
    type Err = NoScope;

    fn from_str(text: &str) -> Result<Self, NoScope> {
        match text.split_once(':') {
            None if text == "global" => Ok(Self::Global),
            Some(("worker", id)) => id.parse().map(Self::Worker).map_err(|_| NoScope),
            Some(("session", id)) => id.parse().map(Self::Session).map_err(|_| NoScope),
            _ => Err(NoScope),
        }
    }
}
