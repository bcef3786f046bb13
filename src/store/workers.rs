//! Workers and the bee.

use redb::ReadableTable;

use super::tables::{WORKERS, WORKERS_BY_NAME};
use super::{Cursor, Page, StoreError, Tx, WriteTx, codec, meta, page};
use crate::model::text::name_key;
use crate::model::{Bee, Worker, WorkerId};

/// A worker.
pub fn get(tx: &impl Tx, id: WorkerId) -> Result<Option<Worker>, StoreError> {
    tx.table(WORKERS)?
        .get(id.as_u128())?
        .map(|row| codec::decode("workers", row.value()))
        .transpose()
}

/// The id of the worker with this name, whatever the case.
pub fn find_by_name(tx: &impl Tx, name: &str) -> Result<Option<WorkerId>, StoreError> {
    Ok(tx
        .table(WORKERS_BY_NAME)?
        .get(name_key(name).as_str())?
        .map(|row| WorkerId::from_u128(row.value())))
}

/// Workers, newest first.
pub fn list(tx: &impl Tx, after: Option<Cursor>, limit: usize) -> Result<Page<Worker>, StoreError> {
    page::newest_first(tx, WORKERS, "workers", after, limit)
}

/// How many workers there are.
pub fn count(tx: &impl Tx) -> Result<u64, StoreError> {
    use redb::ReadableTableMetadata;
    Ok(tx.table(WORKERS)?.len()?)
}

/// Adds a worker.
pub fn insert(tx: &WriteTx, worker: &Worker) -> Result<(), StoreError> {
    tx.table(WORKERS)?
        .insert(worker.id.as_u128(), codec::encode(worker)?.as_slice())?;
    tx.table(WORKERS_BY_NAME)?
        .insert(name_key(&worker.name).as_str(), worker.id.as_u128())?;
    Ok(())
}

/// Changes a worker from `before` to `after`.
pub fn update(tx: &WriteTx, before: &Worker, after: &Worker) -> Result<(), StoreError> {
    tx.table(WORKERS_BY_NAME)?
        .remove(name_key(&before.name).as_str())?;
    insert(tx, after)
}

/// Removes a worker.
pub fn delete(tx: &WriteTx, worker: &Worker) -> Result<(), StoreError> {
    tx.table(WORKERS)?.remove(worker.id.as_u128())?;
    tx.table(WORKERS_BY_NAME)?
        .remove(name_key(&worker.name).as_str())?;
    Ok(())
}

/// The bee.
pub fn bee(tx: &impl Tx) -> Result<Bee, StoreError> {
    Ok(meta::get(tx, meta::BEE)?.unwrap_or_default())
}

/// Changes the bee.
pub fn set_bee(tx: &WriteTx, bee: &Bee) -> Result<(), StoreError> {
    meta::set(tx, meta::BEE, bee)
}
