//! A table of the user's own making: `[tier]`. What `[engines.<name>]` holds is the engines' to say.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Local limits of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its name.
    #[serde(default = "unlimited")]
    pub name: String,
    /// How many there may be of a resource, e.g. `workers`; what is not named has no limit.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
}

impl Default for Tier {
    fn default() -> Self {
        Self {
            name: unlimited(),
            limits: BTreeMap::new(),
        }
    }
}

fn unlimited() -> String {
    "unlimited".to_owned()
}
