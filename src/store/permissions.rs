//! What users were asked about, and what they need not be asked about again.

use std::collections::HashSet;

use redb::ReadableTable;

use super::tables::{ALWAYS_ALLOWED, PERMISSIONS, PERMISSIONS_WAITING};
use super::{StoreError, Tx, WriteTx, codec, executions};
use crate::model::{ExecutionId, Millis, PermissionId, PermissionRequest, SessionId, WorkerId};

/// A request of an execution.
pub fn get(
    tx: &impl Tx,
    execution: ExecutionId,
    id: PermissionId,
) -> Result<Option<PermissionRequest>, StoreError> {
    tx.table(PERMISSIONS)?
        .get((execution.as_u128(), id.as_u128()))?
        .map(|row| codec::decode("permissions", row.value()))
        .transpose()
}

/// All requests of an execution, oldest first; there are at most `PERMISSIONS_PER_EXECUTION_MAX`.
pub fn list(tx: &impl Tx, execution: ExecutionId) -> Result<Vec<PermissionRequest>, StoreError> {
    tx.table(PERMISSIONS)?
        .range(of(execution))?
        .map(|row| codec::decode("permissions", row?.1.value()))
        .collect()
}

/// How many requests an execution made.
pub fn count(tx: &impl Tx, execution: ExecutionId) -> Result<usize, StoreError> {
    Ok(tx.table(PERMISSIONS)?.range(of(execution))?.count())
}

/// The requests of an execution that nobody has answered yet.
pub fn waiting(tx: &impl Tx, execution: ExecutionId) -> Result<Vec<PermissionId>, StoreError> {
    tx.table(PERMISSIONS_WAITING)?
        .range(of(execution))?
        .map(|row| Ok(PermissionId::from_u128(row?.0.value().1)))
        .collect()
}

/// Whether an execution waits for an answer.
pub fn is_waiting(tx: &impl Tx, execution: ExecutionId) -> Result<bool, StoreError> {
    let table = tx.table(PERMISSIONS_WAITING)?;
    let first = table.range(of(execution))?.next();
    Ok(first.transpose()?.is_some())
}

/// The chats in which something waits for an answer; only running executions can.
pub fn waiting_sessions(tx: &impl Tx) -> Result<HashSet<SessionId>, StoreError> {
    let mut sessions = HashSet::new();
    for row in tx.table(PERMISSIONS_WAITING)?.iter()? {
        let session = row?.1.value();
        if session != 0 {
            sessions.insert(SessionId::from_u128(session));
        }
    }
    Ok(sessions)
}

/// The requests for a tool that wait in all executions of a worker (`None` is the bee).
pub fn waiting_for(
    tx: &impl Tx,
    worker: Option<WorkerId>,
    tool: &str,
) -> Result<Vec<PermissionRequest>, StoreError> {
    let mut requests = Vec::new();
    for row in tx.table(PERMISSIONS_WAITING)?.iter()? {
        let (execution, id) = row?.0.value();
        let execution = ExecutionId::from_u128(execution);
        let is_of_worker = executions::get(tx, execution)?.is_some_and(|it| it.worker_id == worker);
        let request = match is_of_worker {
            true => get(tx, execution, PermissionId::from_u128(id))?,
            false => None,
        };
        requests.extend(request.filter(|request| request.tool == tool));
    }
    Ok(requests)
}

/// Writes a request; `session` is its chat. It waits as long as it has no answer.
pub fn put(
    tx: &WriteTx,
    session: Option<SessionId>,
    request: &PermissionRequest,
) -> Result<(), StoreError> {
    let key = (request.execution_id.as_u128(), request.id.as_u128());
    tx.table(PERMISSIONS)?
        .insert(key, codec::encode(request)?.as_slice())?;
    let mut waiting = tx.table(PERMISSIONS_WAITING)?;
    match request.answer {
        None => waiting.insert(key, session.map_or(0, SessionId::as_u128))?,
        Some(_) => waiting.remove(key)?,
    };
    Ok(())
}

/// Removes the requests of an execution that is over.
pub fn delete_all(tx: &WriteTx, execution: ExecutionId) -> Result<(), StoreError> {
    tx.table(PERMISSIONS)?
        .retain_in(of(execution), |_, _| false)?;
    Ok(())
}

/// Whether a worker (`None` is the bee) needs no permission for a tool.
pub fn is_always_allowed(
    tx: &impl Tx,
    worker: Option<WorkerId>,
    tool: &str,
) -> Result<bool, StoreError> {
    let table = tx.table(ALWAYS_ALLOWED)?;
    Ok(table.get((number(worker), tool))?.is_some())
}

/// The tools that a worker (`None` is the bee) needs no permission for, by name.
pub fn always_allowed(tx: &impl Tx, worker: Option<WorkerId>) -> Result<Vec<String>, StoreError> {
    let worker = number(worker);
    let mut tools = Vec::new();
    for row in tx.table(ALWAYS_ALLOWED)?.range((worker, "")..)? {
        let (key, _) = row?;
        let (of, tool) = key.value();
        if of != worker {
            break;
        }
        tools.push(tool.to_owned());
    }
    Ok(tools)
}

/// Remembers that a worker needs no permission for a tool.
pub fn allow_always(
    tx: &WriteTx,
    worker: Option<WorkerId>,
    tool: &str,
    at: Millis,
) -> Result<(), StoreError> {
    tx.table(ALWAYS_ALLOWED)?
        .insert((number(worker), tool), at)?;
    Ok(())
}

/// Forgets it; tells whether it was so.
pub fn forget(tx: &WriteTx, worker: Option<WorkerId>, tool: &str) -> Result<bool, StoreError> {
    let mut table = tx.table(ALWAYS_ALLOWED)?;
    let removed = table.remove((number(worker), tool))?;
    Ok(removed.is_some())
}

/// Forgets all that a worker needed no permission for.
pub fn forget_all(tx: &WriteTx, worker: WorkerId) -> Result<(), StoreError> {
    for tool in always_allowed(tx, Some(worker))? {
        forget(tx, Some(worker), &tool)?;
    }
    Ok(())
}

fn of(execution: ExecutionId) -> std::ops::RangeInclusive<(u128, u128)> {
    let id = execution.as_u128();
    (id, 0)..=(id, u128::MAX)
}

fn number(worker: Option<WorkerId>) -> u128 {
    worker.map_or(0, WorkerId::as_u128)
}
