//! Chance: everything that a run leaves to it is drawn here, from the seed.

use std::time::Duration;

use synod_types::Random;

/// SplitMix64 with the draws that a simulation needs.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as the seed says.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice. What is drawn from one does not change what the other gives.
    pub fn split(&mut self) -> Self {
        Self(self.next_u64())
    }

    /// A number from 0 to `bound - 1`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// A duration between two, both included.
    pub fn duration(&mut self, from: Duration, to: Duration) -> Duration {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.between(nanos(from), nanos(to)))
    }

    /// A number of milliseconds between two, both included.
    pub fn ms(&mut self, from: u64, to: u64) -> Duration {
        self.duration(Duration::from_millis(from), Duration::from_millis(to))
    }

    /// True once in so many times; never for 0.
    pub fn one_in(&mut self, chances: u64) -> bool {
        chances != 0 && self.below(chances) == 0
    }

    /// True this often in a million.
    pub fn chance(&mut self, per_million: u32) -> bool {
        per_million != 0 && self.below(1_000_000) < u64::from(per_million)
    }

    /// One of several; none of none.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let place = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from.get(place).cloned()
    }
}

impl Random for Dice {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
