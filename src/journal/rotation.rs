//! Segments, the snapshots that follow them, and what goes from disk when there is a newer one, or at once.

use std::time::SystemTime;

use tokio::sync::oneshot;

use super::retention::removable;
use super::writer::{Job, Writer};
use super::{JournalError, SubmitError, materialise, snapshot};

impl Writer {
    pub(super) fn rotate_if_due(&mut self) {
        let is_large = self.log.active_bytes() >= self.segment_bytes();
        let is_old = u128::from(self.log.active_age_ms((self.clock)()))
            >= self.limits.segment_age_max.as_millis();
        if (is_large || is_old) && !self.state.snapshot_running {
            self.rotate();
        }
    }

    /// A segment grows with the tables: writing a snapshot of a large hive every 64 MiB would be most of the work.
    fn segment_bytes(&self) -> u64 {
        let tables = std::fs::metadata(self.store.path()).map_or(0, |metadata| metadata.len());
        self.limits.segment_bytes_min.max(tables / 2)
    }

    fn rotate(&mut self) {
        if self.state.tables_are_behind || self.log.last_seq() == 0 {
            return;
        }
        self.checkpoint();
        let now = (self.clock)();
        if let Err(error) = self.log.seal_and_rotate(now) {
            let _ = self.journal_failed(error);
            return;
        }
        let seq = self.log.last_seq();
        let view = match self.store.view() {
            Ok(view) => view,
            Err(error) => {
                tracing::warn!(%error, "a snapshot could not be begun");
                return;
            }
        };
        self.state.snapshot_running = true;
        self.state.purging = std::mem::take(&mut self.state.purges);
        let (disk, dir, done) = (
            self.disk.clone(),
            self.snapshots.clone(),
            self.own_jobs.clone(),
        );
        let thread = std::thread::Builder::new().name("snapshot".to_owned());
        let spawned = thread.spawn(move || {
            let result = materialise::write_snapshot(&disk, &dir, seq, &view);
            let _ = done.send(Job::SnapshotDone(
                result.map(|()| seq).map_err(|error| error.to_string()),
            ));
        });
        if let Err(error) = spawned {
            self.snapshot_done(Err(error.to_string()));
        }
    }

    pub(super) fn snapshot_done(&mut self, result: Result<u64, String>) {
        self.state.snapshot_running = false;
        let purges = std::mem::take(&mut self.state.purging);
        match result {
            Ok(seq) => {
                tracing::info!(seq, "wrote a snapshot");
                let pruned = self.prune(!purges.is_empty());
                if let Err(error) = &pruned {
                    tracing::warn!(%error, "superseded files could not be removed");
                }
                let mut forgotten =
                    pruned.map_err(|error| SubmitError::Internal(error.to_string()));
                if !purges.is_empty() {
                    forgotten = forgotten.and_then(|()| self.renew_tables(seq));
                }
                for purge in purges {
                    let _ = purge.send(forgotten.clone());
                }
            }
            Err(error) => {
                tracing::warn!(
                    error,
                    "a snapshot could not be written; the journal has everything"
                );
                for purge in purges {
                    let _ = purge.send(Err(SubmitError::Internal(error.clone())));
                }
            }
        }
        if !self.state.purges.is_empty() {
            self.begin_purge();
        }
    }

    /// Leaves nothing of what was deleted in the file of the tables, where free pages keep it.
    fn renew_tables(&mut self, seq: u64) -> Result<(), SubmitError> {
        self.settled()?;
        let (disk, snapshots) = (&self.disk, &self.snapshots);
        match materialise::renew(disk, snapshots, seq, &self.store, &self.log) {
            Ok(()) => {
                self.state.dirty_bytes = 0;
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "the tables could not be written to a new file; the old one may hold what was deleted");
                // Whichever file is there now, it is caught up with.
                self.state.tables_are_behind = true;
                self.catch_up()?;
                Err(SubmitError::Internal(error.to_string()))
            }
        }
    }

    /// Removes what newer files supersede: with patience for slow copies, or `at_once`.
    fn prune(&mut self, at_once: bool) -> Result<(), JournalError> {
        let files = snapshot::list(&self.disk, &self.snapshots)?;
        let (superseded, segments_below) = if at_once {
            let newest = files.last().map(|newest| newest.seq + 1);
            let older = files.iter().rev().skip(1).map(|file| file.path.clone());
            (older.collect(), newest)
        } else {
            let removable = removable(&files, SystemTime::now());
            (removable.snapshots, removable.segments_below)
        };
        for file in superseded {
            self.disk
                .remove_file(&file)
                .map_err(JournalError::io("remove", &file))?;
        }
        self.disk
            .sync_dir(&self.snapshots)
            .map_err(JournalError::io("sync", &self.snapshots))?;
        if let Some(seq) = segments_below {
            self.log.remove_segments_below(seq)?;
        }
        Ok(())
    }

    pub(super) fn purge(&mut self, answer: oneshot::Sender<Result<(), SubmitError>>) {
        self.state.purges.push(answer);
        // A snapshot that is being written may still hold what has to go.
        if !self.state.snapshot_running {
            self.begin_purge();
        }
    }

    fn begin_purge(&mut self) {
        self.rotate();
        for purge in std::mem::take(&mut self.state.purges) {
            let error = "the journal could not be sealed".to_owned();
            let _ = purge.send(Err(SubmitError::Internal(error)));
        }
    }
}
