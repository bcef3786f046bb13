//! Whether a running execution may do something: its worker's mode, what was always allowed, or the user.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};

use super::Supervisor;
use super::run::cut;
use crate::command::{AnswerPermission, AskPermission};
use crate::engine::Stop;
use crate::engine::permission::{Ask, Asker, Decide, Verdict};
use crate::journal::SubmitError;
use crate::model::limits::{ENGINE_WORD_BYTES_MAX, PERMISSION_DETAIL_BYTES_MAX};
use crate::model::{
    DecidedBy, Execution, ExecutionId, Ids, PermissionAnswer, PermissionDecision, PermissionId,
    PermissionRequest, WorkerId,
};
use crate::store::events::Scope;
use crate::store::{StoreError, permissions, profiles, workers};
use crate::tool::{self, Access, Decision, Permissions};

/// Why nobody could be asked.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// How long an execution has waited for its user: that is none of the time it has.
#[derive(Default)]
pub(super) struct Waits(Mutex<Waited>);

#[derive(Default)]
struct Waited {
    before: Duration,
    open: usize,
    since: Option<Instant>,
}

impl Waited {
    fn so_far(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Waits {
    /// All of it so far; requests that wait at the same time wait once.
    pub(super) fn so_far(&self) -> Duration {
        self.lock().so_far()
    }

    fn begin(&self) -> Waiting<'_> {
        let mut waited = self.lock();
        waited.open += 1;
        waited.since.get_or_insert_with(Instant::now);
        Waiting(self)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until it is dropped.
struct Waiting<'a>(&'a Waits);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waited = self.0.lock();
        waited.open -= 1;
        if waited.open == 0 {
            waited.before = waited.so_far();
            waited.since = None;
        }
    }
}

/// Who decides for one execution.
struct Desk {
    supervisor: Arc<Supervisor>,
    execution: ExecutionId,
    worker: Option<WorkerId>,
    stop: watch::Receiver<Option<Stop>>,
    waits: Arc<Waits>,
    /// The log knows that its user could not be asked: an engine in a loop would fill it.
    has_failed: AtomicBool,
}

impl Supervisor {
    /// What the engine of an execution asks.
    pub(super) fn desk(
        self: &Arc<Self>,
        execution: &Execution,
        stop: watch::Receiver<Option<Stop>>,
        waits: Arc<Waits>,
    ) -> Asker {
        Asker::new(Arc::new(Desk {
            supervisor: self.clone(),
            execution: execution.id,
            worker: execution.worker_id,
            stop,
            waits,
            has_failed: AtomicBool::new(false),
        }))
    }

    /// Where a running execution's requests are asked that do not come from its engine itself; `None` for one that does
    /// not run.
    pub fn asker(&self, id: ExecutionId) -> Option<Asker> {
        self.running()
            .get(&id)
            .and_then(|entry| entry.asker.clone())
    }
}

impl Decide for Desk {
    fn decide(&self, ask: Ask) -> BoxFuture<'_, Verdict> {
        Box::pin(async move {
            let decided = match self.known(&ask) {
                Ok(Some(verdict)) => return verdict,
                Ok(None) => self.ask_the_user(ask).await,
                Err(error) => Err(error.into()),
            };
            decided.unwrap_or_else(|error: AskError| {
                if !self.has_failed.swap(true, Ordering::Relaxed) {
                    tracing::warn!(execution.id = %self.execution, %error, "a permission could not be asked for; more of this execution are not told of");
                }
                Verdict::NotAsked(error.to_string())
            })
        })
    }
}

impl Desk {
    /// What needs no asking. The mode is read anew each time: the user may have changed it in the meantime.
    fn known(&self, ask: &Ask) -> Result<Option<Verdict>, StoreError> {
        self.supervisor.parts.store.read(|tx| {
            let worker = self.worker.map_or(Ok(None), |id| workers::get(tx, id))?;
            let tools = self.worker.map_or(Ok(Vec::new()), |id| {
                profiles::get(tx, id).map(|profile| profile.tools)
            })?;
            if !tools.is_empty() && tool::find(&ask.tool).is_some() && !tools.contains(&ask.tool) {
                return Ok(Some(Verdict::NotItsTool));
            }
            let mode = worker.as_ref().map_or("", |worker| &worker.permissions);
            let mode = Permissions::parse(mode);
            Ok(match mode.decide(ask.access) {
                Decision::Allow => Some(Verdict::AllowedByMode),
                Decision::Deny => Some(Verdict::DeniedByMode(mode)),
                Decision::Ask => permissions::is_always_allowed(tx, self.worker, &ask.tool)?
                    .then_some(Verdict::AllowedBefore),
            })
        })
    }

    async fn ask_the_user(&self, ask: Ask) -> Result<Verdict, AskError> {
        let parts = &self.supervisor.parts;
        let args = ask.args.to_string();
        // What the user cannot see, the user cannot allow.
        if ask.access == Access::Run && args.len() > PERMISSION_DETAIL_BYTES_MAX {
            return Ok(Verdict::NotAsked(format!(
                "a command of more than {PERMISSION_DETAIL_BYTES_MAX} bytes cannot be shown; put it into a file"
            )));
        }
        if ask.tool.len() > ENGINE_WORD_BYTES_MAX {
            return Ok(Verdict::NotAsked("the tool's name is too long".to_owned()));
        }
        let id = Ids.next();
        let asked_at = self.supervisor.now();
        let timeout = parts.limits.permission_timeout;
        let request = PermissionRequest {
            id,
            execution_id: self.execution,
            call_id: ask.call_id.map(|id| cut(id, ENGINE_WORD_BYTES_MAX)),
            tool: ask.tool,
            effect: ask.effect,
            args: cut(args, PERMISSION_DETAIL_BYTES_MAX),
            diff: ask.diff.map(|diff| cut(diff, PERMISSION_DETAIL_BYTES_MAX)),
            options: ask.options,
            asked_at,
            expires_at: asked_at + u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX >> 1),
            answer: None,
        };
        // Before it is asked, so that no answer is missed.
        let mut answers = parts.feed.subscribe(Scope::Execution(self.execution));
        let tool = request.tool.clone();
        parts.journal.submit(AskPermission { request }).await?;
        // Said for another request while this one was on its way.
        if parts
            .store
            .read(|tx| permissions::is_always_allowed(tx, self.worker, &tool))?
        {
            self.answer(id, PermissionDecision::AllowAlways, DecidedBy::User)
                .await?;
        }
        let _waiting = self.waits.begin();
        let mut stop = self.stop.clone();
        let stopped = async move { drop(stop.wait_for(Option::is_some).await) };
        tokio::pin!(stopped);
        let expired = sleep(timeout);
        tokio::pin!(expired);
        loop {
            if let Some(verdict) = self.verdict(id)? {
                return Ok(verdict);
            }
            tokio::select! {
                biased;
                // The end of the execution denies it in the tables.
                () = &mut stopped => {
                    return Ok(Verdict::Denied(DecidedBy::Cancelled));
                }
                () = answers.woken() => {}
                () = &mut expired => {
                    self.answer(id, PermissionDecision::Deny, DecidedBy::Timeout).await?;
                    // Somebody may have been faster, and that is in the store now.
                    return Ok(self.verdict(id)?.unwrap_or(Verdict::Denied(DecidedBy::Timeout)));
                }
            }
        }
    }

    /// Unless somebody was faster.
    async fn answer(
        &self,
        id: PermissionId,
        decision: PermissionDecision,
        by: DecidedBy,
    ) -> Result<(), SubmitError> {
        let at = self.supervisor.now();
        let answer = AnswerPermission {
            execution_id: self.execution,
            id,
            answer: PermissionAnswer { decision, by, at },
        };
        loop {
            match self.supervisor.parts.journal.submit(answer.clone()).await {
                Ok(_) | Err(SubmitError::Refused(_)) => return Ok(()),
                // The request stays open to the user's answer until this is on disk.
                Err(SubmitError::StorageFull | SubmitError::Overloaded) => {
                    if !self.supervisor.pause(Duration::from_secs(1)).await {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn verdict(&self, id: PermissionId) -> Result<Option<Verdict>, StoreError> {
        let store = &self.supervisor.parts.store;
        let request = store.read(|tx| permissions::get(tx, self.execution, id))?;
        let answer = request.and_then(|request| request.answer);
        Ok(answer.map(|answer| match answer.decision {
            PermissionDecision::Allow => Verdict::Allowed { always: false },
            PermissionDecision::AllowAlways => Verdict::Allowed { always: true },
            PermissionDecision::Deny => Verdict::Denied(answer.by),
        }))
    }
}
