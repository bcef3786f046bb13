//! Durations and sizes by how many were at most so large.

use std::sync::atomic::{AtomicU64, Ordering};

/// A histogram over fixed upper bounds, in the unit of what is observed.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    /// How many fell between a bound and the one before it.
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// Nothing was observed yet.
    pub const fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            counts: [const { AtomicU64::new(0) }; N],
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts one.
    pub fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts
            .get(at)
            .unwrap_or(&self.above)
            .fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Every bound with how many were at most that, how many there were, and their sum. What is observed meanwhile is in
    /// all of them or in none that would make a smaller bucket the larger one.
    pub fn read(&self) -> (Vec<(u64, u64)>, u64, u64) {
        let sum = self.sum.load(Ordering::Relaxed);
        let mut total = 0;
        let mut buckets = Vec::with_capacity(N);
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            total += count.load(Ordering::Relaxed);
            buckets.push((*bound, total));
        }
        total += self.above.load(Ordering::Relaxed);
        (buckets, total, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_is_below_it() {
        static BOUNDS: [u64; 2] = [10, 20];
        let histogram = Histogram::new(&BOUNDS);
        for value in [0, 10, 11, 20, 21, 1_000] {
            histogram.observe(value);
        }
        assert_eq!(histogram.read(), (vec![(10, 2), (20, 4)], 6, 1_062));
    }
}
