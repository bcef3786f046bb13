//! Changes of what agents keep in mind.

use serde::{Deserialize, Serialize};

use super::{Apply, Change, Refusal, Rejection};
use crate::model::limits::{MEMORY_ENTRIES_MAX, MEMORY_ENTRIES_PER_SCOPE_MAX};
use crate::model::{Memory, MemoryScope, Millis};
use crate::store::{StoreError, memory, meta, sessions, workers};

/// Sets an entry; the one of that name is replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetMemory {
    /// Whose.
    pub scope: MemoryScope,
    /// Its name.
    pub key: String,
    /// What is to be kept in mind.
    pub value: String,
    /// When.
    pub at: Millis,
}

impl Change for SetMemory {
    type Outcome = Memory;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Memory, Rejection> {
        match self.scope {
            MemoryScope::Global => {}
            MemoryScope::Worker(id) => {
                workers::get(cx.tx, id)?.ok_or(Refusal::NotFound("worker"))?;
            }
            MemoryScope::Session(id) => {
                sessions::get(cx.tx, id)?.ok_or(Refusal::NotFound("session"))?;
            }
        }
        let before = memory::get(cx.tx, self.scope, &self.key)?;
        if before.is_none() {
            let scope_is_full =
                memory::of_scope(cx.tx, self.scope)?.len() >= MEMORY_ENTRIES_PER_SCOPE_MAX;
            if scope_is_full || memory::count(cx.tx)? >= MEMORY_ENTRIES_MAX {
                return Err(Refusal::WrongState(
                    "there are as many memory entries as there may be; delete one first",
                )
                .into());
            }
        }
        let created_at = before.as_ref().map_or(self.at, |before| before.created_at);
        let after = Memory {
            scope: self.scope,
            key: self.key.clone(),
            value: self.value.clone(),
            order: meta::next(cx.tx, meta::NEXT_MEMORY)?,
            created_at,
            updated_at: self.at.max(created_at),
        };
        memory::put(cx.tx, before.as_ref(), &after)?;
        Ok(after)
    }
}

/// Removes an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteMemory {
    /// Whose.
    pub scope: MemoryScope,
    /// Its name.
    pub key: String,
}

impl Change for DeleteMemory {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let entry =
            memory::get(cx.tx, self.scope, &self.key)?.ok_or(Refusal::NotFound("memory entry"))?;
        Ok(memory::delete(cx.tx, &entry)?)
    }
}

/// Removes the entries of a worker or a chat that is being deleted.
pub(super) fn delete_scope(cx: &Apply<'_>, scope: MemoryScope) -> Result<(), StoreError> {
    for entry in memory::of_scope(cx.tx, scope)? {
        memory::delete(cx.tx, &entry)?;
    }
    Ok(())
}
