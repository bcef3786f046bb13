//! Single values: how far the tables are, the counters, the identity of the file, the account and the bee.

use redb::ReadableTable;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tables::META;
use super::{StoreError, Tx, WriteTx, codec};

/// Sequence number of the last command that the tables hold; `u64`.
pub const APPLIED_SEQ: &str = "applied_seq";
/// The id of the next stored event; `u64`.
pub const NEXT_EVENT: &str = "next_event";
/// The next place in the queue; `u64`.
pub const NEXT_QUEUE: &str = "next_queue";
/// The next place in the order of changes of memory entries; `u64`.
pub const NEXT_MEMORY: &str = "next_memory";
/// Whether what executions came to is summed up; `bool`.
pub const USAGE_COUNTED: &str = "usage_counted";
/// The account.
pub const ACCOUNT: &str = "account";
/// The bee.
pub const BEE: &str = "bee";
/// The identity of the file these tables were written to: on any other file they are not trusted.
pub const FILE_IDENTITY: &str = "file_identity";
/// Where the journal was at the last checkpoint: a start reads on from there.
pub const POSITION: &str = "position";
/// What belongs to this file and not to its content: equal hives may differ in it.
pub const OF_THE_FILE: [&str; 2] = [FILE_IDENTITY, POSITION];

/// The value of `key`, if it was ever set.
pub fn get<T: DeserializeOwned>(tx: &impl Tx, key: &'static str) -> Result<Option<T>, StoreError> {
    tx.table(META)?
        .get(key)?
        .map(|value| codec::decode("meta", value.value()))
        .transpose()
}

/// Sets `key`.
pub fn set<T: Serialize>(tx: &WriteTx, key: &'static str, value: &T) -> Result<(), StoreError> {
    tx.table(META)?
        .insert(key, codec::encode(value)?.as_slice())?;
    Ok(())
}

/// Takes the next number of a counter that starts at 1.
pub fn next(tx: &WriteTx, key: &'static str) -> Result<u64, StoreError> {
    let mut table = tx.table(META)?;
    let value = match table.get(key)? {
        Some(value) => codec::decode::<u64>("meta", value.value())?,
        None => 1,
    };
    table.insert(key, codec::encode(&(value + 1))?.as_slice())?;
    Ok(value)
}
