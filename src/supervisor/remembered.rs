//! What an agent is told of its memory: its own, then the entries of everybody, of its worker and of its chat.

use std::fmt::Write as _;

use crate::model::limits::MEMORY_TOLD_BYTES_MAX;
use crate::model::{Execution, Memory, MemoryScope, Millis, SessionId, WorkerId};
use crate::store::executions::{Filter, Order};
use crate::store::{StoreError, Tx, executions, memory};

/// Executions of a chat that are looked at for the one that the engine's session goes on from.
const EXECUTIONS_SEARCHED_MAX: usize = 50;

/// The entries that an agent sees, last changed first.
pub fn entries(
    tx: &impl Tx,
    worker: Option<WorkerId>,
    session: Option<SessionId>,
) -> Result<Vec<Memory>, StoreError> {
    let mut entries = memory::of_scope(tx, MemoryScope::Global)?;
    if let Some(worker) = worker {
        entries.extend(memory::of_scope(tx, MemoryScope::Worker(worker))?);
    }
    if let Some(session) = session {
        entries.extend(memory::of_scope(tx, MemoryScope::Session(session))?);
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.order));
    Ok(entries)
}

/// An agent's own memory with the entries after it. What is too much is left out, the oldest first, and said to be.
pub fn told(own: &str, entries: &[Memory]) -> String {
    let mut told = own.trim_end().to_owned();
    if entries.is_empty() {
        return told;
    }
    let mut lines = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let scope = match entry.scope {
            MemoryScope::Global => "everywhere",
            MemoryScope::Worker(_) => "you",
            MemoryScope::Session(_) => "this chat",
        };
        let line = format!("- {} ({scope}): {}", entry.key, entry.value.trim());
        bytes += line.len();
        if bytes > MEMORY_TOLD_BYTES_MAX {
            break;
        }
        lines.push(line);
    }
    let left_out = entries.len() - lines.len();
    if !told.is_empty() {
        told.push_str("\n\n");
    }
    told.push_str("Remembered:");
    if left_out > 0 {
        let _ = write!(
            told,
            " (the {left_out} oldest are left out for their length)"
        );
    }
    // In the order they were noted.
    for line in lines.iter().rev() {
        told.push('\n');
        told.push_str(line);
    }
    told
}

/// Whether memory changed since the engine's session that goes on was last told of it.
pub fn is_news(
    tx: &impl Tx,
    execution: &Execution,
    engine_session_id: &str,
    entries: &[Memory],
    own_changed_at: Millis,
) -> Result<bool, StoreError> {
    let filter = Filter {
        session: execution.session_id,
        ..Filter::default()
    };
    let order = Order::NewestFirst;
    let page = executions::list(tx, filter, order, None, EXECUTIONS_SEARCHED_MAX)?;
    let is_previous = |other: &&Execution| {
        other.id != execution.id
            && other.worker_id == execution.worker_id
            && other.engine_session_id.as_deref() == Some(engine_session_id)
    };
    let told_at = page
        .rows
        .iter()
        .find(is_previous)
        .and_then(|row| row.started_at);
    let changed_at = entries
        .iter()
        .map(|entry| entry.updated_at)
        .chain([own_changed_at])
        .max();
    Ok(told_at.is_none_or(|told_at| changed_at.is_some_and(|at| at >= told_at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(order: u64, value: &str) -> Memory {
        Memory {
            scope: MemoryScope::Global,
            key: format!("k{order}"),
            value: value.to_owned(),
            order,
            created_at: order,
            updated_at: order,
        }
    }

    #[test]
    fn entries_follow_the_agents_own_memory_in_the_order_they_were_noted() {
        assert_eq!(told("Be brief.", &[]), "Be brief.");
        let entries = [entry(2, "two"), entry(1, "one")];
        assert_eq!(
            told("Be brief.\n", &entries),
            "Be brief.\n\nRemembered:\n- k1 (everywhere): one\n- k2 (everywhere): two"
        );
        assert!(told("", &entries).starts_with("Remembered:\n- k1"));
    }

    #[test]
    fn the_newest_entries_are_kept_and_the_cut_is_said() {
        let long = "x".repeat(MEMORY_TOLD_BYTES_MAX / 3);
        let entries: Vec<Memory> = (1..=5).rev().map(|order| entry(order, &long)).collect();
        let told = told("", &entries);
        assert!(told.contains("the 3 oldest are left out"));
        assert!(told.contains("k5") && told.contains("k4") && !told.contains("k3"));
        assert!(told.len() <= MEMORY_TOLD_BYTES_MAX + 100);
    }
}
