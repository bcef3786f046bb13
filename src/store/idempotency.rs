//! What came of changes that carried an idempotency key, for a day.

use redb::{ReadableTable, ReadableTableMetadata};
use serde::{Deserialize, Serialize};

use super::tables::{IDEMPOTENCY, IDEMPOTENCY_BY_TIME};
use super::{StoreError, Tx, WriteTx, codec};
use crate::model::Millis;

/// How long an outcome is kept.
pub const KEPT_MS: Millis = 24 * 3600 * 1000;
/// How many outcomes are kept; beyond that the oldest go early. A user within the default limits for messages makes
/// 86,400 a day.
pub const KEPT_MAX: u64 = 100_000;
/// How many outcomes whose time is over one new outcome clears away.
const CLEARED: usize = 16;

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When.
    pub at: Millis,
    /// What the client had asked for; another one under the same key is a mistake.
    pub fingerprint: [u8; 32],
    /// The outcome of the change, encoded.
    pub outcome: Vec<u8>,
}

/// What is kept under a key whose time is not over.
pub fn get(tx: &impl Tx, key: &[u8; 32], now: Millis) -> Result<Option<Kept>, StoreError> {
    let kept: Option<Kept> = tx
        .table(IDEMPOTENCY)?
        .get(key)?
        .map(|row| codec::decode("idempotency", row.value()))
        .transpose()?;
    Ok(kept.filter(|kept| now < kept.at.saturating_add(KEPT_MS)))
}

/// Keeps an outcome, and forgets some whose time is over.
pub fn put(tx: &WriteTx, key: &[u8; 32], kept: &Kept) -> Result<(), StoreError> {
    put_bounded(tx, key, kept, KEPT_MAX)
}

fn put_bounded(tx: &WriteTx, key: &[u8; 32], kept: &Kept, kept_max: u64) -> Result<(), StoreError> {
    let mut rows = tx.table(IDEMPOTENCY)?;
    let mut by_time = tx.table(IDEMPOTENCY_BY_TIME)?;
    let before = rows
        .insert(key, codec::encode(kept)?.as_slice())?
        .map(|row| codec::decode::<Kept>("idempotency", row.value()))
        .transpose()?;
    if let Some(before) = before {
        by_time.remove((before.at, key))?;
    }
    by_time.insert((kept.at, key), ())?;
    let excess = by_time.len()?.saturating_sub(kept_max);
    let mut forgotten = Vec::new();
    for row in by_time.iter()?.take(CLEARED) {
        let row = row?.0;
        let (at, key) = row.value();
        let is_over = at.saturating_add(KEPT_MS) <= kept.at;
        if is_over || (forgotten.len() as u64) < excess {
            forgotten.push((at, *key));
        }
    }
    for (at, key) in forgotten {
        by_time.remove((at, &key))?;
        rows.remove(&key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Store;

    fn kept(at: Millis) -> Kept {
        Kept {
            at,
            fingerprint: [1; 32],
            outcome: vec![1, 2, 3],
        }
    }

    /// Runs `change` in a transaction, then says which keys are kept at `now`.
    fn after(store: &Store, now: Millis, change: impl FnOnce(&WriteTx)) -> Vec<u8> {
        let tx = store.begin_write(false).unwrap();
        change(&tx);
        tx.commit().unwrap();
        let found = store.read(|tx| {
            let is_kept = |n: &u8| get(tx, &[*n; 32], now).unwrap().is_some();
            Ok::<_, StoreError>((0..40).filter(is_kept).collect())
        });
        found.unwrap()
    }

    #[test]
    fn an_outcome_is_kept_for_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("hive.redb"), 1 << 20).unwrap();
        let put_one = |tx: &WriteTx| put(tx, &[7; 32], &kept(1000)).unwrap();
        assert_eq!(after(&store, 1000 + KEPT_MS - 1, put_one), [7]);
        assert_eq!(after(&store, 1000 + KEPT_MS, |_| ()), [0u8; 0]);
        // The key may be used anew, and is kept from then on.
        let again = |tx: &WriteTx| put(tx, &[7; 32], &kept(1000 + KEPT_MS)).unwrap();
        assert_eq!(after(&store, 1001 + KEPT_MS, again), [7]);
        let rows = store.read(|tx| {
            let rows = tx.table(IDEMPOTENCY)?.len()?;
            Ok::<_, StoreError>((rows, tx.table(IDEMPOTENCY_BY_TIME)?.len()?))
        });
        assert_eq!(rows.unwrap(), (1, 1));
    }

    #[test]
    fn outcomes_are_bounded_and_the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("hive.redb"), 1 << 20).unwrap();
        let kept_now = after(&store, 100, |tx| {
            for n in 0..8 {
                put_bounded(tx, &[n; 32], &kept(n.into()), 5).unwrap();
            }
        });
        assert_eq!(kept_now, [3, 4, 5, 6, 7]);
    }
}
