//! The feed: stored events by an id that only grows.

use redb::ReadableTable;

use super::tables::{FEED, FEED_BY_EXECUTION, FEED_BY_SESSION};
use super::{StoreError, Tx, WriteTx, codec, meta};
use crate::model::{Event, EventBody, ExecutionId, SessionId};

/// Which events a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of the account's.
    All,
    /// Those of a chat.
    Session(SessionId),
    /// Those of an execution.
    Execution(ExecutionId),
}

/// At most `limit` events of a scope after `position`, oldest first.
pub fn list_after(
    tx: &impl Tx,
    scope: Scope,
    position: u64,
    limit: usize,
) -> Result<Vec<(u64, Event)>, StoreError> {
    let first = position.saturating_add(1);
    let feed = tx.table(FEED)?;
    let load = |id: u64| -> Result<Option<(u64, Event)>, StoreError> {
        feed.get(id)?
            .map(|row| Ok((id, codec::decode("feed", row.value())?)))
            .transpose()
    };
    match scope {
        Scope::All => feed
            .range(first..)?
            .take(limit)
            .map(|row| {
                let (id, value) = row?;
                Ok((id.value(), codec::decode("feed", value.value())?))
            })
            .collect(),
        Scope::Session(session) => {
            let id = session.as_u128();
            let index = tx.table(FEED_BY_SESSION)?;
            let rows = index.range((id, first)..=(id, u64::MAX))?.take(limit);
            rows.map(|row| load(row?.0.value().1))
                .filter_map(Result::transpose)
                .collect()
        }
        Scope::Execution(execution) => {
            let id = execution.as_u128();
            let index = tx.table(FEED_BY_EXECUTION)?;
            let rows = index.range((id, first)..=(id, u64::MAX))?.take(limit);
            rows.map(|row| load(row?.0.value().1))
                .filter_map(Result::transpose)
                .collect()
        }
    }
}

/// The id of the newest event there ever was; 0 when there was none.
pub fn last_id(tx: &impl Tx) -> Result<u64, StoreError> {
    Ok(meta::get::<u64>(tx, meta::NEXT_EVENT)?.unwrap_or(1) - 1)
}

/// Adds an event and tells its id.
pub fn append(tx: &WriteTx, event: &Event) -> Result<u64, StoreError> {
    let id = meta::next(tx, meta::NEXT_EVENT)?;
    tx.table(FEED)?
        .insert(id, codec::encode(event)?.as_slice())?;
    if let Some(session) = event.session_id {
        tx.table(FEED_BY_SESSION)?
            .insert((session.as_u128(), id), ())?;
    }
    if let Some(execution) = event.execution_id {
        tx.table(FEED_BY_EXECUTION)?
            .insert((execution.as_u128(), id), ())?;
    }
    Ok(id)
}

/// Removes all events of a chat.
pub fn delete_all(tx: &WriteTx, session: SessionId) -> Result<(), StoreError> {
    let mut feed = tx.table(FEED)?;
    let mut by_session = tx.table(FEED_BY_SESSION)?;
    let mut by_execution = tx.table(FEED_BY_EXECUTION)?;
    let keys = (session.as_u128(), 0)..=(session.as_u128(), u64::MAX);
    for row in by_session.extract_from_if(keys, |_, _| true)? {
        let id = row?.0.value().1;
        let removed = feed
            .remove(id)?
            .map(|row| codec::decode::<Event>("feed", row.value()))
            .transpose()?;
        if let Some(execution) = removed.and_then(|event| event.execution_id) {
            by_execution.remove((execution.as_u128(), id))?;
        }
    }
    Ok(())
}

/// Removes the events of an execution but for the messages of its chat.
pub fn delete_steps(tx: &WriteTx, execution: ExecutionId) -> Result<(), StoreError> {
    let mut feed = tx.table(FEED)?;
    let mut by_session = tx.table(FEED_BY_SESSION)?;
    let mut by_execution = tx.table(FEED_BY_EXECUTION)?;
    let keys = (execution.as_u128(), 0)..=(execution.as_u128(), u64::MAX);
    for row in by_execution.extract_from_if(keys, |_, _| true)? {
        let id = row?.0.value().1;
        let event = feed.get(id)?.map(|row| codec::decode("feed", row.value()));
        let Some(event): Option<Event> = event.transpose()? else {
            continue;
        };
        // These belong to the chat.
        if let EventBody::UserMessage { .. } | EventBody::Reply { .. } = event.body {
            continue;
        }
        feed.remove(id)?;
        if let Some(session) = event.session_id {
            by_session.remove((session.as_u128(), id))?;
        }
    }
    Ok(())
}
