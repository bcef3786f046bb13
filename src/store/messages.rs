//! Messages of a chat, in order.

use redb::ReadableTable;

use super::tables::{MESSAGES, MESSAGES_BY_ID};
use super::{Cursor, Page, StoreError, Tx, WriteTx, codec, page};
use crate::model::{Message, MessageId, SessionId};

/// A message by its place.
pub fn get(tx: &impl Tx, session: SessionId, seq: u64) -> Result<Option<Message>, StoreError> {
    let table = tx.table(MESSAGES)?;
    table
        .get((session.as_u128(), seq))?
        .map(|row| codec::decode("messages", row.value()))
        .transpose()
}

/// A message by its id.
pub fn find_by_id(tx: &impl Tx, id: MessageId) -> Result<Option<Message>, StoreError> {
    let place = tx
        .table(MESSAGES_BY_ID)?
        .get(id.as_u128())?
        .map(|row| row.value());
    place.map_or(Ok(None), |(session, seq)| {
        get(tx, SessionId::from_u128(session), seq)
    })
}

/// The newest messages that are not hidden, newest first; the next page is older.
pub fn list(
    tx: &impl Tx,
    session: SessionId,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page<Message>, StoreError> {
    let table = tx.table(MESSAGES)?;
    let session = session.as_u128();
    let end = after.map_or(u64::MAX, |cursor| cursor.major);
    page::collect_large(
        table.range((session, 0)..(session, end))?.rev().map(|row| {
            row.map(|(key, value)| (key.value().1, value))
                .map_err(StoreError::from)
        }),
        limit,
        |(seq, _)| Cursor {
            major: *seq,
            minor: 0,
        },
        |(_, value)| {
            let message: Message = codec::decode("messages", value.value())?;
            Ok((!message.hidden).then_some((message, value.value().len())))
        },
    )
}

/// The newest message that is not hidden.
pub fn last(tx: &impl Tx, session: SessionId) -> Result<Option<Message>, StoreError> {
    Ok(list(tx, session, None, 1)?.rows.pop())
}

/// The place of the newest message before `seq` that is not hidden; 0 where there is none.
pub fn seq_before(tx: &impl Tx, session: SessionId, seq: u64) -> Result<u64, StoreError> {
    let before = Cursor {
        major: seq,
        minor: 0,
    };
    let found = list(tx, session, Some(before), 1)?.rows.pop();
    Ok(found.map_or(0, |message| message.seq))
}

/// How many messages there are, hidden ones included.
pub fn count(tx: &impl Tx) -> Result<u64, StoreError> {
    use redb::ReadableTableMetadata;
    Ok(tx.table(MESSAGES)?.len()?)
}

/// Adds a message, or changes the one at its place.
pub fn put(tx: &WriteTx, message: &Message) -> Result<(), StoreError> {
    let place = (message.session_id.as_u128(), message.seq);
    tx.table(MESSAGES)?
        .insert(place, codec::encode(message)?.as_slice())?;
    tx.table(MESSAGES_BY_ID)?
        .insert(message.id.as_u128(), place)?;
    Ok(())
}

/// Hides the messages of a chat from `seq` on.
pub fn hide_from(tx: &WriteTx, session: SessionId, seq: u64) -> Result<(), StoreError> {
    let mut table = tx.table(MESSAGES)?;
    let mut hidden = Vec::new();
    for row in table.range((session.as_u128(), seq)..=(session.as_u128(), u64::MAX))? {
        let (key, value) = row?;
        let message: Message = codec::decode("messages", value.value())?;
        hidden.push((
            key.value(),
            Message {
                hidden: true,
                ..message
            },
        ));
    }
    for (key, message) in hidden {
        table.insert(key, codec::encode(&message)?.as_slice())?;
    }
    Ok(())
}

/// Removes all messages of a chat.
pub fn delete_all(tx: &WriteTx, session: SessionId) -> Result<(), StoreError> {
    let mut table = tx.table(MESSAGES)?;
    let mut by_id = tx.table(MESSAGES_BY_ID)?;
    let places = (session.as_u128(), 0)..=(session.as_u128(), u64::MAX);
    for row in table.extract_from_if(places, |_, _| true)? {
        let message: Message = codec::decode("messages", row?.1.value())?;
        by_id.remove(message.id.as_u128())?;
    }
    Ok(())
}
