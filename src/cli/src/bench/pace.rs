//! When operations begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How exactly beginnings are timed. Those that fall into one such span begin together, but count from when each was
/// to begin.
const GRAIN: Duration = Duration::from_micros(100);

/// The most beginnings that are let go at once.
const BURST: u64 = 10_000;

/// Says when the next operation begins.
#[derive(Clone, Debug)]
pub(super) enum Pace {
    /// As soon as a client is free.
    Closed,
    /// At a rate, whoever is free.
    Open(Arc<Arrivals>),
}

/// Beginnings at a steady rate.
#[derive(Debug)]
pub(super) struct Arrivals {
    begin: Instant,
    per_second: u32,
    due: Semaphore,
    taken: AtomicU64,
    is_over: AtomicBool,
}

impl Pace {
    /// Begins now.
    pub(super) fn begin(rate: Option<u32>) -> anyhow::Result<Self> {
        let Some(per_second) = rate else { return Ok(Self::Closed) };
        let arrivals = Arc::new(Arrivals {
            begin: Instant::now(),
            per_second,
            due: Semaphore::new(0),
            taken: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        // A thread of its own: the timers of the runtime are exact to a millisecond only.
        let clock = arrivals.clone();
        std::thread::Builder::new().name("pace".to_owned()).spawn(move || clock.tick())?;
        Ok(Self::Open(arrivals))
    }

    /// Waits for the next beginning, and returns from when on the operation counts.
    pub(super) async fn next(&self) -> Instant {
        let Self::Open(arrivals) = self else { return Instant::now() };
        if let Ok(permit) = arrivals.due.acquire().await {
            permit.forget();
        }
        arrivals.at(arrivals.taken.fetch_add(1, Ordering::Relaxed))
    }

    /// How many operations were to begin by now, and wait for a client.
    pub(super) fn waiting(&self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Open(arrivals) => arrivals.due.available_permits(),
        }
    }

    /// Lets nothing begin any more.
    pub(super) fn end(&self) {
        if let Self::Open(arrivals) = self {
            arrivals.is_over.store(true, Ordering::Relaxed);
        }
    }
}

impl Arrivals {
    /// When an operation is to begin.
    fn at(&self, number: u64) -> Instant {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.per_second.max(1));
        self.begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn tick(&self) {
        let mut released = 0_u64;
        while !self.is_over.load(Ordering::Relaxed) {
            let passed = self.begin.elapsed().as_nanos();
            // The first one begins with the clock, and not an interval later.
            let begun = 1 + passed * u128::from(self.per_second) / 1_000_000_000;
            let due = u64::try_from(begun).unwrap_or(u64::MAX);
            let more = due.saturating_sub(released).min(BURST);
            let has_room = self.due.available_permits() < Semaphore::MAX_PERMITS / 2;
            if more > 0 && has_room {
                self.due.add_permits(usize::try_from(more).unwrap_or(0));
                released += more;
            } else {
                std::thread::sleep(GRAIN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn operations_count_from_when_they_were_to_begin() {
        let begin = Instant::now();
        let pace = Pace::begin(Some(1_000)).unwrap();
        let first = pace.next().await;
        for _ in 0..20 {
            pace.next().await;
        }
        let last = pace.next().await;
        assert_eq!(last - first, Duration::from_millis(21));
        assert!(first >= begin);
        assert!(begin.elapsed() >= Duration::from_millis(21), "nothing begins early");
        pace.end();
    }

    #[tokio::test]
    async fn an_operation_is_let_go_when_it_begins_to_count() {
        let pace = Pace::begin(Some(1)).unwrap();
        let first = pace.next().await;
        assert!(first.elapsed() < Duration::from_millis(900), "an interval late: {:?}", first.elapsed());
        pace.end();
    }
}
