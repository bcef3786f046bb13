//! Changes of workers together with what they have beside themselves.

use serde::{Deserialize, Serialize};

use super::{Apply, Change, CreateWorker, Rejection, UpdateWorker};
use crate::model::Worker;
use crate::model::profile::{Agent, Profile, ProfilePatch};
use crate::store::profiles;

/// A new worker with its profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateAgent {
    /// The worker.
    pub worker: Worker,
    /// Its profile.
    pub profile: Profile,
}

impl Change for CreateAgent {
    type Outcome = Agent;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Agent, Rejection> {
        let worker = CreateWorker {
            worker: self.worker.clone(),
        }
        .apply(cx)?;
        profiles::put(cx.tx, worker.id, &self.profile)?;
        Ok(Agent {
            worker,
            profile: self.profile.clone(),
        })
    }
}

/// Changes a worker and its profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateAgent {
    /// The worker's change.
    pub worker: UpdateWorker,
    /// What changes of its profile.
    pub profile: ProfilePatch,
}

impl Change for UpdateAgent {
    type Outcome = Agent;

    fn apply(&self, cx: &mut Apply<'_>) -> Result<Agent, Rejection> {
        let worker = self.worker.apply(cx)?;
        let profile = profiles::get(cx.tx, worker.id)?.with(self.profile.clone());
        profiles::put(cx.tx, worker.id, &profile)?;
        Ok(Agent { worker, profile })
    }
}
