//! Time, of which there are two kinds, and the traits behind which drivers hide where they come from.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use crate::ids::number;

number! {
    /// The time that a log entry carries, in milliseconds: the only time that a state machine may know.
    ///
    /// It starts at the wall clock of the day a partition was born and then advances with the monotonic clock
    /// of whoever leads, and who counts what has passed since the last entry came. It never goes back and never jumps
    /// with a wall clock, so a TTL is never too short; while nobody runs it stands still, so a TTL may be longer in real
    /// time.
    LogTime, u64
}

impl LogTime {
    /// This time plus a duration in milliseconds; stops at the end of time instead of wrapping.
    pub const fn plus_ms(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }
}

/// A reading of a monotonic clock that also counts while the machine is suspended, in nanoseconds since an
/// arbitrary start. Only differences between readings of one process mean something.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(u64);

impl Monotonic {
    /// The reading `nanos` after the start of the clock.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start of the clock.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this reading was taken; zero if it was not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Monotonic {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Monotonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// Where a driver gets its time from. The pure crates never hold one: they are told the time with each event.
pub trait Clock: Send + Sync {
    /// The monotonic clock, which must go on while the machine sleeps.
    fn now(&self) -> Monotonic;

    /// The wall clock, in milliseconds since 1970. Used once in the life of a partition, at its birth.
    fn wall_ms(&self) -> u64;
}

/// Where a driver gets its randomness from: member ids, back-off jitter. Nothing replicated ever draws from it.
pub trait Random: Send {
    /// The next 64 random bits.
    fn next_u64(&mut self) -> u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_differences_never_go_below_zero() {
        let early = Monotonic::from_nanos(5);
        let late = early + Duration::from_nanos(7);
        assert_eq!(late.since(early), Duration::from_nanos(7));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early - Duration::from_secs(1), Monotonic::from_nanos(0));
    }
}
