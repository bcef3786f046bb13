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
    /// What it includes, e.g. `backup`; all there is when nothing is said.
    #[serde(default)]
    pub features: Option<Vec<String>>,
}

impl Tier {
    /// What may be limited.
    pub const RESOURCES: [&'static str; 4] = ["workers", "sessions", "tokens", "tasks"];
    /// What may be left out.
    pub const FEATURES: [&'static str; 2] = ["api_keys", "backup"];

    /// Whether it includes this.
    pub fn includes(&self, feature: &str) -> bool {
        let included = self.features.as_ref();
        included.is_none_or(|features| features.iter().any(|known| known == feature))
    }

    /// What is said of a name that limits or includes nothing.
    pub(super) fn check(&self) -> Result<(), String> {
        for name in self.limits.keys() {
            if !Self::RESOURCES.contains(&name.as_str()) {
                let known = Self::RESOURCES.join(", ");
                return Err(format!(
                    "nothing is limited by limits.{name}; there are: {known}"
                ));
            }
        }
        for name in self.features.iter().flatten() {
            if !Self::FEATURES.contains(&name.as_str()) {
                let known = Self::FEATURES.join(", ");
                return Err(format!("there is no feature {name:?}; there are: {known}"));
            }
        }
        Ok(())
    }
}

impl Default for Tier {
    fn default() -> Self {
        Self {
            name: unlimited(),
            limits: BTreeMap::new(),
            features: None,
        }
    }
}

fn unlimited() -> String {
    "unlimited".to_owned()
}
