//! Changes of workers and of the bee.

use serde::{Deserialize, Serialize};

use super::execution::cancel;
use super::memory::delete_scope;
use super::task::delete_of_worker;
use super::{Apply, Change, Refusal, Rejection};
use crate::model::{
    Bee, EventBody, Execution, ExecutionStatus, MemoryScope, Millis, WorkDir, Worker, WorkerId,
};
use crate::store::executions::{Filter, Order};
use crate::store::{engine_options, executions, permissions, profiles, workers};

/// How many workers there may be.
pub const WORKERS_MAX: u64 = 10_000;

/// A new worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateWorker {
    /// The worker.
    pub worker: Worker,
}

impl Change for CreateWorker {
    type Outcome = Worker;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Worker, Rejection> {
        let worker = &self.worker;
        if workers::find_by_name(cx.tx, &worker.name)?.is_some() {
            return Err(Refusal::NameTaken {
                noun: "worker",
                name: worker.name.clone(),
            }
            .into());
        }
        if workers::count(cx.tx)? >= WORKERS_MAX {
            return Err(Refusal::WrongState(
                "there are as many workers as there may be; delete one first",
            )
            .into());
        }
        workers::insert(cx.tx, worker)?;
        cx.emit(None, None, worker.created_at, EventBody::Worker(worker.id))?;
        Ok(worker.clone())
    }
}

/// What changes of a worker or of the bee; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerPatch {
    /// Its name.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its memory.
    pub memory: Option<String>,
    /// Its directory; only while nothing runs.
    pub work_dir: Option<WorkDir>,
    /// Its engine.
    pub engine: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// What it may do without asking.
    pub permissions: Option<String>,
    /// Its time limit; `Some(None)` goes back to the default.
    pub timeout_s: Option<Option<u32>>,
}

/// Changes a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateWorker {
    /// The worker.
    pub id: WorkerId,
    /// What changes.
    pub patch: WorkerPatch,
    /// When.
    pub at: Millis,
}

impl Change for UpdateWorker {
    type Outcome = Worker;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Worker, Rejection> {
        let before = workers::get(cx.tx, self.id)?.ok_or(Refusal::NotFound("worker"))?;
        let patch = self.patch.clone();
        if let Some(name) = &patch.name
            && workers::find_by_name(cx.tx, name)?.is_some_and(|id| id != self.id)
        {
            return Err(Refusal::NameTaken {
                noun: "worker",
                name: name.clone(),
            }
            .into());
        }
        if patch.work_dir.is_some() && executions::is_running(cx.tx, Some(self.id))? {
            return Err(Refusal::WrongState(
                "the work directory can only change while the worker is idle",
            )
            .into());
        }
        let after = Worker {
            name: patch.name.unwrap_or_else(|| before.name.clone()),
            description: patch
                .description
                .unwrap_or_else(|| before.description.clone()),
            memory: patch.memory.unwrap_or_else(|| before.memory.clone()),
            work_dir: patch.work_dir.unwrap_or_else(|| before.work_dir.clone()),
            engine: patch.engine.unwrap_or_else(|| before.engine.clone()),
            model: patch.model.unwrap_or_else(|| before.model.clone()),
            permissions: patch
                .permissions
                .unwrap_or_else(|| before.permissions.clone()),
            timeout_s: patch.timeout_s.unwrap_or(before.timeout_s),
            updated_at: self.at.max(before.updated_at),
            ..before.clone()
        };
        workers::update(cx.tx, &before, &after)?;
        cx.emit(None, None, self.at, EventBody::Worker(self.id))?;
        Ok(after)
    }
}

/// Removes a worker and cancels what waits for it. What is running is stopped by the supervisor first: a worker with a
/// running execution is refused. Executions and logs stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteWorker {
    /// The worker.
    pub id: WorkerId,
    /// When.
    pub at: Millis,
}

impl Change for DeleteWorker {
    type Outcome = Worker;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Worker, Rejection> {
        let worker = workers::get(cx.tx, self.id)?.ok_or(Refusal::NotFound("worker"))?;
        if executions::is_running(cx.tx, Some(self.id))? {
            return Err(Refusal::WrongState("the worker is still running").into());
        }
        let filter = Filter {
            worker: Some(self.id),
            status: Some(ExecutionStatus::Pending),
            ..Filter::default()
        };
        let waiting: Vec<Execution> =
            executions::list(cx.tx, filter, Order::OldestFirst, None, usize::MAX)?.rows;
        for execution in waiting {
            cancel(cx, execution, self.at)?;
        }
        delete_of_worker(cx, self.id, self.at)?;
        delete_scope(cx, MemoryScope::Worker(self.id))?;
        permissions::forget_all(cx.tx, self.id)?;
        profiles::delete(cx.tx, self.id)?;
        engine_options::delete(cx.tx, self.id)?;
        workers::delete(cx.tx, &worker)?;
        cx.emit(None, None, self.at, EventBody::Worker(self.id))?;
        Ok(worker)
    }
}

/// Changes the bee: engine, model and memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateBee {
    /// What changes; other fields are ignored.
    pub patch: WorkerPatch,
    /// When.
    pub at: Millis,
}

impl Change for UpdateBee {
    type Outcome = Bee;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Bee, Rejection> {
        let bee = workers::bee(cx.tx)?;
        let patch = self.patch.clone();
        let bee = Bee {
            engine: patch.engine.unwrap_or(bee.engine),
            model: patch.model.unwrap_or(bee.model),
            memory: patch.memory.unwrap_or(bee.memory),
            updated_at: self.at.max(bee.updated_at),
        };
        workers::set_bee(cx.tx, &bee)?;
        Ok(bee)
    }
}
