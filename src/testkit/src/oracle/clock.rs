//! How far the clock that ends leases and TTLs may be off.

use std::time::Duration;

use synod_types::Monotonic;

/// A bound on what a duration can shrink to or grow to, seen by the clock of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockBound {
    /// How much faster or slower the clock of a leader may run, in millionths.
    pub drift_ppm: u32,
    /// What may be added or lost once, whatever the duration. The log counts whole milliseconds, so the beginning of a
    /// duration may be dated back by almost one.
    pub slack: Duration,
}

impl Default for ClockBound {
    /// A clock that does not drift and counts whole milliseconds.
    fn default() -> Self {
        Self { drift_ppm: 0, slack: Duration::from_millis(1) }
    }
}

impl ClockBound {
    /// A clock that is exactly that of the history.
    pub const EXACT: Self = Self { drift_ppm: 0, slack: Duration::ZERO };

    /// The earliest moment at which something can end that began no earlier than `since` and lasts this long.
    pub fn earliest_end(self, since: Monotonic, duration: Duration) -> Monotonic {
        let shrunk = scale(duration, MILLION, MILLION + self.drift());
        since + shrunk.saturating_sub(self.slack)
    }

    /// The latest moment at which something ends, if nothing delays it, that began no later than `since`.
    pub fn latest_end(self, since: Monotonic, duration: Duration) -> Monotonic {
        let grown = scale(duration, MILLION, MILLION.saturating_sub(self.drift()).max(1));
        since + grown.saturating_add(self.slack).saturating_add(Duration::from_nanos(1))
    }

    fn drift(self) -> u128 {
        u128::from(self.drift_ppm)
    }
}

const MILLION: u128 = 1_000_000;

/// A duration times a fraction, in whole nanoseconds, rounded down.
fn scale(duration: Duration, numerator: u128, denominator: u128) -> Duration {
    let nanos = duration.as_nanos().saturating_mul(numerator).checked_div(denominator);
    Duration::from_nanos(nanos.and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_and_slack_widen_both_ends() {
        let since = Monotonic::from_nanos(1_000);
        let bound = ClockBound { drift_ppm: 250_000, slack: Duration::from_nanos(5) };
        let duration = Duration::from_nanos(3_000);
        assert_eq!(bound.earliest_end(since, duration), Monotonic::from_nanos(1_000 + 2_400 - 5));
        assert_eq!(bound.latest_end(since, duration), Monotonic::from_nanos(1_000 + 4_000 + 5 + 1));
        assert_eq!(ClockBound::EXACT.earliest_end(since, duration), Monotonic::from_nanos(4_000));
        assert_eq!(bound.earliest_end(since, Duration::from_nanos(2)), since, "never before it began");
    }
}
