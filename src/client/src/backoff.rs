//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits that double from attempt to attempt, up to a bound, each shortened at random by up to a half, so that clients
/// that failed together do not come back together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
    random: u64,
}

impl Backoff {
    /// Begins at `first` and ends at `max`.
    pub(crate) const fn new(first: Duration, max: Duration, seed: u64) -> Self {
        Self { first, max, failures: 0, random: seed | 1 }
    }

    /// How often it failed since the last success.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// It worked: the next wait is the first one again.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// How long to wait after so many failures of a kind that is counted elsewhere.
    pub(crate) fn after(&mut self, failures: u32) -> Duration {
        let full = self.first.saturating_mul(1 << failures.min(16)).min(self.max);
        // xorshift64 is random enough to keep clients apart.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = u32::try_from(self.random % 1_024).unwrap_or(0);
        full.mul_f64(1.0 - f64::from(share) / 2_048.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_millis(500);

    #[test]
    fn waits_grow_to_the_bound_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(FIRST, MAX, 7);
        let mut full = FIRST;
        for _ in 0..20 {
            let wait = backoff.next();
            assert!(wait <= full && wait >= full / 2, "{wait:?} of {full:?}");
            full = (full * 2).min(MAX);
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }

    #[test]
    fn two_clients_do_not_wait_alike() {
        let waits = |seed| {
            let mut backoff = Backoff::new(FIRST, MAX, seed);
            [(); 8].map(|()| backoff.next())
        };
        assert_ne!(waits(1), waits(12_345));
    }
}
