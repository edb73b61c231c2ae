//! The clock by which the client judges what it holds, and where its randomness comes from.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use synod_types::Monotonic;

/// Now, by a clock that goes on while the machine is suspended (`CLOCK_BOOTTIME`): a lock is lost when a laptop wakes up,
/// not some time later.
pub(crate) fn now() -> Monotonic {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Monotonic::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Waits until `deadline`, at most for `chunk`: the timers of the runtime stand still while the machine is suspended, so
/// nobody should trust a long one.
pub(crate) async fn sleep_until(deadline: Monotonic, chunk: Duration) {
    tokio::time::sleep(deadline.since(now()).min(chunk)).await;
}

/// 64 random bits, for ids that must not clash and for jitter.
pub(crate) fn random() -> u64 {
    // Every system has a source of randomness; the clock is better than nothing.
    getrandom::u64().unwrap_or_else(|_| now().as_nanos())
}

/// Whole milliseconds, rounded up, as the wire has them.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
