//! Everything that can be searched, once, in the order of its keys.

use std::ops::Bound;

use redb::{ReadableTable, ReadableTableMetadata};
use serde::{Deserialize, Serialize};

use super::page::PAGE_BYTES_MAX;
use super::tables::{EXECUTIONS, MESSAGES, SESSIONS};
use super::{StoreError, Tx, codec};
use crate::model::{Execution, Message, Session};

/// Where a walk goes on: after these keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Walk {
    /// At the beginning.
    #[default]
    Begin,
    /// After a chat.
    Session(u128),
    /// After a message; `(0, 0)` is before the first one.
    Message(u128, u64),
    /// After an execution; 0 is before the first one.
    Execution(u128),
}

/// Something that can be searched.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A chat.
    Session(Session),
    /// A message.
    Message(Box<Message>),
    /// An execution.
    Execution(Box<Execution>),
}

/// At most `limit` records, and where to go on; `None` is the end.
pub fn step(
    tx: &impl Tx,
    walk: &Walk,
    limit: usize,
) -> Result<(Vec<Record>, Option<Walk>), StoreError> {
    let mut records = Vec::new();
    let mut bytes = 0;
    macro_rules! take {
        ($table:expr, $name:literal, $after:expr, $record:expr, $here:expr) => {
            for row in tx.table($table)?.range(($after, Bound::Unbounded))? {
                let (key, value) = row?;
                bytes += value.value().len();
                records.push($record(codec::decode($name, value.value())?));
                if records.len() >= limit || bytes >= PAGE_BYTES_MAX {
                    return Ok((records, Some($here(key.value()))));
                }
            }
        };
    }
    let rest = match walk {
        Walk::Begin | Walk::Session(_) => {
            let after = match walk {
                Walk::Session(id) => Bound::Excluded(*id),
                _ => Bound::Unbounded,
            };
            take!(SESSIONS, "sessions", after, Record::Session, Walk::Session);
            Some(Walk::Message(0, 0))
        }
        Walk::Message(session, seq) => {
            let after = Bound::Excluded((*session, *seq));
            let message = |message| Record::Message(Box::new(message));
            let here = |(session, seq)| Walk::Message(session, seq);
            take!(MESSAGES, "messages", after, message, here);
            Some(Walk::Execution(0))
        }
        Walk::Execution(id) => {
            let execution = |execution| Record::Execution(Box::new(execution));
            let after = Bound::Excluded(*id);
            take!(EXECUTIONS, "executions", after, execution, Walk::Execution);
            None
        }
    };
    Ok((records, rest))
}

/// How many executions there are.
pub fn executions(tx: &impl Tx) -> Result<u64, StoreError> {
    Ok(tx.table(EXECUTIONS)?.len()?)
}

/// Whether there is this execution.
pub fn has_execution(tx: &impl Tx, id: u128) -> Result<bool, StoreError> {
    Ok(tx.table(EXECUTIONS)?.get(id)?.is_some())
}
