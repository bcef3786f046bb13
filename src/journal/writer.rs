//! The writer: through it, alone and one batch after the other, every change goes. `queue.rs` says on whose thread.
//!
//! A batch is applied to the tables, appended to the journal with one sync, committed, answered and shown to streams, in
//! this order: nobody hears of a change that could still be lost, and nothing is in the journal that the tables refuse.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::log::Log;
use super::materialise;
use super::queue::Jobs;
use super::{Frame, Health, JournalError, SubmitError};
use crate::command::{self, Added, Apply, Command, Outcome, Rejection};
use crate::disk::Disk;
use crate::metrics::WriterMetrics;
use crate::model::Millis;
use crate::store::{Store, StoreError, WriteTx, meta};

/// The version of the encoding of a frame's payload; the payload's own first byte is the record version.
pub(super) const PAYLOAD_VERSION: u16 = 1;

/// A change is refused when the disk has less room than this: what the tables and the logs of running engines need to
/// come to an end.
pub const FREE_BYTES_MIN: u64 = 16 << 20;

/// What makes room on a full disk ([`Command::is_relief`]) is taken until there is less than this.
pub const FREE_BYTES_FOR_RELIEF: u64 = 4 << 20;

/// The wait after which an idle writer makes a checkpoint.
pub(super) const CHECKPOINT_IDLE: Duration = Duration::from_millis(1_500);

/// The longest time a busy writer goes without a checkpoint.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// The usual [`WriterLimits::sync_inline_max`]: good disks stay far below, turning ones far above.
pub const SYNC_INLINE_MAX: Duration = Duration::from_millis(2);

/// What the writer is asked for.
pub(super) enum Job {
    Submit(Box<Submission>),
    /// Forgets deleted things now: a new snapshot, and nothing older.
    Purge(oneshot::Sender<Result<(), SubmitError>>),
    /// Somebody wrote on a thread of its own: the journal's thread has to look after what follows.
    Tend,
    /// A snapshot was written (or not).
    SnapshotDone(Result<u64, String>),
    Close(oneshot::Sender<()>),
}

pub(super) struct Submission {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Outcome, SubmitError>>,
}

/// Who is told what became durable and can be seen; it must not block.
pub type Observer = Arc<dyn Fn(&[Added]) + Send + Sync>;

/// Bounds of the writer.
#[derive(Debug, Clone)]
pub struct WriterLimits {
    /// Commands that share one sync.
    pub batch_commands_max: usize,
    /// Commands that may wait.
    pub commands_waiting_max: usize,
    /// A segment is sealed at this size at the earliest.
    pub segment_bytes_min: u64,
    /// A segment is sealed at this age at the latest.
    pub segment_age_max: Duration,
    /// redb is synced once this much was appended.
    pub checkpoint_dirty_bytes: u64,
    /// While syncs take longer than this, none is waited for on a thread of the runtime.
    pub sync_inline_max: Duration,
}

pub(super) struct Writer {
    pub(super) disk: Disk,
    pub(super) root: PathBuf,
    pub(super) snapshots: PathBuf,
    pub(super) store: Arc<Store>,
    pub(super) log: Log,
    pub(super) own_jobs: Arc<Jobs>,
    pub(super) observer: Observer,
    pub(super) health: watch::Sender<Health>,
    pub(super) metrics: Arc<WriterMetrics>,
    pub(super) limits: WriterLimits,
    pub(super) clock: fn() -> Millis,
    pub(super) state: State,
}

/// What changes between two batches.
#[derive(Default)]
pub(super) struct State {
    /// Bytes appended since the last checkpoint.
    pub(super) dirty_bytes: u64,
    last_write: Option<Instant>,
    /// How long the last batch took to become durable.
    last_sync: Duration,
    last_checkpoint: Option<Instant>,
    /// The journal has records that the tables lack, because redb could not commit.
    pub(super) tables_are_behind: bool,
    pub(super) snapshot_running: bool,
    /// The disk had as much room as any change needs when the last batch was looked at.
    has_room: bool,
    /// Who waits for a snapshot that is begun after they asked, and for whom the running one is.
    pub(super) purges: Vec<oneshot::Sender<Result<(), SubmitError>>>,
    pub(super) purging: Vec<oneshot::Sender<Result<(), SubmitError>>>,
}

/// When the tables show what is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    /// Before the answers.
    Now,
    /// After them, in a task of the runtime; who reads before makes it so.
    Later,
}

/// A command on its way through a batch.
pub(super) struct Pending {
    pub(super) submission: Box<Submission>,
    pub(super) payload: Vec<u8>,
}

impl Writer {
    /// Writes a batch; when one of its commands breaks it, its commands one by one.
    pub(super) fn write_all(&mut self, batch: Vec<Pending>, commit: Commit) {
        if batch.is_empty() {
            return;
        }
        if let Err((batch, cause)) = self.write(batch, commit) {
            if batch.len() == 1 {
                for pending in batch {
                    let kind = pending.submission.command.kind();
                    tracing::error!(command = kind, cause, "a command could not be applied");
                    answer(
                        pending.submission,
                        Err(SubmitError::Internal(cause.clone())),
                    );
                }
                return;
            }
            for pending in batch {
                self.write_all(vec![pending], commit);
            }
        }
    }

    /// Writes a batch as a whole. `Err` gives it back untouched: one of its commands panicked or the store failed.
    fn write(&mut self, batch: Vec<Pending>, commit: Commit) -> Result<(), (Vec<Pending>, String)> {
        let batch = self.refuse_what_has_no_room(batch);
        if batch.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.make_ready(&batch) {
            refuse(batch, &error);
            return Ok(());
        }
        let tx = match self.store.begin_write(false) {
            Ok(tx) => tx,
            Err(error) => return Err((batch, error.to_string())),
        };
        let first_seq = self.log.next_seq();
        let applied = catch_unwind(AssertUnwindSafe(|| apply_all(&tx, &batch, first_seq)));
        let (results, added) = match applied {
            Ok(Ok(applied)) => applied,
            Ok(Err(error)) => {
                // An aborted transaction leaves nothing; if even that fails, reopening does.
                let _ = tx.abort();
                return Err(self.after_store_error(batch, &error));
            }
            Err(panic) => {
                drop(tx);
                return Err((batch, format!("panic: {}", panic_text(panic.as_ref()))));
            }
        };
        let accepted = batch
            .iter()
            .zip(&results)
            .filter(|(_, result)| result.is_ok());
        let frames: Vec<Frame<'_>> = accepted
            .map(|(pending, _)| Frame {
                version: PAYLOAD_VERSION,
                payload: &pending.payload,
            })
            .collect();
        if frames.is_empty() {
            let _ = tx.abort();
        } else {
            let begun = Instant::now();
            match self.log.append_batch(&frames) {
                Ok(appended) => {
                    let took = begun.elapsed();
                    self.metrics.batch(frames.len(), took);
                    self.state.dirty_bytes += appended.bytes;
                    self.state.last_write = Some(begun);
                    self.state.last_sync = took;
                }
                Err(error) => {
                    let _ = tx.abort();
                    let error = self.journal_failed(error);
                    refuse(batch, &error);
                    return Ok(());
                }
            }
            self.store.leave(tx);
            if commit == Commit::Now
                && let Err(error) = self.settled()
            {
                // On disk and to be seen once the tables have caught up; the client is not told it is done.
                refuse(batch, &error);
                return Ok(());
            }
        }
        for (pending, result) in batch.into_iter().zip(results) {
            answer(pending.submission, result.map_err(SubmitError::Refused));
        }
        // A thousand streams that wake up would otherwise all be before those who wait for an answer.
        match commit {
            _ if added.is_empty() => {}
            Commit::Now => (self.observer)(&added),
            Commit::Later => self.show_later(added),
        }
        Ok(())
    }

    /// Shows what is durable once this thread's task has sent its answer.
    fn show_later(&self, added: Vec<Added>) {
        let (store, observer, jobs) = (
            self.store.clone(),
            self.observer.clone(),
            self.own_jobs.clone(),
        );
        tokio::spawn(async move {
            if store.settle().is_err() {
                let _ = jobs.try_send(Job::Tend);
            }
            observer(&added);
        });
    }

    /// Makes the tables show everything that is durable, if they can.
    pub(super) fn settle(&mut self) {
        let _ = self.settled();
    }

    pub(super) fn settled(&mut self) -> Result<(), SubmitError> {
        if let Err(error) = self.store.settle() {
            tracing::error!(%error, "the tables could not be committed; they are opened again and caught up");
            self.state.tables_are_behind = true;
        }
        match self.state.tables_are_behind {
            true => self.catch_up(),
            false => Ok(()),
        }
    }

    /// Everything that can refuse a batch before it is begun.
    fn make_ready(&mut self, batch: &[Pending]) -> Result<(), SubmitError> {
        if let Some(reason) = self.log.failure() {
            return Err(SubmitError::ReadOnly(reason.to_owned()));
        }
        self.settled()?;
        let bytes: usize = batch
            .iter()
            .map(|pending| pending.payload.len() + super::format::FRAME_HEADER_BYTES)
            .sum();
        self.log
            .reserve(bytes as u64)
            .map_err(|error| self.journal_failed(error))?;
        if self.state.has_room {
            self.set_health(Health::Good);
        }
        Ok(())
    }

    /// Gives back what there is room for: on a disk that is nearly full, what makes room and whoever comes to make it.
    fn refuse_what_has_no_room(&mut self, batch: Vec<Pending>) -> Vec<Pending> {
        let free = self.disk.free_bytes(&self.root).unwrap_or(u64::MAX);
        self.state.has_room = free >= FREE_BYTES_MIN;
        if self.state.has_room || self.log.failure().is_some() {
            return batch;
        }
        self.set_health(Health::StorageFull);
        let fits = |pending: &Pending| {
            free >= FREE_BYTES_FOR_RELIEF && pending.submission.command.is_relief()
        };
        let (relief, rest) = batch.into_iter().partition(fits);
        refuse(rest, &SubmitError::StorageFull);
        relief
    }

    pub(super) fn journal_failed(&mut self, error: JournalError) -> SubmitError {
        match error {
            JournalError::StorageFull { .. } => {
                self.set_health(Health::StorageFull);
                SubmitError::StorageFull
            }
            JournalError::PayloadTooLarge { .. } | JournalError::BatchTooLarge { .. } => {
                SubmitError::Internal(error.to_string())
            }
            error => {
                tracing::error!(%error, "the journal takes no more changes");
                self.set_health(Health::ReadOnly(error.to_string()));
                SubmitError::ReadOnly(error.to_string())
            }
        }
    }

    fn set_health(&self, health: Health) {
        self.health.send_if_modified(|now| {
            let changed = *now != health;
            if changed {
                tracing::info!(from = ?now, to = ?health, "the journal's health changed");
                *now = health;
            }
            changed
        });
    }

    /// After a storage error redb refuses everything until it is opened again.
    fn after_store_error(
        &mut self,
        batch: Vec<Pending>,
        error: &StoreError,
    ) -> (Vec<Pending>, String) {
        if matches!(error, StoreError::Io(_) | StoreError::Redb(_)) {
            self.state.tables_are_behind = true;
            let _ = self.catch_up();
        }
        (batch, error.to_string())
    }

    /// Opens the tables again and replays what they lack.
    pub(super) fn catch_up(&mut self) -> Result<(), SubmitError> {
        let caught_up = self
            .store
            .reopen()
            .map_err(materialise::Error::from)
            .and_then(|()| materialise::replay(&self.store, &self.log));
        match caught_up {
            Ok(_) => {
                self.state.tables_are_behind = false;
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the tables could not be caught up; trying again with the next change");
                self.set_health(Health::StorageFull);
                Err(SubmitError::StorageFull)
            }
        }
    }

    /// Whether so much was written, or so long ago, that a checkpoint cannot wait for an idle moment.
    pub(super) fn checkpoint_is_due(&self) -> bool {
        let state = &self.state;
        let is_old = |at: Instant| at.elapsed() >= CHECKPOINT_INTERVAL;
        state.dirty_bytes >= self.limits.checkpoint_dirty_bytes
            || (state.dirty_bytes > 0 && state.last_checkpoint.is_none_or(is_old))
    }

    /// How long the last batch took to become durable.
    pub(super) fn last_sync(&self) -> Duration {
        self.state.last_sync
    }

    /// Whether nothing was written for a while.
    pub(super) fn is_idle(&self) -> bool {
        self.state
            .last_write
            .is_none_or(|at| at.elapsed() >= CHECKPOINT_IDLE)
    }

    /// Makes the tables durable, so that a start has little to replay.
    pub(super) fn checkpoint(&mut self) {
        if self.state.dirty_bytes == 0
            || self.state.tables_are_behind
            || self.log.failure().is_some()
        {
            return;
        }
        self.state.last_checkpoint = Some(Instant::now());
        if let Err(error) = self.log.mark() {
            let _ = self.journal_failed(error);
            return;
        }
        match materialise::checkpoint(&self.store, &self.log) {
            Ok(()) => {
                self.metrics.checkpoint();
                self.state.dirty_bytes = 0;
            }
            Err(error) => {
                tracing::warn!(%error, "a checkpoint failed; the journal has everything");
                self.state.tables_are_behind = true;
            }
        }
    }

    pub(super) fn close(mut self) {
        self.settle();
        self.checkpoint();
        self.store.close();
        if self.log.failure().is_none()
            && let Err(error) = self.log.close()
        {
            tracing::error!(%error, "the journal could not be closed; the next start repairs it");
        }
    }
}

/// What became of each command of a batch, and the events they added.
type Applied = (Vec<Result<Outcome, command::Refusal>>, Vec<Added>);

fn apply_all(tx: &WriteTx, batch: &[Pending], first_seq: u64) -> Result<Applied, StoreError> {
    let mut cx = Apply::new(tx);
    let mut results = Vec::with_capacity(batch.len());
    let mut accepted = 0;
    for pending in batch {
        match pending.submission.command.apply(&mut cx) {
            Ok(outcome) => {
                accepted += 1;
                results.push(Ok(outcome));
            }
            Err(Rejection::Refused(refusal)) => results.push(Err(refusal)),
            Err(Rejection::Store(error)) => return Err(error),
        }
    }
    if accepted > 0 {
        meta::set(tx, meta::APPLIED_SEQ, &(first_seq + accepted - 1))?;
    }
    Ok((results, cx.added))
}

pub(super) fn encode(submission: Box<Submission>) -> Option<Pending> {
    match command::encode(&submission.command) {
        Ok(payload) if payload.len() <= super::format::PAYLOAD_BYTES_MAX => Some(Pending {
            submission,
            payload,
        }),
        Ok(payload) => {
            let message = format!(
                "a change of {} bytes is more than the journal takes",
                payload.len()
            );
            answer(submission, Err(SubmitError::Internal(message)));
            None
        }
        Err(error) => {
            answer(submission, Err(SubmitError::Internal(error.to_string())));
            None
        }
    }
}

fn refuse(batch: Vec<Pending>, error: &SubmitError) {
    for pending in batch {
        answer(pending.submission, Err(error.clone()));
    }
}

/// A caller that went away does not need its answer.
fn answer(submission: Box<Submission>, result: Result<Outcome, SubmitError>) {
    let _ = submission.answer.send(result);
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
