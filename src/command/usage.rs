//! Sums of what executions came to.

use serde::{Deserialize, Serialize};

use super::{Apply, Change, Rejection};
use crate::store::usage;

/// Begins the sums with all that has ended until now. It is in the journal, and not a matter of opening the tables, so that
/// whoever replays it begins at the same place; a second one changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CountUsage;

impl Change for CountUsage {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        Ok(usage::count_all(cx.tx)?)
    }
}
