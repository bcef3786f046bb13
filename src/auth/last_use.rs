//! When each API key was noted as used, so that a key in use costs one change a minute and not one for each request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::{ApiKeyId, Millis};

/// How old the noted use of a key has to be before it is noted again: so stale is what a list of keys may say.
pub const INTERVAL_MS: Millis = 60_000;
/// More keys than there can be; beyond that the memory starts anew.
const KEYS_MAX: usize = 1_000;

/// When each key was last noted by this process.
#[derive(Debug, Default)]
pub struct LastUse(Mutex<HashMap<ApiKeyId, Millis>>);

impl LastUse {
    /// Whether this use is to be noted; of many at once, one is. `noted` is what is stored.
    pub fn is_due(&self, id: ApiKeyId, noted: Option<Millis>, now: Millis) -> bool {
        let is_recent = |at: Millis| now < at.saturating_add(INTERVAL_MS);
        if noted.is_some_and(is_recent) {
            return false;
        }
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.get(&id).copied().is_some_and(is_recent) {
            return false;
        }
        if begun.len() >= KEYS_MAX {
            begun.clear();
        }
        begun.insert(id, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Ids;

    #[test]
    fn one_use_a_minute_is_noted() {
        let uses = LastUse::default();
        let (a, b): (ApiKeyId, ApiKeyId) = (Ids.next(), Ids.next());
        assert!(uses.is_due(a, None, 1_000));
        // Not written yet, and already on its way.
        assert!(!uses.is_due(a, None, 1_000));
        assert!(uses.is_due(b, None, 1_000));
        assert!(!uses.is_due(a, Some(1_000), 60_999));
        assert!(uses.is_due(a, Some(1_000), 61_000));
        // After a restart what is stored counts.
        assert!(!LastUse::default().is_due(a, Some(61_000), 61_001));
    }

    #[test]
    fn the_memory_is_bounded() {
        let uses = LastUse::default();
        for _ in 0..KEYS_MAX * 2 + 1 {
            uses.is_due(Ids.next(), None, 0);
        }
        assert!(uses.0.lock().is_ok_and(|begun| begun.len() <= KEYS_MAX));
    }
}
