//! The clocks of nodes: each runs at a speed of its own, and may jump.

use synod_types::Monotonic;

/// The monotonic clock of one node, as a function of the time of the simulation.
///
/// Within the contract of the product it drifts; see `synod_protocol::raft` for how far. Jumps are beyond that contract.
#[derive(Clone, Debug)]
pub(super) struct NodeClock {
    /// Where the clock stood at a moment of the simulation.
    base: (Monotonic, Monotonic),
    /// How much faster it runs, in millionths; negative if slower.
    drift_ppm: i64,
}

const MILLION: i128 = 1_000_000;

impl NodeClock {
    /// A clock that shows `reading` at the beginning and runs exactly.
    pub(super) const fn starting_at(reading: Monotonic) -> Self {
        Self { base: (Monotonic::from_nanos(0), reading), drift_ppm: 0 }
    }

    /// What it shows.
    pub(super) fn read(&self, now: Monotonic) -> Monotonic {
        let (began, reading) = self.base;
        let passed = scale(now.as_nanos() - began.as_nanos(), MILLION + i128::from(self.drift_ppm), MILLION);
        Monotonic::from_nanos(reading.as_nanos() + passed)
    }

    /// The first moment at which it shows at least `reading`.
    pub(super) fn when(&self, reading: Monotonic) -> Monotonic {
        let (began, from) = self.base;
        let left = reading.as_nanos().saturating_sub(from.as_nanos());
        let passed = scale(left, MILLION, MILLION + i128::from(self.drift_ppm));
        Monotonic::from_nanos(began.as_nanos() + passed + 1)
    }

    /// Changes its speed from now on.
    pub(super) fn set_drift(&mut self, now: Monotonic, drift_ppm: i64) {
        self.base = (now, self.read(now));
        self.drift_ppm = drift_ppm;
    }

    /// Makes it jump, back if negative; not before its own beginning.
    pub(super) fn jump(&mut self, now: Monotonic, by_ms: i64) {
        let nanos = by_ms.saturating_mul(1_000_000);
        let reading = self.read(now).as_nanos().saturating_add_signed(nanos);
        self.base = (now, Monotonic::from_nanos(reading));
    }
}

fn scale(nanos: u64, numerator: i128, denominator: i128) -> u64 {
    u64::try_from(i128::from(nanos) * numerator / denominator).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_drifts_is_read_and_asked_back_alike() {
        let mut clock = NodeClock::starting_at(Monotonic::from_nanos(5_000));
        for drift_ppm in [0, 40_000, -40_000] {
            let now = Monotonic::from_nanos(1_000_000_000);
            clock.set_drift(now, drift_ppm);
            let reading = Monotonic::from_nanos(clock.read(now).as_nanos() + 777_777);
            let when = clock.when(reading);
            assert!(clock.read(when) >= reading, "{drift_ppm}");
            assert!(clock.read(Monotonic::from_nanos(when.as_nanos() - 3)) <= reading, "{drift_ppm}");
        }
    }
}
