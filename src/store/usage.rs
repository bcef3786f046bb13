//! What executions came to, summed up when they end: no question walks over the executions themselves.

use redb::{ReadableTable, ReadableTableMetadata};
use serde::{Deserialize, Serialize};

use super::tables::{
    EXECUTIONS, USAGE_BY_DAY, USAGE_BY_MODEL, USAGE_BY_WORKER, USAGE_BY_WORKER_DAY,
};
use super::{Cursor, Page, StoreError, Tx, WriteTx, codec, meta, page};
use crate::model::limits::USAGE_MODELS_MAX;
use crate::model::tally::{Tally, day_of};
use crate::model::{Execution, WorkerId};

/// What a worker's executions came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfWorker {
    /// Its name when it ran last: it may be gone.
    pub name: String,
    /// The sum.
    pub tally: Tally,
}

/// What an engine's executions with one model came to. Both are empty for all those above `USAGE_MODELS_MAX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfModel {
    /// The engine.
    pub engine: String,
    /// The model; empty where nobody said it.
    pub model: String,
    /// The sum.
    pub tally: Tally,
}

/// Which days: from the first to the last.
pub type Days = std::ops::RangeInclusive<u64>;

/// Whether executions are summed up already.
pub fn is_counted(tx: &impl Tx) -> Result<bool, StoreError> {
    Ok(meta::get::<bool>(tx, meta::USAGE_COUNTED)?.unwrap_or(false))
}

/// Sums up all that has ended, once; from now on [`add`] does it.
pub fn count_all(tx: &WriteTx) -> Result<(), StoreError> {
    if is_counted(tx)? {
        return Ok(());
    }
    meta::set(tx, meta::USAGE_COUNTED, &true)?;
    let executions = tx.table(EXECUTIONS)?;
    for row in executions.iter()? {
        let execution: Execution = codec::decode("executions", row?.1.value())?;
        if execution.status.is_final() {
            add(tx, &execution)?;
        }
    }
    Ok(())
}

/// Adds an execution that has ended.
pub fn add(tx: &WriteTx, execution: &Execution) -> Result<(), StoreError> {
    if !is_counted(tx)? {
        return Ok(());
    }
    let tally = Tally::of(execution);
    let day = day_of(execution.completed_at.unwrap_or(execution.created_at));
    let worker = execution.worker_id.map_or(0, WorkerId::as_u128);
    let sum = |before: Option<&[u8]>| -> Result<Vec<u8>, StoreError> {
        let mut sum: Tally =
            before.map_or(Ok(Tally::default()), |row| codec::decode("usage", row))?;
        sum.add(&tally);
        codec::encode(&sum)
    };

    let mut days = tx.table(USAGE_BY_DAY)?;
    let row = sum(days.get(day)?.as_ref().map(|row| row.value()))?;
    days.insert(day, row.as_slice())?;

    let mut days = tx.table(USAGE_BY_WORKER_DAY)?;
    let row = sum(days.get((worker, day))?.as_ref().map(|row| row.value()))?;
    days.insert((worker, day), row.as_slice())?;

    let mut workers = tx.table(USAGE_BY_WORKER)?;
    let before = workers
        .get(worker)?
        .map(|row| codec::decode::<OfWorker>("usage_by_worker", row.value()))
        .transpose()?;
    let mut of_worker = OfWorker {
        name: execution.worker_name.clone(),
        tally: before.map(|before| before.tally).unwrap_or_default(),
    };
    of_worker.tally.add(&tally);
    workers.insert(worker, codec::encode(&of_worker)?.as_slice())?;

    let mut models = tx.table(USAGE_BY_MODEL)?;
    let mut key = (execution.engine.as_str(), execution.model.as_str());
    // An engine says itself what its model is, and may say anything.
    if models.get(key)?.is_none() && models.len()? >= USAGE_MODELS_MAX as u64 {
        key = ("", "");
    }
    let row = sum(models.get(key)?.as_ref().map(|row| row.value()))?;
    models.insert(key, row.as_slice())?;
    Ok(())
}

/// The sum of some days, of all executions.
pub fn sum(tx: &impl Tx, days: Days) -> Result<Tally, StoreError> {
    let mut sum = Tally::default();
    for row in tx.table(USAGE_BY_DAY)?.range(days)? {
        sum.add(&codec::decode("usage_by_day", row?.1.value())?);
    }
    Ok(sum)
}

/// The sum of some days of a worker; `None` is the bee.
pub fn sum_of_worker(
    tx: &impl Tx,
    worker: Option<WorkerId>,
    days: Days,
) -> Result<Tally, StoreError> {
    let worker = worker.map_or(0, WorkerId::as_u128);
    let keys = (worker, *days.start())..=(worker, *days.end());
    let mut sum = Tally::default();
    for row in tx.table(USAGE_BY_WORKER_DAY)?.range(keys)? {
        sum.add(&codec::decode("usage_by_worker_day", row?.1.value())?);
    }
    Ok(sum)
}

/// Days on which something ended, of one worker (`Some(None)` is the bee) or of all, the last first.
pub fn list_days(
    tx: &impl Tx,
    worker: Option<Option<WorkerId>>,
    days: &Days,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page<(u64, Tally)>, StoreError> {
    let first = *days.start();
    let end = days.end().saturating_add(1);
    let end = after.map_or(end, |cursor| cursor.major.min(end));
    let cursor = |row: &(u64, Tally)| Cursor {
        major: row.0,
        minor: 0,
    };
    let first = first.min(end);
    match worker {
        None => {
            let table = tx.table(USAGE_BY_DAY)?;
            let rows = table.range(first..end)?.rev().map(|row| {
                let (day, tally) = row?;
                Ok((day.value(), codec::decode("usage_by_day", tally.value())?))
            });
            page::collect(rows, limit, cursor, |row| Ok(Some(*row)))
        }
        Some(worker) => {
            let worker = worker.map_or(0, WorkerId::as_u128);
            let table = tx.table(USAGE_BY_WORKER_DAY)?;
            let rows = table
                .range((worker, first)..(worker, end))?
                .rev()
                .map(|row| {
                    let (key, tally) = row?;
                    let tally = codec::decode("usage_by_worker_day", tally.value())?;
                    Ok((key.value().1, tally))
                });
            page::collect(rows, limit, cursor, |row| Ok(Some(*row)))
        }
    }
}

/// Workers that ever ran something, the newest first and the bee last; `days` are those of the sum, `None` is all.
pub fn list_workers(
    tx: &impl Tx,
    days: Option<&Days>,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page<(Option<WorkerId>, OfWorker)>, StoreError> {
    let table = tx.table(USAGE_BY_WORKER)?;
    let keys = table
        .range(..after.map_or(u128::MAX, |cursor| cursor.minor))?
        .rev()
        .map(|row| {
            row.map(|(id, value)| (id.value(), value))
                .map_err(StoreError::from)
        });
    page::collect(
        keys,
        limit,
        |(id, _)| Cursor {
            major: 0,
            minor: *id,
        },
        |(id, value)| {
            let of_worker: OfWorker = codec::decode("usage_by_worker", value.value())?;
            let worker = (*id != 0).then(|| WorkerId::from_u128(*id));
            let Some(days) = days else {
                return Ok(Some((worker, of_worker)));
            };
            let tally = sum_of_worker(tx, worker, days.clone())?;
            let some = (tally.executions() > 0).then_some(OfWorker { tally, ..of_worker });
            Ok(some.map(|of_worker| (worker, of_worker)))
        },
    )
}

/// Engines with their models, by name.
pub fn list_models(tx: &impl Tx) -> Result<Vec<OfModel>, StoreError> {
    let table = tx.table(USAGE_BY_MODEL)?;
    let rows = table.iter()?.map(|row| {
        let (key, value) = row?;
        let (engine, model) = key.value();
        Ok(OfModel {
            engine: engine.to_owned(),
            model: model.to_owned(),
            tally: codec::decode("usage_by_model", value.value())?,
        })
    });
    rows.collect()
}
