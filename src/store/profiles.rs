//! What workers have beside themselves.

use redb::ReadableTable;

use super::tables::PROFILES;
use super::{StoreError, Tx, WriteTx, codec};
use crate::model::WorkerId;
use crate::model::profile::Profile;

/// A worker's; the default where it has none.
pub fn get(tx: &impl Tx, id: WorkerId) -> Result<Profile, StoreError> {
    let table = tx.table(PROFILES)?;
    let row = table.get(id.as_u128())?;
    row.map_or(Ok(Profile::default()), |row| {
        codec::decode("profiles", row.value())
    })
}

/// Sets a worker's.
pub fn put(tx: &WriteTx, id: WorkerId, profile: &Profile) -> Result<(), StoreError> {
    tx.table(PROFILES)?
        .insert(id.as_u128(), codec::encode(profile)?.as_slice())?;
    Ok(())
}

/// Removes a worker's.
pub fn delete(tx: &WriteTx, id: WorkerId) -> Result<(), StoreError> {
    tx.table(PROFILES)?.remove(id.as_u128())?;
    Ok(())
}
