//! What is due: looked up in the tables and among the files, without changing any.

use std::collections::{BinaryHeap, HashSet};
use std::io;
use std::path::Path;

use super::files::{self, Found};
use super::{Error, Removed};
use crate::config::Retention;
use crate::model::{ExecutionId, Millis, SessionId};
use crate::store::executions::{Filter, Order};
use crate::store::{Cursor, Store, StoreError, executions, pruned, sessions};

/// An upload of the last hour may be waiting for its message: however much there is, it stays.
pub const UPLOAD_GRACE_MS: Millis = 3_600_000;
/// Executions that are looked at in one read.
const EXECUTIONS_READ_AT_ONCE: usize = 1000;
/// The end of a log's name.
const LOG_SUFFIX: &str = ".log";
/// And of its index's.
const INDEX_SUFFIX: &str = ".idx";

/// What one pass removes, the oldest first.
#[derive(Debug, Default)]
pub struct Plan {
    /// Executions.
    pub executions: Vec<ExecutionId>,
    /// Logs whose execution stays.
    pub logs: Vec<ExecutionId>,
    /// Uploads.
    pub uploads: Vec<(SessionId, String)>,
    /// The files of all of these, and those that belong to nothing any more.
    pub log_files: Vec<(ExecutionId, Found)>,
    /// As for logs.
    pub upload_files: Vec<(SessionId, Found)>,
    /// For people.
    pub removed: Removed,
    /// Whether that is all that is due.
    pub is_complete: bool,
}

/// Looks for what is due now, at most `max` of each kind.
pub fn plan(
    store: &Store,
    root: &Path,
    retention: &Retention,
    now: Millis,
    max: usize,
) -> Result<Plan, Error> {
    let mut plan = Plan {
        is_complete: true,
        ..Plan::default()
    };
    if let Some(end) = retention.executions_age.before(now) {
        let old = store.read(|tx| executions::list_ended_before(tx, end, max))?;
        plan.is_complete &= old.len() < max;
        for execution in old {
            plan.removed.executions.add(execution.created_at, 0);
            plan.executions.push(execution.id);
        }
    }
    let looks_at_logs = retention.logs_age.before(now).is_some() || retention.logs_bytes > 0;
    if looks_at_logs || retention.executions_age.before(now).is_some() {
        plan.logs(store, root, retention, now, max)?;
    }
    if retention.uploads_age.before(now).is_some() || retention.uploads_bytes > 0 {
        plan.uploads(store, root, retention, now, max)?;
    }
    Ok(plan)
}

/// Of the executions after `after`, those whose chat was deleted, and where to go on.
pub fn of_deleted_chats(
    store: &Store,
    after: Option<Cursor>,
) -> Result<(Vec<ExecutionId>, Option<Cursor>), StoreError> {
    store.read(|tx| {
        let all = Filter::default();
        let page = executions::list(tx, all, Order::OldestFirst, after, EXECUTIONS_READ_AT_ONCE)?;
        let mut gone = Vec::new();
        for execution in page.rows {
            if let Some(session) = execution.session_id
                && execution.status.is_final()
                && sessions::get(tx, session)?.is_none()
            {
                gone.push(execution.id);
            }
        }
        Ok((gone, page.next))
    })
}

/// The files that belong to nothing any more, all of them.
pub fn orphans(store: &Store, root: &Path) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    files::each(root, "logs", |file| {
        if let Some(id) = execution_of(&file)
            && is_log_gone(store, id).map_err(io::Error::other)?
        {
            plan.log_files.push((id, file));
        }
        Ok(())
    })?;
    files::each(root, "uploads", |file| {
        if let Ok(session) = file.folder.parse::<SessionId>()
            && is_upload_gone(store, session, &file.name).map_err(io::Error::other)?
        {
            plan.upload_files.push((session, file));
        }
        Ok(())
    })?;
    Ok(plan)
}

impl Plan {
    fn logs(
        &mut self,
        store: &Store,
        root: &Path,
        retention: &Retention,
        now: Millis,
        max: usize,
    ) -> Result<(), Error> {
        let going: HashSet<ExecutionId> = self.executions.iter().copied().collect();
        let mut oldest = First::new(max);
        let (mut total, mut orphans) = (0, 0);
        files::each(root, "logs", |file| {
            let Some(id) = execution_of(&file) else {
                return Ok(());
            };
            if is_log_gone(store, id).map_err(io::Error::other)? {
                orphans += 1;
                if orphans <= max {
                    self.removed.orphans.add(file.modified, file.bytes);
                    self.log_files.push((id, file));
                }
            } else {
                total += file.bytes;
                oldest.push((id, file));
            }
            Ok(())
        })?;
        self.is_complete &= orphans <= max;
        let end = retention.logs_age.before(now);
        let mut count = 0;
        for (id, file) in oldest.into_sorted() {
            let is_going = going.contains(&id);
            let is_over = retention.logs_bytes > 0 && total > retention.logs_bytes;
            // Nothing that was made later can be due.
            if !is_going && !is_over && end.is_none_or(|end| made_at(id) >= end) {
                continue;
            }
            let execution = store.read(|tx| executions::get(tx, id))?;
            let ended = execution.and_then(|execution| execution.completed_at);
            let Some(ended) = ended else {
                continue;
            };
            if is_going || is_over || end.is_some_and(|end| ended < end) {
                total -= file.bytes;
                count += 1;
                self.removed.logs.add(ended, file.bytes);
                if !is_going {
                    self.logs.push(id);
                }
                self.log_files.push((id, file));
            }
        }
        self.is_complete &= count < max;
        Ok(())
    }

    fn uploads(
        &mut self,
        store: &Store,
        root: &Path,
        retention: &Retention,
        now: Millis,
        max: usize,
    ) -> Result<(), Error> {
        let busy = store.read(executions::busy_sessions)?;
        let mut oldest = First::new(max);
        let (mut total, mut orphans) = (0, 0);
        files::each(root, "uploads", |file| {
            let Ok(session) = file.folder.parse::<SessionId>() else {
                return Ok(());
            };
            if is_upload_gone(store, session, &file.name).map_err(io::Error::other)? {
                orphans += 1;
                if orphans <= max {
                    self.removed.orphans.add(file.modified, file.bytes);
                    self.upload_files.push((session, file));
                }
            } else {
                total += file.bytes;
                if !busy.contains(&session) {
                    oldest.push((file.modified, session, file));
                }
            }
            Ok(())
        })?;
        self.is_complete &= orphans <= max;
        let end = retention.uploads_age.before(now);
        let settled = now.saturating_sub(UPLOAD_GRACE_MS);
        let mut count = 0;
        for (modified, session, file) in oldest.into_sorted() {
            let is_over = retention.uploads_bytes > 0
                && total > retention.uploads_bytes
                && modified < settled;
            if !is_over && end.is_none_or(|end| modified >= end) {
                break;
            }
            total -= file.bytes;
            count += 1;
            self.removed.uploads.add(modified, file.bytes);
            self.uploads.push((session, file.name.clone()));
            self.upload_files.push((session, file));
        }
        self.is_complete &= count < max;
        Ok(())
    }
}

/// Whether nothing in the tables has this log: its execution went, or the log did.
pub fn is_log_gone(store: &Store, id: ExecutionId) -> Result<bool, crate::store::StoreError> {
    store.read(|tx| Ok(!executions::exists(tx, id)? || pruned::log(tx, id)?.is_some()))
}

/// Whether nothing in the tables has this upload: its chat went, or the upload did.
pub fn is_upload_gone(
    store: &Store,
    session: SessionId,
    name: &str,
) -> Result<bool, crate::store::StoreError> {
    store.read(|tx| {
        let is_known = sessions::get(tx, session)?.is_some();
        Ok(!is_known || pruned::upload(tx, session, name)?.is_some())
    })
}

fn execution_of(file: &Found) -> Option<ExecutionId> {
    file.name.strip_suffix(LOG_SUFFIX)?.parse().ok()
}

/// What lies beside a log.
pub fn index_of(log: &Found) -> Found {
    let stem = log.name.strip_suffix(LOG_SUFFIX).unwrap_or(&log.name);
    Found {
        name: format!("{stem}{INDEX_SUFFIX}"),
        ..log.clone()
    }
}

/// The first 48 bits of a UUIDv7.
fn made_at(id: ExecutionId) -> Millis {
    Millis::try_from(id.as_u128() >> 80).unwrap_or(Millis::MAX)
}

/// Of all that is pushed, the first ones in order, at most as many as it takes.
pub(super) struct First<T> {
    heap: BinaryHeap<T>,
    max: usize,
}

impl<T: Ord> First<T> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            heap: BinaryHeap::new(),
            max,
        }
    }

    pub(super) fn push(&mut self, item: T) {
        self.heap.push(item);
        if self.heap.len() > self.max {
            self.heap.pop();
        }
    }

    pub(super) fn into_sorted(self) -> Vec<T> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_ones_are_kept() {
        let mut first = First::new(2);
        for number in [5, 1, 4, 2, 3] {
            first.push(number);
        }
        assert_eq!(first.into_sorted(), [1, 2]);
    }
}
