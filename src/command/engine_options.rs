//! What a worker's engine is started with.

use serde::{Deserialize, Serialize};

use super::{Apply, Change, Refusal, Rejection};
use crate::model::engine_options::{EngineOptions, EngineOptionsPatch};
use crate::model::{EventBody, Millis, WorkerId};
use crate::store::{engine_options, workers};

/// Changes the options of a worker's engine. A run that goes on keeps those it began with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetEngineOptions {
    /// The worker.
    pub id: WorkerId,
    /// What changes.
    pub patch: EngineOptionsPatch,
    /// When.
    pub at: Millis,
}

impl Change for SetEngineOptions {
    type Outcome = EngineOptions;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<EngineOptions, Rejection> {
        workers::get(cx.tx, self.id)?.ok_or(Refusal::NotFound("worker"))?;
        let options = engine_options::get(cx.tx, self.id)?.with(self.patch.clone());
        engine_options::put(cx.tx, self.id, &options)?;
        cx.emit(None, None, self.at, EventBody::Worker(self.id))?;
        Ok(options)
    }
}
