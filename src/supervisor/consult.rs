//! Executions that wait for others: a worker asked another one, and goes on with its answer.
//!
//! Who waits takes no place among those that run at once, so that whoever is waited for finds one. That nobody waits for
//! somebody who waits for him, and how deep a chain may be, is seen to before anything is queued.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use futures_util::future::BoxFuture;

use super::{Entry, Supervisor};
use crate::model::{ExecutionId, Routing, WorkerId};
use crate::store::events::Scope;
use crate::store::executions;
use crate::tool::consult::{ASKED_AT_ONCE_MAX, DEPTH_MAX};
use crate::tool::{Runner, Shared, ToolError};

/// Who waits for an execution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    /// The execution that asked; `None`: somebody outside.
    asker: Option<ExecutionId>,
    /// Who was asked.
    worker: WorkerId,
}

/// Who waits, by the execution that is waited for.
pub(super) type Waiters = HashMap<ExecutionId, Waiter>;

impl Supervisor {
    /// Lets tools ask workers and stop executions.
    pub fn serve_tools(self: &Arc<Self>, tools: &Shared) {
        let runner: Arc<dyn Runner> = self.clone();
        let _ = tools.runner.set(Arc::downgrade(&runner));
    }

    /// How many of those that run do nothing but wait for another one.
    pub(super) fn waiting(&self, running: &HashMap<ExecutionId, Entry>) -> usize {
        let waiters = self.waiters();
        let askers = waiters.values().filter_map(|waiter| waiter.asker);
        let askers: HashSet<ExecutionId> = askers.filter(|id| running.contains_key(id)).collect();
        askers.len()
    }

    /// Takes out of the queue what nobody waits for any more, since the server that asked ended.
    pub(super) async fn forget_unasked(&self) {
        let mut waiting = Vec::new();
        let found = self.parts.store.read(|tx| {
            executions::find_in_queue(tx, 0, |row| {
                waiting.push(row.execution);
                false
            })?;
            let mut unasked = Vec::new();
            for id in waiting {
                let execution = executions::get(tx, id)?;
                let is_unasked = |it: &crate::model::Execution| {
                    it.routing == Routing::Consulted && it.retry_of.is_none()
                };
                unasked.extend(execution.filter(is_unasked).map(|it| it.id));
            }
            Ok::<_, crate::store::StoreError>(unasked)
        });
        for id in found.unwrap_or_default() {
            if let Err(error) = self.cancel(id).await {
                tracing::warn!(execution.id = %id, %error, "a question that nobody waits for could not be taken back");
            }
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what runs for `worker` waits, over however many others, for `wanted`.
fn waits_for(
    worker: WorkerId,
    wanted: WorkerId,
    running: &HashMap<ExecutionId, Entry>,
    waiters: &Waiters,
) -> bool {
    let mut looked_at = HashSet::new();
    let mut next = vec![worker];
    while let Some(worker) = next.pop() {
        if worker == wanted {
            return true;
        }
        if !looked_at.insert(worker) {
            continue;
        }
        let is_its = |id: ExecutionId| {
            let entry = running.get(&id);
            entry.is_some_and(|entry| entry.worker == Some(worker))
        };
        let asked = waiters.values();
        let asked = asked.filter(|waiter| waiter.asker.is_some_and(is_its));
        next.extend(asked.map(|waiter| waiter.worker));
    }
    false
}

impl Runner for Supervisor {
    fn stop(&self, id: ExecutionId) {
        let Some(supervisor) = Weak::upgrade(&self.itself) else {
            return;
        };
        tokio::spawn(async move {
            if let Err(error) = supervisor.cancel(id).await {
                tracing::warn!(execution.id = %id, %error, "an execution could not be stopped");
            }
        });
    }

    fn ended(
        &self,
        id: ExecutionId,
    ) -> BoxFuture<'static, Result<crate::model::Execution, ToolError>> {
        let (store, feed) = (self.parts.store.clone(), self.parts.feed.clone());
        Box::pin(async move {
            let mut subscription = feed.subscribe(Scope::Execution(id));
            loop {
                let execution = store.read(|tx| executions::get(tx, id))?;
                match execution {
                    Some(execution) if execution.status.is_final() => return Ok(execution),
                    Some(_) => subscription.woken().await,
                    None => {
                        let gone = "the execution was removed".to_owned();
                        return Err(ToolError::NotFound(gone));
                    }
                }
            }
        })
    }

    fn begin_waiting(
        &self,
        asker: Option<ExecutionId>,
        asked: ExecutionId,
        worker: WorkerId,
    ) -> Result<(), ToolError> {
        let refuse = |why: String| Err(ToolError::Refused(why));
        if self.is_held() {
            return refuse("this is a copy whose queue is held".to_owned());
        }
        let running = self.running();
        let mut waiters = self.waiters();
        if let Some(id) = asker {
            let mut chain = Some(id);
            let mut depth = 0;
            while let Some(waiter) = chain.and_then(|id| waiters.get(&id)) {
                chain = waiter.asker;
                depth += 1;
            }
            if depth >= DEPTH_MAX {
                return refuse(format!(
                    "{DEPTH_MAX} already wait one for the other; answer with what you know"
                ));
            }
            let own = running.get(&id).and_then(|entry| entry.worker);
            if own.is_some_and(|own| waits_for(worker, own, &running, &waiters)) {
                return refuse(
                    "that one waits for you, directly or over others; answer with what you know"
                        .to_owned(),
                );
            }
            let at_once = waiters.values().filter(|waiter| waiter.asker == asker);
            if at_once.count() >= ASKED_AT_ONCE_MAX {
                return refuse(format!(
                    "{ASKED_AT_ONCE_MAX} are asked already; wait for an answer first"
                ));
            }
        }
        waiters.insert(asked, Waiter { asker, worker });
        drop(waiters);
        drop(running);
        // Its place is free.
        self.parts.wake.freed();
        Ok(())
    }

    fn end_waiting(&self, asked: ExecutionId) {
        self.waiters().remove(&asked);
    }
}
