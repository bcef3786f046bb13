//! Tasks, when they are due, and their executions.

use redb::{ReadableTable, ReadableTableMetadata};

use super::tables::{TASK_OF_EXECUTION, TASKS, TASKS_BY_DUE, TASKS_BY_SESSION, TASKS_BY_WORKER};
use super::{Cursor, Page, StoreError, Tx, WriteTx, codec, page};
use crate::model::{ExecutionId, Millis, SessionId, Task, TaskId, WorkerId};

/// A task.
pub fn get(tx: &impl Tx, id: TaskId) -> Result<Option<Task>, StoreError> {
    tx.table(TASKS)?
        .get(id.as_u128())?
        .map(|row| codec::decode("tasks", row.value()))
        .transpose()
}

/// How many tasks there are.
pub fn count(tx: &impl Tx) -> Result<u64, StoreError> {
    Ok(tx.table(TASKS)?.len()?)
}

/// How many tasks a worker has; `None` is the bee.
pub fn count_of(tx: &impl Tx, worker: Option<WorkerId>) -> Result<u64, StoreError> {
    let of_workers = tx.table(TASKS_BY_WORKER)?;
    let Some(worker) = worker else {
        return Ok(count(tx)? - of_workers.len()?);
    };
    let id = worker.as_u128();
    let mut count = 0;
    for row in of_workers.range((id, 0)..=(id, u128::MAX))? {
        row?;
        count += 1;
    }
    Ok(count)
}

/// Tasks, newest first.
pub fn list(tx: &impl Tx, after: Option<Cursor>, limit: usize) -> Result<Page<Task>, StoreError> {
    page::newest_first(tx, TASKS, "tasks", after, limit)
}

/// The task that is due first, and when.
pub fn first_due(tx: &impl Tx) -> Result<Option<(Millis, TaskId)>, StoreError> {
    let first = tx.table(TASKS_BY_DUE)?.first()?.map(|(key, _)| key.value());
    Ok(first.map(|(at, id)| (at, TaskId::from_u128(id))))
}

/// The tasks of a worker; there are at most as many as there may be tasks.
pub fn of_worker(tx: &impl Tx, worker: WorkerId) -> Result<Vec<Task>, StoreError> {
    let id = worker.as_u128();
    let table = tx.table(TASKS_BY_WORKER)?;
    let keys = table.range((id, 0)..=(id, u128::MAX))?;
    all(tx, keys.map(|row| row.map(|(key, _)| key.value().1)))
}

/// The tasks whose replies come to a chat.
pub fn of_session(tx: &impl Tx, session: SessionId) -> Result<Vec<Task>, StoreError> {
    let id = session.as_u128();
    let table = tx.table(TASKS_BY_SESSION)?;
    let keys = table.range((id, 0)..=(id, u128::MAX))?;
    all(tx, keys.map(|row| row.map(|(key, _)| key.value().1)))
}

fn all(
    tx: &impl Tx,
    ids: impl Iterator<Item = Result<u128, redb::StorageError>>,
) -> Result<Vec<Task>, StoreError> {
    let mut tasks = Vec::new();
    for id in ids {
        tasks.extend(get(tx, TaskId::from_u128(id?))?);
    }
    Ok(tasks)
}

/// Adds a task.
pub fn insert(tx: &WriteTx, task: &Task) -> Result<(), StoreError> {
    let id = task.id.as_u128();
    tx.table(TASKS)?
        .insert(id, codec::encode(task)?.as_slice())?;
    if let Some(due) = task.next_run_at {
        tx.table(TASKS_BY_DUE)?.insert((due, id), ())?;
    }
    if let Some(worker) = task.worker_id {
        tx.table(TASKS_BY_WORKER)?
            .insert((worker.as_u128(), id), ())?;
    }
    if let Some(session) = task.session_id {
        tx.table(TASKS_BY_SESSION)?
            .insert((session.as_u128(), id), ())?;
    }
    Ok(())
}

/// Changes a task from `before` to `after`.
pub fn update(tx: &WriteTx, before: &Task, after: &Task) -> Result<(), StoreError> {
    delete(tx, before)?;
    insert(tx, after)
}

/// Removes a task; which executions were its stays known.
pub fn delete(tx: &WriteTx, task: &Task) -> Result<(), StoreError> {
    let id = task.id.as_u128();
    tx.table(TASKS)?.remove(id)?;
    if let Some(due) = task.next_run_at {
        tx.table(TASKS_BY_DUE)?.remove((due, id))?;
    }
    if let Some(worker) = task.worker_id {
        tx.table(TASKS_BY_WORKER)?.remove((worker.as_u128(), id))?;
    }
    if let Some(session) = task.session_id {
        tx.table(TASKS_BY_SESSION)?
            .remove((session.as_u128(), id))?;
    }
    Ok(())
}

/// The task of an execution.
pub fn of_execution(tx: &impl Tx, execution: ExecutionId) -> Result<Option<TaskId>, StoreError> {
    Ok(tx
        .table(TASK_OF_EXECUTION)?
        .get(execution.as_u128())?
        .map(|row| TaskId::from_u128(row.value())))
}

/// Notes that an execution is a task's.
pub fn set_of_execution(
    tx: &WriteTx,
    execution: ExecutionId,
    task: TaskId,
) -> Result<(), StoreError> {
    tx.table(TASK_OF_EXECUTION)?
        .insert(execution.as_u128(), task.as_u128())?;
    Ok(())
}

/// Removes the note, with the execution.
pub fn delete_of_execution(tx: &WriteTx, execution: ExecutionId) -> Result<(), StoreError> {
    tx.table(TASK_OF_EXECUTION)?.remove(execution.as_u128())?;
    Ok(())
}
