//! Numbers that a seed gives again.

/// xorshift: small, and the same on every machine.
pub struct Random(u64);

impl Random {
    /// The sequence of a seed; 0 has none and gets another.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// From `SKEP_TEST_SEED`, or another one each time; the seed, to be told when something fails.
    pub fn seeded() -> (Self, u64) {
        let seed = super::number_from("SKEP_TEST_SEED", u64::from(std::process::id()) << 20 | 1);
        (Self::new(seed), seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below that.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
