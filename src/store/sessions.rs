//! Chats.

use redb::{ReadableTable, ReadableTableMetadata};

use super::tables::{SESSIONS, SESSIONS_BY_UPDATED};
use super::{Cursor, Page, StoreError, Tx, WriteTx, codec, page};
use crate::model::{Session, SessionId};

/// A chat.
pub fn get(tx: &impl Tx, id: SessionId) -> Result<Option<Session>, StoreError> {
    tx.table(SESSIONS)?
        .get(id.as_u128())?
        .map(|row| codec::decode("sessions", row.value()))
        .transpose()
}

/// How many chats there are.
pub fn count(tx: &impl Tx) -> Result<u64, StoreError> {
    Ok(tx.table(SESSIONS)?.len()?)
}

/// Chats, last changed first.
pub fn list(
    tx: &impl Tx,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page<Session>, StoreError> {
    let index = tx.table(SESSIONS_BY_UPDATED)?;
    let end = after.map_or((u64::MAX, u128::MAX), |cursor| (cursor.major, cursor.minor));
    page::collect(
        index
            .range(..end)?
            .rev()
            .map(|row| row.map(|(key, _)| key.value()).map_err(StoreError::from)),
        limit,
        |&(major, minor)| Cursor { major, minor },
        |&(_, id)| get(tx, SessionId::from_u128(id)),
    )
}

/// Adds a chat.
pub fn insert(tx: &WriteTx, session: &Session) -> Result<(), StoreError> {
    tx.table(SESSIONS)?
        .insert(session.id.as_u128(), codec::encode(session)?.as_slice())?;
    tx.table(SESSIONS_BY_UPDATED)?
        .insert((session.updated_at, session.id.as_u128()), ())?;
    Ok(())
}

/// Changes a chat from `before` to `after`.
pub fn update(tx: &WriteTx, before: &Session, after: &Session) -> Result<(), StoreError> {
    tx.table(SESSIONS)?
        .insert(after.id.as_u128(), codec::encode(after)?.as_slice())?;
    if before.updated_at != after.updated_at {
        let mut index = tx.table(SESSIONS_BY_UPDATED)?;
        index.remove((before.updated_at, before.id.as_u128()))?;
        index.insert((after.updated_at, after.id.as_u128()), ())?;
    }
    Ok(())
}

/// Removes a chat; its messages, events and contexts are removed by their own queries.
pub fn delete(tx: &WriteTx, session: &Session) -> Result<(), StoreError> {
    tx.table(SESSIONS)?.remove(session.id.as_u128())?;
    tx.table(SESSIONS_BY_UPDATED)?
        .remove((session.updated_at, session.id.as_u128()))?;
    Ok(())
}
