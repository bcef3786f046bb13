//! What a worker has beside itself: what it may spend, and what clients show of it as an agent.

use serde::{Deserialize, Serialize};

use super::Worker;

/// Beside a [`Worker`], under its id. A worker without one has the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What its executions may cost a day (UTC), billionths of a US dollar; `None` is any amount.
    pub daily_cost_nanos_max: Option<u64>,
    /// What a user may want to begin with.
    pub starter_prompts: Vec<String>,
    /// The tools it is meant to use, by name; none is all of them.
    pub tools: Vec<String>,
    /// What it is meant to know.
    pub knowledge_base_ids: Vec<String>,
}

/// What changes of a profile; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfilePatch {
    /// As in the profile; `Some(None)` is any amount.
    pub daily_cost_nanos_max: Option<Option<u64>>,
    /// As in the profile.
    pub starter_prompts: Option<Vec<String>>,
    /// As in the profile.
    pub tools: Option<Vec<String>>,
    /// As in the profile.
    pub knowledge_base_ids: Option<Vec<String>>,
}

impl Profile {
    /// With what changes.
    pub fn with(self, patch: ProfilePatch) -> Self {
        Self {
            daily_cost_nanos_max: patch
                .daily_cost_nanos_max
                .unwrap_or(self.daily_cost_nanos_max),
            starter_prompts: patch.starter_prompts.unwrap_or(self.starter_prompts),
            tools: patch.tools.unwrap_or(self.tools),
            knowledge_base_ids: patch.knowledge_base_ids.unwrap_or(self.knowledge_base_ids),
        }
    }
}

/// A worker with all that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Itself.
    pub worker: Worker,
    /// What it has beside.
    pub profile: Profile,
}
