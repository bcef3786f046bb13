//! Whose thread writes: the journal's own takes what waits, batch by batch; a change that nobody is before is written by
//! whoever submits it.
//!
//! To hand a lone change to another thread and its answer back costs two wake-ups, which is as much as a sync on a good
//! disk. Under load there is always somebody before, so changes wait, and share a sync.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::SubmitError;
use super::format::{BATCH_BYTES_MAX, PAYLOAD_BYTES_MAX};
use super::writer::{CHECKPOINT_IDLE, Job, Submission, Writer, encode};

/// The wait of the journal's thread when nothing needs it.
const REST: Duration = Duration::from_secs(60);

/// The writer, and what waits for it.
pub(super) struct Queue {
    jobs: SyncSender<Job>,
    /// Jobs that were sent and not begun yet: nobody writes past them.
    waiting: AtomicUsize,
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
    pub(super) fn new(jobs: SyncSender<Job>, writer: Writer) -> Self {
        Self {
            jobs,
            waiting: AtomicUsize::new(0),
            desk: Mutex::new(Desk {
                writer: Some(writer),
                is_tended: false,
            }),
        }
    }

    /// Writes the change at once if nobody is before it, else queues it.
    pub(super) fn submit(&self, submission: Box<Submission>) -> Result<(), SubmitError> {
        match self.write_here(submission) {
            Some(submission) => self.send(Job::Submit(submission)),
            None => Ok(()),
        }
    }

    /// Queues a job, if there is room.
    pub(super) fn send(&self, job: Job) -> Result<(), SubmitError> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.jobs.try_send(job).map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            match error {
                TrySendError::Full(_) => SubmitError::Overloaded,
                TrySendError::Disconnected(_) => SubmitError::Closed,
            }
        })
    }

    /// Queues a job, and waits for room. Tells whether there is anybody to do it.
    pub(super) fn send_patiently(&self, job: Job) -> bool {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let is_sent = self.jobs.send(job).is_ok();
        if !is_sent {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        is_sent
    }

    /// Gives the submission back if it has to wait.
    fn write_here(&self, submission: Box<Submission>) -> Option<Box<Submission>> {
        // Only that kind of runtime can go on with its other tasks while this thread waits for the disk.
        let can_block = Handle::try_current()
            .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        if !can_block || self.waiting.load(Ordering::Acquire) > 0 {
            return Some(submission);
        }
        let Ok(mut desk) = self.desk.try_lock() else {
            return Some(submission);
        };
        let Some(writer) = &mut desk.writer else {
            return Some(submission);
        };
        tokio::task::block_in_place(|| writer.write_all(encode(submission).into_iter().collect()));
        let needs_care = writer.checkpoint_is_due() || !desk.is_tended;
        // A full queue is care enough: its thread looks after everything when it has written.
        if needs_care && self.send(Job::Tend).is_ok() {
            desk.is_tended = true;
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
        let mut next = job;
        self.waiting
            .fetch_sub(usize::from(next.is_some()), Ordering::AcqRel);
        while let Some(Job::Submit(submission)) = next {
            if let Some(pending) = encode(submission) {
                bytes += pending.payload.len();
                batch.push(pending);
            }
            let is_full = batch.len() >= writer.limits.batch_commands_max
                || bytes + PAYLOAD_BYTES_MAX > BATCH_BYTES_MAX;
            next = if is_full { None } else { jobs.try_recv().ok() };
            self.waiting
                .fetch_sub(usize::from(next.is_some()), Ordering::AcqRel);
        }
        writer.write_all(batch);
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
