//! The clocks and the random numbers of the machine.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use synod_types::{Clock, Monotonic, Random};

/// The clocks of the machine. The monotonic one goes on while the machine is suspended (`CLOCK_BOOTTIME`), so that a
/// lease is over when a laptop wakes up.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Monotonic {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Monotonic::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    fn wall_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The random numbers of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn next_u64(&mut self) -> u64 {
        // Without a source of randomness, which every system has, ids would clash: the clock is better than nothing.
        getrandom::u64().unwrap_or_else(|_| SystemClock.now().as_nanos())
    }
}
