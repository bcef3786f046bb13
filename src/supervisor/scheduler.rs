//! Starts what is due. A due time is claimed by a command, so it starts one execution whatever dies; one that was missed
//! is due at the start, and starts one execution however often it was missed.

use std::sync::Arc;
use std::time::Duration;

use super::{RETRY_INTERVAL, Supervisor};
use crate::command::RunTask;
use crate::journal::SubmitError;
use crate::model::schedule::Schedule;
use crate::model::{Ids, Millis, Task};
use crate::store::{StoreError, tasks};

/// The clock may be set while the scheduler sleeps: it looks again at least this often.
const SLEEP_MAX: Duration = Duration::from_secs(30);

impl Supervisor {
    /// Starts what is due until the supervisor closes; a copy that is held starts nothing.
    pub(super) async fn schedule(self: &Arc<Self>) {
        loop {
            let sleep = if self.is_held() {
                SLEEP_MAX
            } else {
                self.start_what_is_due().await
            };
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.parts.wake.task.notified() => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    /// Starts the tasks whose time has come; how long to sleep until the next one's.
    async fn start_what_is_due(&self) -> Duration {
        while !self.closing.is_cancelled() {
            let now = self.now();
            let first = self.parts.store.read(|tx| {
                let Some((due, id)) = tasks::first_due(tx)? else {
                    return Ok(None);
                };
                Ok::<_, StoreError>(tasks::get(tx, id)?.map(|task| (due, task)))
            });
            let (due, task) = match first {
                Ok(Some(first)) => first,
                Ok(None) => return SLEEP_MAX,
                Err(error) => {
                    tracing::error!(%error, "the tasks could not be read");
                    return RETRY_INTERVAL;
                }
            };
            if due > now {
                return Duration::from_millis(due - now).min(SLEEP_MAX);
            }
            let run = RunTask {
                id: task.id,
                due: Some(due),
                next_run_at: next_run_at(&task, now),
                execution_id: Ids.next(),
                message_id: Ids.next(),
                reply_id: Ids.next(),
                at: now,
            };
            match self.parts.journal.submit(run).await {
                Ok(_) => {}
                // It was changed since we looked, or the queue is full.
                Err(SubmitError::Refused(refusal)) => {
                    tracing::debug!(task.id = %task.id, %refusal, "a task that is due was not started");
                    return RETRY_INTERVAL;
                }
                Err(error) => {
                    tracing::warn!(task.id = %task.id, %error, "a task that is due could not be started; it is tried again");
                    return RETRY_INTERVAL;
                }
            }
        }
        Duration::ZERO
    }
}

/// When a task that starts now is due again.
fn next_run_at(task: &Task, now: Millis) -> Option<Millis> {
    let schedule = Schedule::parse(task.cron_expr.as_deref()?, task.timezone.as_deref()?, now);
    schedule.ok()?.next(now)
}
