//! Executions, their indexes and the queue.

use std::collections::HashSet;
use std::ops::Bound;

use redb::ReadableTable;

use super::tables::{
    EXECUTIONS, EXECUTIONS_BY_SESSION, EXECUTIONS_BY_STATUS, EXECUTIONS_BY_WORKER,
    EXECUTIONS_BY_WORKER_STATUS, QUEUE, QUEUE_BY_EXECUTION, QUEUE_LENGTHS,
};
use super::{Cursor, Page, StoreError, Tx, WriteTx, codec, meta, page};
use crate::model::{Execution, ExecutionId, ExecutionStatus, Millis, SessionId, WorkerId};

/// An execution.
pub fn get(tx: &impl Tx, id: ExecutionId) -> Result<Option<Execution>, StoreError> {
    tx.table(EXECUTIONS)?
        .get(id.as_u128())?
        .map(|row| codec::decode("executions", row.value()))
        .transpose()
}

/// Which executions a list shows; everything that is given must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// In this state.
    pub status: Option<ExecutionStatus>,
    /// Of this worker.
    pub worker: Option<WorkerId>,
    /// Of this chat.
    pub session: Option<SessionId>,
    /// Queued at this time or later.
    pub since: Option<Millis>,
    /// Queued before this time.
    pub until: Option<Millis>,
}

/// In which order a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// For logs and tables.
    NewestFirst,
    /// For the course of a chat.
    OldestFirst,
}

/// Executions along the narrowest index that the filter allows.
pub fn list(
    tx: &impl Tx,
    filter: Filter,
    order: Order,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page<Execution>, StoreError> {
    // Ids are in time order, so times bound them: the first 48 bits of a UUIDv7 are its milliseconds.
    let at = |millis: Millis| u128::from(millis.min((1 << 48) - 1)) << 80;
    let mut low = Bound::Included(filter.since.map_or(0, at));
    let mut high = filter.until.map_or(Bound::Included(u128::MAX), |until| {
        Bound::Excluded(at(until))
    });
    match (order, after) {
        (Order::NewestFirst, Some(cursor)) => high = Bound::Excluded(cursor.minor),
        (Order::OldestFirst, Some(cursor)) => low = Bound::Excluded(cursor.minor),
        (_, None) => {}
    }
    if is_empty(low, high) {
        return Ok(Page {
            rows: Vec::new(),
            next: None,
        });
    }
    let rows = tx.table(EXECUTIONS)?;
    let load = |&id: &u128| -> Result<Option<Execution>, StoreError> {
        let Some(row) = rows.get(id)? else {
            return Ok(None);
        };
        let execution: Execution = codec::decode("executions", row.value())?;
        let fits = filter
            .status
            .is_none_or(|status| status == execution.status)
            && filter
                .worker
                .is_none_or(|worker| Some(worker) == execution.worker_id)
            && filter
                .session
                .is_none_or(|session| Some(session) == execution.session_id);
        Ok(fits.then_some(execution))
    };
    let cursor = |&id: &u128| Cursor {
        major: 0,
        minor: id,
    };
    // One arm per index: the key types differ, the walk does not.
    macro_rules! walk {
        ($table:expr, $prefix:expr, $id:expr) => {{
            let table = tx.table($table)?;
            let range = table.range((low.map($prefix), high.map($prefix)))?;
            let keys = range.map(|row| {
                row.map(|(key, _)| $id(key.value()))
                    .map_err(StoreError::from)
            });
            match order {
                Order::NewestFirst => page::collect(keys.rev(), limit, cursor, load),
                Order::OldestFirst => page::collect(keys, limit, cursor, load),
            }
        }};
    }
    match filter {
        Filter {
            session: Some(session),
            ..
        } => {
            walk!(
                EXECUTIONS_BY_SESSION,
                |id| (session.as_u128(), id),
                |key: (u128, u128)| key.1
            )
        }
        Filter {
            worker: Some(worker),
            status: Some(status),
            ..
        } => walk!(
            EXECUTIONS_BY_WORKER_STATUS,
            |id| (worker.as_u128(), status as u8, id),
            |key: (u128, u8, u128)| key.2
        ),
        Filter {
            worker: Some(worker),
            ..
        } => {
            walk!(
                EXECUTIONS_BY_WORKER,
                |id| (worker.as_u128(), id),
                |key: (u128, u128)| key.1
            )
        }
        Filter {
            status: Some(status),
            ..
        } => {
            walk!(
                EXECUTIONS_BY_STATUS,
                |id| (status as u8, id),
                |key: (u8, u128)| key.1
            )
        }
        Filter { .. } => walk!(EXECUTIONS, |id| id, |key: u128| key),
    }
}

fn is_empty(low: Bound<u128>, high: Bound<u128>) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) => low >= high,
        _ => false,
    }
}

/// What a worker (`None` is the bee) does and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// An execution is running.
    pub running: bool,
    /// How many wait.
    pub pending: u64,
    /// How its last final execution ended.
    pub last: Option<ExecutionStatus>,
}

/// What a worker does and did, from the index alone.
pub fn activity(tx: &impl Tx, worker_id: Option<WorkerId>) -> Result<Activity, StoreError> {
    let table = tx.table(EXECUTIONS_BY_WORKER_STATUS)?;
    let worker = worker_id.map_or(0, WorkerId::as_u128);
    let of = |status: ExecutionStatus| {
        table
            .range((worker, status as u8, 0)..=(worker, status as u8, u128::MAX))
            .map_err(StoreError::from)
    };
    let mut last = None;
    for status in [
        ExecutionStatus::Completed,
        ExecutionStatus::Failed,
        ExecutionStatus::Cancelled,
    ] {
        if let Some(row) = of(status)?.next_back() {
            last = last.max(Some((row?.0.value().2, status as u8)));
        }
    }
    Ok(Activity {
        running: is_running(tx, worker_id)?,
        pending: waiting(tx, worker_id)?,
        last: last.map(|(_, status)| match status {
            status if status == ExecutionStatus::Completed as u8 => ExecutionStatus::Completed,
            status if status == ExecutionStatus::Failed as u8 => ExecutionStatus::Failed,
            _ => ExecutionStatus::Cancelled,
        }),
    })
}

/// Whether a worker (`None` is the bee) runs something.
pub fn is_running(tx: &impl Tx, worker: Option<WorkerId>) -> Result<bool, StoreError> {
    let worker = worker.map_or(0, WorkerId::as_u128);
    let running = ExecutionStatus::Running as u8;
    let keys = (worker, running, 0)..=(worker, running, u128::MAX);
    let table = tx.table(EXECUTIONS_BY_WORKER_STATUS)?;
    let first = table.range(keys)?.next();
    Ok(first.transpose()?.is_some())
}

/// All running executions; there are at most as many as may run at once.
pub fn list_running(tx: &impl Tx) -> Result<Vec<Execution>, StoreError> {
    let filter = Filter {
        status: Some(ExecutionStatus::Running),
        ..Filter::default()
    };
    Ok(list(tx, filter, Order::OldestFirst, None, usize::MAX)?.rows)
}

/// A pending execution's place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Where it stands; places only grow.
    pub place: u64,
    /// The execution.
    pub execution: ExecutionId,
    /// Its worker; `None` is the bee.
    pub worker: Option<WorkerId>,
    /// Its chat.
    pub session: Option<SessionId>,
}

/// The first execution at `place` or behind it in the queue that `may_start` accepts. The queue is bounded, and so is
/// this walk.
pub fn find_in_queue(
    tx: &impl Tx,
    place: u64,
    mut may_start: impl FnMut(&Waiting) -> bool,
) -> Result<Option<Waiting>, StoreError> {
    for row in tx.table(QUEUE)?.range(place..)? {
        let (place, value) = row?;
        let (execution, worker, session) = value.value();
        let waiting = Waiting {
            place: place.value(),
            execution: ExecutionId::from_u128(execution),
            worker: (worker != 0).then(|| WorkerId::from_u128(worker)),
            session: (session != 0).then(|| SessionId::from_u128(session)),
        };
        if may_start(&waiting) {
            return Ok(Some(waiting));
        }
    }
    Ok(None)
}

/// How many executions there are.
pub fn count(tx: &impl Tx) -> Result<u64, StoreError> {
    use redb::ReadableTableMetadata;
    Ok(tx.table(EXECUTIONS)?.len()?)
}

/// How many executions wait.
pub fn queue_length(tx: &impl Tx) -> Result<u64, StoreError> {
    use redb::ReadableTableMetadata;
    Ok(tx.table(QUEUE)?.len()?)
}

/// How many executions of a worker (`None` is the bee) wait.
pub fn waiting(tx: &impl Tx, worker: Option<WorkerId>) -> Result<u64, StoreError> {
    let key = worker.map_or(0, WorkerId::as_u128);
    Ok(tx
        .table(QUEUE_LENGTHS)?
        .get(key)?
        .map_or(0, |row| row.value()))
}

/// How many executions run; a few at most.
pub fn count_running(tx: &impl Tx) -> Result<u64, StoreError> {
    let running = ExecutionStatus::Running as u8;
    let table = tx.table(EXECUTIONS_BY_STATUS)?;
    let rows = table.range((running, 0)..=(running, u128::MAX))?;
    Ok(rows.count() as u64)
}

/// Adds a pending execution at the end of the queue.
pub fn insert(tx: &WriteTx, execution: &Execution) -> Result<(), StoreError> {
    let id = execution.id.as_u128();
    tx.table(EXECUTIONS)?
        .insert(id, codec::encode(execution)?.as_slice())?;
    if let Some(session) = execution.session_id {
        tx.table(EXECUTIONS_BY_SESSION)?
            .insert((session.as_u128(), id), ())?;
    }
    if let Some(worker) = execution.worker_id {
        tx.table(EXECUTIONS_BY_WORKER)?
            .insert((worker.as_u128(), id), ())?;
    }
    index_status(tx, execution)?;
    let place = meta::next(tx, meta::NEXT_QUEUE)?;
    let worker = execution.worker_id.map_or(0, WorkerId::as_u128);
    let session = execution.session_id.map_or(0, SessionId::as_u128);
    tx.table(QUEUE)?.insert(place, (id, worker, session))?;
    tx.table(QUEUE_BY_EXECUTION)?.insert(id, place)?;
    set_waiting(tx, execution.worker_id, |count| count + 1)
}

/// Changes an execution from `before` to `after`; one that is no longer pending leaves the queue.
pub fn update(tx: &WriteTx, before: &Execution, after: &Execution) -> Result<(), StoreError> {
    let id = after.id.as_u128();
    tx.table(EXECUTIONS)?
        .insert(id, codec::encode(after)?.as_slice())?;
    if before.status == after.status {
        return Ok(());
    }
    let worker = before.worker_id.map_or(0, WorkerId::as_u128);
    tx.table(EXECUTIONS_BY_STATUS)?
        .remove((before.status as u8, id))?;
    tx.table(EXECUTIONS_BY_WORKER_STATUS)?
        .remove((worker, before.status as u8, id))?;
    index_status(tx, after)?;
    if before.status == ExecutionStatus::Pending
        && let Some(place) = tx
            .table(QUEUE_BY_EXECUTION)?
            .remove(id)?
            .map(|row| row.value())
    {
        tx.table(QUEUE)?.remove(place)?;
        set_waiting(tx, after.worker_id, |count| count.saturating_sub(1))?;
    }
    Ok(())
}

/// The chats in which something waits or runs.
pub fn busy_sessions(tx: &impl Tx) -> Result<HashSet<SessionId>, StoreError> {
    let running = list_running(tx)?;
    let mut busy: HashSet<SessionId> = running
        .iter()
        .filter_map(|execution| execution.session_id)
        .collect();
    find_in_queue(tx, 0, |waiting| {
        busy.extend(waiting.session);
        false
    })?;
    Ok(busy)
}

/// Removes a final execution with its places in the indexes.
pub fn delete(tx: &WriteTx, execution: &Execution) -> Result<(), StoreError> {
    let id = execution.id.as_u128();
    let worker = execution.worker_id.map_or(0, WorkerId::as_u128);
    let status = execution.status as u8;
    tx.table(EXECUTIONS)?.remove(id)?;
    if let Some(session) = execution.session_id {
        tx.table(EXECUTIONS_BY_SESSION)?
            .remove((session.as_u128(), id))?;
    }
    tx.table(EXECUTIONS_BY_WORKER)?.remove((worker, id))?;
    tx.table(EXECUTIONS_BY_STATUS)?.remove((status, id))?;
    tx.table(EXECUTIONS_BY_WORKER_STATUS)?
        .remove((worker, status, id))?;
    Ok(())
}

/// Whether there is one; cheaper than to get it.
pub fn exists(tx: &impl Tx, id: ExecutionId) -> Result<bool, StoreError> {
    Ok(tx.table(EXECUTIONS)?.get(id.as_u128())?.is_some())
}

/// At most `limit` final executions that ended before `end`, the oldest first.
pub fn list_ended_before(
    tx: &impl Tx,
    end: Millis,
    limit: usize,
) -> Result<Vec<Execution>, StoreError> {
    // None has ended before it was made, and ids are in the order in which they were.
    let made_before = u128::from(end.min((1 << 48) - 1)) << 80;
    let mut found = Vec::new();
    for row in tx.table(EXECUTIONS)?.range(..made_before)? {
        if found.len() == limit {
            break;
        }
        let execution: Execution = codec::decode("executions", row?.1.value())?;
        let has_ended = execution.completed_at.is_some_and(|at| at < end);
        if execution.status.is_final() && has_ended {
            found.push(execution);
        }
    }
    Ok(found)
}

fn set_waiting(
    tx: &WriteTx,
    worker: Option<WorkerId>,
    change: impl Fn(u64) -> u64,
) -> Result<(), StoreError> {
    let count = change(waiting(tx, worker)?);
    let key = worker.map_or(0, WorkerId::as_u128);
    let mut table = tx.table(QUEUE_LENGTHS)?;
    match count {
        0 => table.remove(key)?,
        count => table.insert(key, count)?,
    };
    Ok(())
}

fn index_status(tx: &WriteTx, execution: &Execution) -> Result<(), StoreError> {
    let id = execution.id.as_u128();
    let worker = execution.worker_id.map_or(0, WorkerId::as_u128);
    tx.table(EXECUTIONS_BY_STATUS)?
        .insert((execution.status as u8, id), ())?;
    tx.table(EXECUTIONS_BY_WORKER_STATUS)?
        .insert((worker, execution.status as u8, id), ())?;
    Ok(())
}
