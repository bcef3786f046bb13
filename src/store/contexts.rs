//! Engine contexts: which of an engine's own sessions goes on in a chat, by agent.

use redb::ReadableTable;
use serde::{Deserialize, Serialize};

use super::tables::CONTEXTS;
use super::{StoreError, Tx, WriteTx, codec};
use crate::model::{SessionId, WorkerId};

/// The engine's session of one agent in one chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The engine whose id it is; another engine starts afresh.
    pub engine: String,
    /// The engine's own id.
    pub engine_session_id: String,
}

/// What the agent (`None` is the bee) goes on with.
pub fn get(
    tx: &impl Tx,
    session: SessionId,
    agent: Option<WorkerId>,
) -> Result<Option<Context>, StoreError> {
    let table = tx.table(CONTEXTS)?;
    table
        .get(key(session, agent))?
        .map(|row| codec::decode("contexts", row.value()))
        .transpose()
}

/// Sets what the agent goes on with.
pub fn put(
    tx: &WriteTx,
    session: SessionId,
    agent: Option<WorkerId>,
    context: &Context,
) -> Result<(), StoreError> {
    tx.table(CONTEXTS)?
        .insert(key(session, agent), codec::encode(context)?.as_slice())?;
    Ok(())
}

/// Who goes on with what in a chat; the bee first.
pub fn list(
    tx: &impl Tx,
    session: SessionId,
) -> Result<Vec<(Option<WorkerId>, Context)>, StoreError> {
    let id = session.as_u128();
    let mut found = Vec::new();
    for row in tx.table(CONTEXTS)?.range((id, 0)..=(id, u128::MAX))? {
        let (key, value) = row?;
        let agent = Some(key.value().1).filter(|&agent| agent != 0);
        let context = codec::decode("contexts", value.value())?;
        found.push((agent.map(WorkerId::from_u128), context));
    }
    Ok(found)
}

/// Forgets what the agent goes on with.
pub fn delete(tx: &WriteTx, session: SessionId, agent: Option<WorkerId>) -> Result<(), StoreError> {
    tx.table(CONTEXTS)?.remove(key(session, agent))?;
    Ok(())
}

/// Forgets the contexts of a chat.
pub fn delete_all(tx: &WriteTx, session: SessionId) -> Result<(), StoreError> {
    let id = session.as_u128();
    tx.table(CONTEXTS)?
        .retain_in((id, 0)..=(id, u128::MAX), |_, _| false)?;
    Ok(())
}

fn key(session: SessionId, agent: Option<WorkerId>) -> (u128, u128) {
    (session.as_u128(), agent.map_or(0, WorkerId::as_u128))
}
