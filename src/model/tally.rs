//! What executions came to, in sum.

use serde::{Deserialize, Serialize};

use super::{Execution, ExecutionStatus, Millis};

/// A day, milliseconds. Days are those of UTC: what is summed up must not depend on where the server stands.
const DAY_MS: Millis = 24 * 3600 * 1000;
/// Costs are summed up in whole numbers, so that the order does not matter.
const NANOS_PER_USD: f64 = 1e9;

/// The number of a day since 1970-01-01, UTC.
pub fn day_of(at: Millis) -> u64 {
    at / DAY_MS
}

/// When a day begins.
pub fn start_of(day: u64) -> Millis {
    day.saturating_mul(DAY_MS)
}

/// US dollars as whole billionths; what is no amount is none.
pub fn nanos(usd: f64) -> u64 {
    let nanos = (usd * NANOS_PER_USD).round();
    // NaN and what is below zero become 0, what is too much the most there is.
    nanos as u64
}

/// Whole billionths as US dollars.
pub fn usd(nanos: u64) -> f64 {
    nanos as f64 / NANOS_PER_USD
}

/// What some executions came to. Those that have not ended are not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Those that ended well.
    pub completed: u64,
    /// Those that ended badly.
    pub failed: u64,
    /// Those that were stopped.
    pub cancelled: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Billionths of a US dollar.
    pub cost_nanos: u64,
    /// How long they ran.
    pub run_ms: u64,
}

impl Tally {
    /// What one execution came to.
    pub fn of(execution: &Execution) -> Self {
        let is = |status| u64::from(execution.status == status);
        let usage = &execution.usage;
        let ran = execution.completed_at.zip(execution.started_at);
        Self {
            completed: is(ExecutionStatus::Completed),
            failed: is(ExecutionStatus::Failed),
            cancelled: is(ExecutionStatus::Cancelled),
            input_tokens: usage.input_tokens.unwrap_or(0),
            output_tokens: usage.output_tokens.unwrap_or(0),
            cost_nanos: usage.cost_usd.map_or(0, nanos),
            run_ms: ran.map_or(0, |(end, start)| end.saturating_sub(start)),
        }
    }

    /// Adds what others came to.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.completed, other.completed),
            (&mut self.failed, other.failed),
            (&mut self.cancelled, other.cancelled),
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.cost_nanos, other.cost_nanos),
            (&mut self.run_ms, other.run_ms),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    /// How many executions these are.
    pub fn executions(&self) -> u64 {
        self.completed
            .saturating_add(self.failed)
            .saturating_add(self.cancelled)
    }

    /// US dollars.
    pub fn cost_usd(&self) -> f64 {
        usd(self.cost_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_amount_costs_nothing() {
        for (usd, expected) in [
            (0.0, 0),
            (0.1, 100_000_000),
            (-1.0, 0),
            (f64::NAN, 0),
            (f64::NEG_INFINITY, 0),
            (f64::INFINITY, u64::MAX),
        ] {
            assert_eq!(nanos(usd), expected, "{usd}");
        }
    }

    #[test]
    fn a_sum_is_exact_and_does_not_overflow() {
        let cent = Tally {
            cost_nanos: nanos(0.1),
            ..Tally::default()
        };
        let mut sum = Tally::default();
        for _ in 0..3 {
            sum.add(&cent);
        }
        assert_eq!(format!("{}", sum.cost_usd()), "0.3");
        let most = Tally {
            cost_nanos: u64::MAX,
            completed: u64::MAX,
            ..Tally::default()
        };
        sum.add(&most);
        sum.add(&most);
        assert_eq!((sum.cost_nanos, sum.executions()), (u64::MAX, u64::MAX));
    }

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(day_of(0), 0);
        assert_eq!(day_of(DAY_MS - 1), 0);
        assert_eq!(day_of(start_of(20_000)), 20_000);
    }
}
