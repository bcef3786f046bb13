//! What agents keep in mind.

use redb::{ReadableTable, ReadableTableMetadata};

use super::tables::{MEMORY, MEMORY_BY_CHANGE};
use super::{Cursor, Page, StoreError, Tx, WriteTx, codec, page};
use crate::model::{Memory, MemoryScope};

/// An entry.
pub fn get(tx: &impl Tx, scope: MemoryScope, key: &str) -> Result<Option<Memory>, StoreError> {
    let (kind, id) = scope.as_key();
    tx.table(MEMORY)?
        .get((kind, id, key))?
        .map(|row| codec::decode("memory", row.value()))
        .transpose()
}

/// How many entries there are.
pub fn count(tx: &impl Tx) -> Result<u64, StoreError> {
    Ok(tx.table(MEMORY)?.len()?)
}

/// The entries of a scope, last changed first; there are few.
pub fn of_scope(tx: &impl Tx, scope: MemoryScope) -> Result<Vec<Memory>, StoreError> {
    let (kind, id) = scope.as_key();
    let mut entries = Vec::new();
    for row in tx.table(MEMORY)?.range((kind, id, "")..)? {
        let (key, value) = row?;
        if (key.value().0, key.value().1) != (kind, id) {
            break;
        }
        entries.push(codec::decode::<Memory>("memory", value.value())?);
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.order));
    Ok(entries)
}

/// Entries, last changed first; of one scope or of all.
pub fn list(
    tx: &impl Tx,
    scope: Option<MemoryScope>,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page<Memory>, StoreError> {
    let end = after.map_or(u64::MAX, |cursor| cursor.major);
    let cursor = |&order: &u64| Cursor {
        major: order,
        minor: 0,
    };
    if let Some(scope) = scope {
        let mut entries = of_scope(tx, scope)?.into_iter();
        let keys = entries
            .clone()
            .map(|entry| entry.order)
            .filter(|&order| order < end);
        return page::collect_large(keys.map(Ok), limit, cursor, |&order| {
            let found = entries.find(|entry| entry.order == order);
            Ok(found.map(sized))
        });
    }
    let index = tx.table(MEMORY_BY_CHANGE)?;
    let rows = index.range(..end)?.rev();
    let keys = rows.map(|row| {
        row.map(|(order, _)| order.value())
            .map_err(StoreError::from)
    });
    page::collect_large(keys, limit, cursor, |&order| {
        let Some(row) = index.get(order)? else {
            return Ok(None);
        };
        let entry = tx
            .table(MEMORY)?
            .get(row.value())?
            .map(|row| codec::decode::<Memory>("memory", row.value()))
            .transpose()?;
        Ok(entry.map(sized))
    })
}

fn sized(entry: Memory) -> (Memory, usize) {
    let bytes = entry.key.len() + entry.value.len();
    (entry, bytes)
}

/// Sets an entry in place of `before`.
pub fn put(tx: &WriteTx, before: Option<&Memory>, after: &Memory) -> Result<(), StoreError> {
    let (kind, id) = after.scope.as_key();
    let key = (kind, id, after.key.as_str());
    tx.table(MEMORY)?
        .insert(key, codec::encode(after)?.as_slice())?;
    let mut index = tx.table(MEMORY_BY_CHANGE)?;
    if let Some(before) = before {
        index.remove(before.order)?;
    }
    index.insert(after.order, key)?;
    Ok(())
}

/// Removes an entry.
pub fn delete(tx: &WriteTx, entry: &Memory) -> Result<(), StoreError> {
    let (kind, id) = entry.scope.as_key();
    tx.table(MEMORY)?.remove((kind, id, entry.key.as_str()))?;
    tx.table(MEMORY_BY_CHANGE)?.remove(entry.order)?;
    Ok(())
}
