//! What the rest of Skep holds of the journal: a place to submit changes to.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use super::materialise::Opened;
use super::queue::{Jobs, Queue};
use super::writer::{Job, Observer, Submission, Writer, WriterLimits};
use crate::command::{Outcome, Refusal, Submit};
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::metrics::WriterMetrics;
use crate::model::Millis;

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// By the rules; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk is full. Freeing space is enough to go on.
    #[error("the disk is full")]
    StorageFull,
    /// A sync failed: no change is taken any more.
    #[error("the journal takes no more changes: {0}")]
    ReadOnly(String),
    /// More changes wait than may.
    #[error("too many changes wait")]
    Overloaded,
    /// The server is shutting down.
    #[error("the journal is closed")]
    Closed,
    /// A fault of Skep's own.
    #[error("a change failed: {0}")]
    Internal(String),
}

/// How the journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Changes are taken.
    Good,
    /// The disk is full.
    StorageFull,
    /// A sync failed.
    ReadOnly(String),
}

/// The journal, open. Cloning it gives another handle to the same one.
#[derive(Clone)]
pub struct Journal {
    queue: Arc<Queue>,
    health: watch::Receiver<Health>,
    metrics: Arc<WriterMetrics>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Journal {
    /// Starts the writer's thread on what was opened.
    pub fn start(
        opened: Opened,
        disk: Disk,
        data: &DataDir,
        limits: WriterLimits,
        clock: fn() -> Millis,
        observer: Observer,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(limits.commands_waiting_max);
        let jobs = Jobs::new(sender);
        let (health_sender, health) = watch::channel(Health::Good);
        let metrics = Arc::<WriterMetrics>::default();
        let writer = Writer {
            metrics: metrics.clone(),
            disk,
            root: data.root().to_owned(),
            snapshots: data.snapshots(),
            store: opened.store,
            log: opened.log,
            own_jobs: jobs.clone(),
            observer,
            health: health_sender,
            limits,
            clock,
            state: Default::default(),
        };
        let queue = Arc::new(Queue::new(jobs, writer));
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn({
                let queue = queue.clone();
                move || queue.run(&receiver)
            })?;
        Ok(Self {
            queue,
            health,
            metrics,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Makes a change. When this returns `Ok`, it is on disk and every reader sees it.
    pub async fn submit<C: Submit>(&self, change: C) -> Result<C::Outcome, SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.queue.submit(Box::new(Submission {
            command: change.into(),
            answer,
        }))?;
        let outcome: Outcome = answered.await.map_err(|_| SubmitError::Closed)??;
        C::outcome(outcome)
            .ok_or_else(|| SubmitError::Internal("another command's outcome".to_owned()))
    }

    /// Forgets for good what was deleted: writes a snapshot and removes everything older.
    pub async fn purge(&self) -> Result<(), SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.queue.jobs().try_send(Job::Purge(answer))?;
        answered.await.map_err(|_| SubmitError::Closed)?
    }

    /// How the journal is, now and from now on.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// What the writer counts.
    pub fn metrics(&self) -> &WriterMetrics {
        &self.metrics
    }

    /// Writes what waits, makes the tables durable and ends the writer.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        let jobs = self.queue.jobs().clone();
        // The queue may be full: this waits its turn, away from the runtime's threads.
        let sent = tokio::task::spawn_blocking(move || jobs.send(Job::Close(answer))).await;
        if matches!(sent, Ok(true)) {
            let _ = answered.await;
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
