//! What workers' engines are started with beside what the settings say.

use redb::ReadableTable;

use super::tables::ENGINE_OPTIONS;
use super::{StoreError, Tx, WriteTx, codec};
use crate::model::WorkerId;
use crate::model::engine_options::EngineOptions;

/// A worker's; the default where it has none.
pub fn get(tx: &impl Tx, id: WorkerId) -> Result<EngineOptions, StoreError> {
    let table = tx.table(ENGINE_OPTIONS)?;
    let row = table.get(id.as_u128())?;
    row.map_or(Ok(EngineOptions::default()), |row| {
        codec::decode("engine_options", row.value())
    })
}

/// Sets a worker's.
pub fn put(tx: &WriteTx, id: WorkerId, options: &EngineOptions) -> Result<(), StoreError> {
    tx.table(ENGINE_OPTIONS)?
        .insert(id.as_u128(), codec::encode(options)?.as_slice())?;
    Ok(())
}

/// Removes a worker's.
pub fn delete(tx: &WriteTx, id: WorkerId) -> Result<(), StoreError> {
    tx.table(ENGINE_OPTIONS)?.remove(id.as_u128())?;
    Ok(())
}
