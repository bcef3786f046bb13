//! The supervisor: owns every running execution.
//!
//! Owns who answers a message, the queue, start, stop and settlement of executions; it alone changes an execution after
//! it was queued. Must never know HTTP. Start reading at [`Supervisor`], then [`run`]; [`routing::route`] stands alone.

mod agents;
mod consult;
mod matching;
mod permission;
mod remembered;
pub mod routing;
mod run;
mod scheduler;
mod settle;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use agents::{AGENT_TOKEN_PREFIX, Agent};

use crate::command::{Added, CancelPending, Refusal};
use crate::data_dir::DataDir;
use crate::engine::permission::Asker;
use crate::engine::{Engines, Stop};
use crate::execution_log::LogLength;
use crate::feed::Feed;
use crate::journal::{Journal, SubmitError};
use crate::model::{ExecutionId, Millis, SessionId, WorkerId};
use crate::store::{Store, StoreError, executions};

/// How long the supervisor waits before it tries again what the store or the disk refused.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a start that was refused, so that a queue that cannot go on does not spin.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// What may be set of the supervisor.
#[derive(Debug, Clone)]
pub struct SupervisorLimits {
    /// Executions that run at once.
    pub concurrent_max: usize,
    /// The time one may run when its worker says nothing.
    pub timeout: Duration,
    /// The size of a log at which a run is ended.
    pub log_bytes_max: u64,
    /// The time a permission request waits for its answer.
    pub permission_timeout: Duration,
}

/// Everything the supervisor works with.
pub struct Parts {
    /// The data directory.
    pub data: Arc<DataDir>,
    /// The tables.
    pub store: Arc<Store>,
    /// The journal.
    pub journal: Journal,
    /// The feed.
    pub feed: Arc<Feed>,
    /// The engines.
    pub engines: Arc<Engines>,
    /// Its bounds.
    pub limits: SupervisorLimits,
    /// The clock.
    pub clock: fn() -> Millis,
    /// What tells it that an execution may have become able to start.
    pub wake: Arc<Wake>,
    /// Where engines reach Skep's tools; `None`: nowhere.
    pub mcp_url: Option<String>,
}

/// Tells the supervisor that the queue has changed.
#[derive(Default)]
pub struct Wake {
    notify: Notify,
    /// Whether somebody may have come free, and not only joined at the end of the queue.
    is_freed: AtomicBool,
    /// Told when tasks have changed.
    task: Notify,
}

impl Wake {
    /// Looks at events that have just become durable; called by the journal's writer. One who queues up behind a run of
    /// its own worker is seen when that run ends.
    pub fn see(&self, added: &[Added]) {
        if added.iter().any(|event| event.is_task) {
            self.task.notify_one();
        }
        if added.iter().any(|event| event.is_end) {
            self.freed();
        } else if added.iter().any(|event| event.may_start) {
            self.notify.notify_one();
        }
    }

    /// A worker, a chat or a place may be free.
    fn freed(&self) {
        self.is_freed.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

/// How far the queue was looked at since somebody last came free, and whom those up to there wait for.
#[derive(Default)]
struct Seen {
    place: u64,
    workers: HashSet<WorkerId>,
    sessions: HashSet<SessionId>,
}

/// Starts, watches and ends executions.
pub struct Supervisor {
    parts: Parts,
    running: Mutex<HashMap<ExecutionId, Entry>>,
    seen: Mutex<Seen>,
    /// Workers that are being deleted: nothing of theirs starts.
    barred: Mutex<HashSet<WorkerId>>,
    /// Told after every end of a run.
    ended: watch::Sender<u64>,
    held: AtomicBool,
    closing: CancellationToken,
    /// Who waits for an answer.
    waiters: Mutex<consult::Waiters>,
    itself: Weak<Supervisor>,
}

/// A running execution, as the supervisor's callers see it.
struct Entry {
    worker: Option<WorkerId>,
    session: Option<SessionId>,
    stop: watch::Sender<Option<Stop>>,
    log: Option<watch::Receiver<LogLength>>,
    pid: Option<watch::Receiver<Option<u32>>>,
    known: Option<agents::Known>,
    asker: Option<Asker>,
}

/// The next execution to run, and what will tell it to stop.
type Next = (ExecutionId, watch::Receiver<Option<Stop>>);

/// What a cancel met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It runs and was told to stop.
    Stopping,
    /// It waited and is cancelled now.
    Done,
    /// It had ended before.
    AlreadyFinal,
    /// There is no such execution.
    Unknown,
}

impl Supervisor {
    /// A supervisor that does nothing yet; `held` until [`Supervisor::release`].
    pub fn new(parts: Parts, held: bool) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            parts,
            running: Mutex::default(),
            seen: Mutex::default(),
            barred: Mutex::default(),
            ended: watch::Sender::new(0),
            held: AtomicBool::new(held),
            closing: CancellationToken::new(),
            waiters: Mutex::default(),
            itself: itself.clone(),
        })
    }

    /// Settles what a crash left, then starts what may run, until [`Supervisor::close`].
    pub async fn supervise(self: Arc<Self>) {
        self.count_usage().await;
        self.settle().await;
        self.sweep_temp_dirs();
        self.forget_unasked().await;
        tokio::join!(self.run_the_queue(), self.schedule());
    }

    async fn run_the_queue(self: &Arc<Self>) {
        loop {
            self.start_what_may_run().await;
            if self.closing.is_cancelled() {
                return;
            }
            self.parts.wake.notify.notified().await;
        }
    }

    /// Whether the queue is held because this is a copy.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// The queue of a copy goes on.
    pub fn release(&self) {
        self.held.store(false, Ordering::Release);
        self.parts.wake.freed();
        self.parts.wake.task.notify_one();
    }

    /// How far the log of a running execution is; `None` for one that does not run.
    pub fn log_length(&self, id: ExecutionId) -> Option<watch::Receiver<LogLength>> {
        self.running().get(&id).and_then(|entry| entry.log.clone())
    }

    /// The process of a running execution.
    pub fn pid(&self, id: ExecutionId) -> Option<u32> {
        self.running()
            .get(&id)
            .and_then(|entry| entry.pid.as_ref().and_then(|pid| *pid.borrow()))
    }

    /// Whether an execution runs and was told to stop.
    pub fn is_stopping(&self, id: ExecutionId) -> bool {
        self.running()
            .get(&id)
            .is_some_and(|entry| entry.stop.borrow().is_some())
    }

    /// Takes an execution out of the queue, or tells it to stop.
    pub async fn cancel(&self, id: ExecutionId) -> Result<Cancelled, SubmitError> {
        // One that was taken from the queue and is not on disk as running is asked of the journal: on a full disk its
        // start fails and it waits again, and a stop that only this process knew of would be forgotten.
        if self.log_length(id).is_some() && self.stop(id, Stop::Cancelled) {
            return Ok(Cancelled::Stopping);
        }
        match self
            .parts
            .journal
            .submit(CancelPending { id, at: self.now() })
            .await
        {
            Ok(_) => Ok(Cancelled::Done),
            Err(SubmitError::Refused(Refusal::NotFound(_))) => Ok(Cancelled::Unknown),
            // It began to run, or ended, since we looked.
            Err(SubmitError::Refused(_)) if self.stop(id, Stop::Cancelled) => {
                Ok(Cancelled::Stopping)
            }
            Err(SubmitError::Refused(_)) => Ok(Cancelled::AlreadyFinal),
            Err(error) => Err(error),
        }
    }

    /// Stops what runs in a chat and waits until nothing of it is left.
    pub async fn stop_session(&self, session: SessionId) {
        self.stop_where(|entry| entry.session == Some(session))
            .await;
    }

    /// Stops what a worker runs, waits until nothing of it is left, and starts nothing of it until the guard is dropped.
    pub async fn bar_worker(self: &Arc<Self>, worker: WorkerId) -> Barred {
        self.barred
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(worker);
        let barred = Barred {
            supervisor: self.clone(),
            worker,
        };
        self.stop_where(|entry| entry.worker == Some(worker)).await;
        barred
    }

    /// Ends every run; what runs is told as interrupted. Nothing starts any more.
    pub async fn close(&self) {
        // Under the lock, so that nothing is taken from the queue after the look below.
        {
            let _running = self.running();
            self.closing.cancel();
        }
        self.parts.wake.freed();
        let mut ended = self.ended.subscribe();
        loop {
            let ids: Vec<ExecutionId> = self.running().keys().copied().collect();
            if ids.is_empty() {
                return;
            }
            for id in ids {
                self.stop(id, Stop::Shutdown);
            }
            let _ = ended.changed().await;
        }
    }

    async fn stop_where(&self, matches: impl Fn(&Entry) -> bool) {
        let mut ended = self.ended.subscribe();
        loop {
            let ids: Vec<ExecutionId> = self
                .running()
                .iter()
                .filter(|(_, entry)| matches(entry))
                .map(|(id, _)| *id)
                .collect();
            if ids.is_empty() {
                return;
            }
            for id in ids {
                self.stop(id, Stop::Cancelled);
            }
            let _ = ended.changed().await;
        }
    }

    /// Tells a running execution to stop; the first reason stays.
    fn stop(&self, id: ExecutionId, reason: Stop) -> bool {
        let running = self.running();
        let Some(entry) = running.get(&id) else {
            return false;
        };
        entry.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            if is_first {
                *stop = Some(reason);
            }
            is_first
        });
        if let Some(known) = &entry.known {
            known.end();
        }
        true
    }

    async fn start_what_may_run(self: &Arc<Self>) {
        while !self.is_held() && !self.closing.is_cancelled() {
            match self.take_next() {
                Ok(Some((id, stop))) => {
                    let supervisor = self.clone();
                    tokio::spawn(async move {
                        let run = AssertUnwindSafe(supervisor.run(id, stop));
                        if run.catch_unwind().await.is_err() {
                            supervisor.fail(id).await;
                        }
                        supervisor.running().remove(&id);
                        supervisor.ended.send_modify(|count| *count += 1);
                        supervisor.parts.wake.freed();
                    });
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "the queue could not be read");
                    self.pause(RETRY_INTERVAL).await;
                }
            }
        }
    }

    /// The next execution whose worker and chat are free, entered as running.
    fn take_next(&self) -> Result<Option<Next>, StoreError> {
        let mut running = self.running();
        let busy = running.len() - self.waiting(&running);
        if self.closing.is_cancelled() || busy >= self.parts.limits.concurrent_max {
            return Ok(None);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.parts.wake.is_freed.swap(false, Ordering::AcqRel) {
            *seen = Seen::default();
        }
        // Whoever waits makes those behind it in its chat wait too, so what was looked at need not be again.
        let Seen {
            place,
            workers,
            sessions,
        } = &mut *seen;
        workers.extend(
            self.barred
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter(),
        );
        workers.extend(running.values().filter_map(|entry| entry.worker));
        sessions.extend(running.values().filter_map(|entry| entry.session));
        let found = self.parts.store.read(|tx| {
            executions::find_in_queue(tx, *place, |waiting| {
                *place = waiting.place + 1;
                // A worker that one of its turns cannot take yet, because its chat is busy with somebody else, is free
                // for the next.
                let session_is_free = waiting
                    .session
                    .is_none_or(|session| sessions.insert(session));
                session_is_free
                    && waiting.worker.is_none_or(|worker| workers.insert(worker))
                    && !running.contains_key(&waiting.execution)
            })
        })?;
        let Some(next) = found else { return Ok(None) };
        let (stop, stopped) = watch::channel(None);
        let entry = Entry {
            worker: next.worker,
            session: next.session,
            stop,
            log: None,
            pid: None,
            known: None,
            asker: None,
        };
        running.insert(next.execution, entry);
        Ok(Some((next.execution, stopped)))
    }

    /// Waits, but not longer than the server lives; tells whether it goes on.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.closing.cancelled() => false,
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ExecutionId, Entry>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Millis {
        (self.parts.clock)()
    }

    /// A directory for one run alone. It holds the instance's id, so that a copy never takes it for its own.
    fn temp_dir(&self, id: ExecutionId) -> PathBuf {
        let instance = self.parts.data.instance().id.simple();
        std::env::temp_dir().join(format!("skep-{instance}-{id}"))
    }
}

/// A worker that nothing starts for; dropping it lets things go on.
pub struct Barred {
    supervisor: Arc<Supervisor>,
    worker: WorkerId,
}

impl Drop for Barred {
    fn drop(&mut self) {
        self.supervisor
            .barred
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.worker);
        self.supervisor.parts.wake.freed();
    }
}
