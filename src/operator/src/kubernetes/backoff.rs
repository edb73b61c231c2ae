//! How long to wait before what failed is tried again.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The pause after the first failure, before chance takes a part of it away.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Counts the failures of each object since its last success.
#[derive(Debug)]
pub(super) struct Backoff<K> {
    failures: Mutex<HashMap<K, u32>>,
}

impl<K: Eq + Hash> Backoff<K> {
    pub(super) fn new() -> Self {
        Self { failures: Mutex::new(HashMap::new()) }
    }

    /// Notes that something failed, and says how long to wait: twice as long each time, up to a minute.
    pub(super) fn failed(&self, key: K) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key).or_insert(0);
        let pause = PAUSE_MIN.saturating_mul(1 << (*count).min(10)).min(PAUSE_MAX);
        *count = count.saturating_add(1);
        jittered(pause)
    }

    /// Notes that something went well, or that it exists no more.
    pub(super) fn forget(&self, key: &K) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// A duration from half of `most` to all of it, by chance: what failed together is not tried again together.
pub(super) fn jittered(most: Duration) -> Duration {
    // Each RandomState has keys of its own.
    let chance = RandomState::new().hash_one(0_u8) % 512;
    most / 2 + most.saturating_mul(u32::try_from(chance).unwrap_or(0)) / 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_a_success() {
        let backoff = Backoff::new();
        let mut most = PAUSE_MIN;
        for _ in 0..20 {
            let pause = backoff.failed("a");
            assert!(pause >= most / 2 && pause <= most, "{pause:?} of {most:?}");
            most = (most * 2).min(PAUSE_MAX);
        }
        assert!(backoff.failed("b") <= PAUSE_MIN, "each object has its own");
        backoff.forget(&"a");
        assert!(backoff.failed("a") <= PAUSE_MIN);
    }
}
