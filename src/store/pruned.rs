//! What was removed because it was old or there was too much, and is still spoken of.

use redb::ReadableTable;

use super::tables::{PRUNED_LOGS, PRUNED_UPLOADS};
use super::{StoreError, Tx, WriteTx};
use crate::model::{ExecutionId, Millis, SessionId};

/// When the log of an execution was removed.
pub fn log(tx: &impl Tx, id: ExecutionId) -> Result<Option<Millis>, StoreError> {
    let table = tx.table(PRUNED_LOGS)?;
    let row = table.get(id.as_u128())?;
    Ok(row.map(|at| at.value()))
}

/// Notes that the log of an execution is removed.
pub fn insert_log(tx: &WriteTx, id: ExecutionId, at: Millis) -> Result<(), StoreError> {
    tx.table(PRUNED_LOGS)?.insert(id.as_u128(), at)?;
    Ok(())
}

/// Forgets that it was: its execution goes, too.
pub fn delete_log(tx: &WriteTx, id: ExecutionId) -> Result<(), StoreError> {
    tx.table(PRUNED_LOGS)?.remove(id.as_u128())?;
    Ok(())
}

/// When an upload was removed.
pub fn upload(tx: &impl Tx, session: SessionId, name: &str) -> Result<Option<Millis>, StoreError> {
    let table = tx.table(PRUNED_UPLOADS)?;
    let row = table.get((session.as_u128(), name))?;
    Ok(row.map(|at| at.value()))
}

/// Notes that an upload is removed.
pub fn insert_upload(
    tx: &WriteTx,
    session: SessionId,
    name: &str,
    at: Millis,
) -> Result<(), StoreError> {
    tx.table(PRUNED_UPLOADS)?
        .insert((session.as_u128(), name), at)?;
    Ok(())
}

/// Forgets the removed uploads of a chat: the chat goes, too.
pub fn delete_uploads(tx: &WriteTx, session: SessionId) -> Result<(), StoreError> {
    let id = session.as_u128();
    let mut table = tx.table(PRUNED_UPLOADS)?;
    match id.checked_add(1) {
        Some(next) => table.retain_in((id, "")..(next, ""), |_, _| false)?,
        None => table.retain_in((id, "").., |_, _| false)?,
    }
    Ok(())
}
