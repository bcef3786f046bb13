//! Whose thread writes: the journal's own takes what waits, batch by batch; a change that nobody is before is written by
//! whoever submits it.
//!
//! To hand a lone change to another thread and its answer back costs two wake-ups, which is as much as a sync on a good
//! disk. Under load there is always somebody before, so changes wait, and share a sync.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::SubmitError;
use super::format::{BATCH_BYTES_MAX, PAYLOAD_BYTES_MAX};
use super::writer::{CHECKPOINT_IDLE, Commit, Job, Submission, Writer, encode};

/// The wait of the journal's thread when nothing needs it.
const REST: Duration = Duration::from_secs(60);

/// The largest change that is written on a thread of the runtime, bytes.
pub(super) const PAYLOAD_INLINE_BYTES_MAX: usize = 64 * 1024;

/// The way to the journal's thread.
pub(super) struct Jobs {
    sender: SyncSender<Job>,
    /// Jobs that were sent and not begun yet: nobody writes past them.
    waiting: AtomicUsize,
}

impl Jobs {
    pub(super) fn new(sender: SyncSender<Job>) -> Arc<Self> {
        let waiting = AtomicUsize::new(0);
        Arc::new(Self { sender, waiting })
    }

    /// Queues a job, if there is room.
    pub(super) fn try_send(&self, job: Job) -> Result<(), SubmitError> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.sender.try_send(job).map_err(|error| {
            self.begun();
            match error {
                TrySendError::Full(_) => SubmitError::Overloaded,
                TrySendError::Disconnected(_) => SubmitError::Closed,
            }
        })
    }

    /// Queues a job and waits for room; tells whether there is anybody to do it.
    pub(super) fn send(&self, job: Job) -> bool {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let sent = self.sender.send(job);
        if sent.is_err() {
            self.begun();
        }
        sent.is_ok()
    }

    fn begun(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The writer, and what waits for it.
pub(super) struct Queue {
    jobs: Arc<Jobs>,
    desk: Mutex<Desk>,
}

/// The place at which one writes at a time.
struct Desk {
    /// `None` once the journal is closed.
    writer: Option<Writer>,
    /// The journal's thread knows, or was told, that there is something to look after.
    is_tended: bool,
}

impl Queue {
    pub(super) fn new(jobs: Arc<Jobs>, writer: Writer) -> Self {
        Self {
            jobs,
            desk: Mutex::new(Desk {
                writer: Some(writer),
                is_tended: false,
            }),
        }
    }

    /// Where other jobs are sent to.
    pub(super) fn jobs(&self) -> &Arc<Jobs> {
        &self.jobs
    }

    /// Writes the change at once if nobody is before it, else queues it.
    pub(super) fn submit(&self, submission: Box<Submission>) -> Result<(), SubmitError> {
        match self.write_here(submission) {
            Some(submission) => self.jobs.try_send(Job::Submit(submission)),
            None => Ok(()),
        }
    }

    /// Gives the submission back if it has to wait.
    fn write_here(&self, submission: Box<Submission>) -> Option<Box<Submission>> {
        // A runtime of one thread has nobody else for its other tasks.
        let has_others = Handle::try_current()
            .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        if !has_others || self.jobs.waiting.load(Ordering::Acquire) > 0 {
            return Some(submission);
        }
        let Ok(mut desk) = self.desk.try_lock() else {
            return Some(submission);
        };
        let Desk { writer, is_tended } = &mut *desk;
        let Some(writer) = writer else {
            return Some(submission);
        };
        if writer.last_sync() > writer.limits.sync_inline_max {
            return Some(submission);
        }
        let pending = match encode(submission) {
            Some(pending) if pending.payload.len() <= PAYLOAD_INLINE_BYTES_MAX => pending,
            Some(pending) => return Some(pending.submission),
            None => return None,
        };
        writer.write_all(vec![pending], Commit::Later);
        // A full queue is care enough: its thread looks after everything when it has written.
        if (writer.checkpoint_is_due() || !*is_tended) && self.jobs.try_send(Job::Tend).is_ok() {
            *is_tended = true;
        }
        None
    }

    /// The journal's thread: writes what waits, and looks after checkpoints and segments.
    pub(super) fn run(&self, jobs: &Receiver<Job>) {
        loop {
            let job = match jobs.recv_timeout(self.rest()) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                // The writer itself holds a sender.
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut desk = self.desk();
            let Some(writer) = &mut desk.writer else {
                return;
            };
            match self.write_what_waits(writer, job, jobs) {
                None => {}
                Some(Job::Close(answer)) => {
                    if let Some(writer) = desk.writer.take() {
                        writer.close();
                    }
                    let _ = answer.send(());
                    return;
                }
                Some(Job::Purge(answer)) => writer.purge(answer),
                Some(Job::SnapshotDone(result)) => writer.snapshot_done(result),
                Some(Job::Submit(_) | Job::Tend) => {}
            }
            writer.settle();
            if writer.checkpoint_is_due() || writer.is_idle() {
                writer.checkpoint();
            }
            writer.rotate_if_due();
        }
    }

    /// Writes one batch, beginning with `job`; gives back the job that is no submission, if that ended it.
    fn write_what_waits(
        &self,
        writer: &mut Writer,
        job: Option<Job>,
        jobs: &Receiver<Job>,
    ) -> Option<Job> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let begin = |job: Option<Job>| job.inspect(|_| self.jobs.begun());
        let mut next = begin(job);
        while let Some(Job::Submit(submission)) = next {
            if let Some(pending) = encode(submission) {
                bytes += pending.payload.len();
                batch.push(pending);
            }
            let is_full = batch.len() >= writer.limits.batch_commands_max
                || bytes + PAYLOAD_BYTES_MAX > BATCH_BYTES_MAX;
            next = match is_full {
                true => None,
                false => begin(jobs.try_recv().ok()),
            };
        }
        writer.write_all(batch, Commit::Now);
        next
    }

    /// How long the journal's thread may sleep.
    fn rest(&self) -> Duration {
        let mut desk = self.desk();
        let is_dirty = desk
            .writer
            .as_ref()
            .is_some_and(|writer| writer.state.dirty_bytes > 0);
        desk.is_tended = is_dirty;
        if is_dirty { CHECKPOINT_IDLE } else { REST }
    }

    /// A writer that panicked is not trusted again; the journal has what was acknowledged.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(|poisoned| {
            let mut desk = PoisonError::into_inner(poisoned);
            desk.writer = None;
            desk
        })
    }
}
