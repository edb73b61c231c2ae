//! Counts what is done, and how long it took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use synod_client::Error;

use super::mix::{Kind, Mix};

/// The longest time that is told from longer ones: an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// What was done of one kind.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) kind: Kind,
    /// Of what succeeded, in nanoseconds.
    pub(super) latency_ns: Histogram<u64>,
    /// By code: how many, and the first message.
    pub(super) errors: BTreeMap<&'static str, (u64, String)>,
}

/// Counts. All clients share it.
#[derive(Debug)]
pub(super) struct Recorder {
    is_measuring: AtomicBool,
    done: AtomicU64,
    failed: AtomicU64,
    tallies: Mutex<Vec<Tally>>,
}

impl Recorder {
    /// Counts nothing yet.
    pub(super) fn new(mix: &Mix) -> anyhow::Result<Self> {
        let tally = |kind| {
            let latency_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?;
            anyhow::Ok(Tally { kind, latency_ns, errors: BTreeMap::new() })
        };
        Ok(Self {
            is_measuring: AtomicBool::new(false),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            tallies: Mutex::new(mix.kinds().map(tally).collect::<anyhow::Result<_>>()?),
        })
    }

    /// Begins or ends the span that counts.
    pub(super) fn measure(&self, is_measuring: bool) {
        self.is_measuring.store(is_measuring, Ordering::Relaxed);
    }

    /// An operation has ended.
    pub(super) fn record(&self, kind: Kind, took: Duration, outcome: Result<(), &Error>) {
        let total = if outcome.is_ok() { &self.done } else { &self.failed };
        total.fetch_add(1, Ordering::Relaxed);
        if !self.is_measuring.load(Ordering::Relaxed) {
            return;
        }
        let mut tallies = self.tallies();
        let Some(tally) = tallies.iter_mut().find(|tally| tally.kind == kind) else { return };
        match outcome {
            Ok(()) => tally.latency_ns.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)),
            Err(error) => {
                let first = || (0, error.to_string());
                let (count, _) = tally.errors.entry(error.code().as_str()).or_insert_with(first);
                *count += 1;
            }
        }
    }

    /// How many operations have succeeded and failed since the beginning, warm-up included.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// What was counted.
    pub(super) fn results(&self) -> Vec<Tally> {
        self.tallies().clone()
    }

    fn tallies(&self) -> MutexGuard<'_, Vec<Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
