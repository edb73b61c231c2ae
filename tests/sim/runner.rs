//! Runs seeds, side by side, and sums up what came of them.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use synod_testkit::sim::{Fault, Report, run};

use crate::number;

/// When so many seeds have failed, no more are run, unless `SYNOD_SIM_FAILURES` says another number.
const FAILURES_MAX: u64 = 10;

/// What came of many runs.
#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) struck: BTreeMap<Fault, u64>,
    runs: u64,
    simulated: Duration,
    /// Processor time spent by all threads together.
    spent: Duration,
    events: u64,
    entries: u64,
    answers: u64,
    membership_changes: u64,
    undecided: u64,
    failures: Vec<(u64, String)>,
}

impl Summary {
    fn add(&mut self, report: Report, spent: Duration) {
        self.runs += 1;
        self.spent += spent;
        self.simulated += report.simulated;
        self.events += report.events;
        self.entries += report.entries;
        self.answers += report.answers;
        self.membership_changes += report.membership_changes;
        self.undecided += report.undecided;
        for (fault, times) in report.struck {
            *self.struck.entry(fault).or_default() += times;
        }
        if let Some(violation) = report.violation {
            self.failures.push((report.seed, violation.to_string()));
        }
    }

    /// Every run kept every promise.
    #[track_caller]
    pub(crate) fn assert_kept(&self) {
        let failures: Vec<_> = self
            .failures
            .iter()
            .map(|(seed, why)| format!("seed {seed} (replay it with `make sim SEED={seed}`): {why}"))
            .collect();
        assert!(failures.is_empty(), "{} seeds failed:\n{}", failures.len(), failures.join("\n"));
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, core_hours) =
            (self.simulated.as_secs_f64() / 3_600.0, self.spent.as_secs_f64() / 3_600.0);
        writeln!(
            f,
            "{} runs, {hours:.2} simulated hours in {core_hours:.4} core-hours: {:.0} in one",
            self.runs,
            hours / core_hours
        )?;
        writeln!(
            f,
            "{} events, {} entries, {} answers, {} membership changes, {} undecided",
            self.events, self.entries, self.answers, self.membership_changes, self.undecided
        )?;
        for (fault, times) in &self.struck {
            writeln!(f, "  {times:>9} {}", fault.as_str())?;
        }
        Ok(())
    }
}

/// Runs seeds on all cores.
pub(crate) fn run_all(seeds: impl IntoIterator<Item = u64, IntoIter: Send>) -> Summary {
    let (seeds, summary) = (Mutex::new(seeds.into_iter()), Mutex::new(Summary::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = take(&seeds, &summary) {
                    let begin = processor_time();
                    let report = run_one(seed);
                    summary.lock().unwrap().add(report, processor_time() - begin);
                }
            });
        }
    });
    summary.into_inner().unwrap()
}

/// How long the processor has worked for this thread: others that share it do not count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn take(seeds: &Mutex<impl Iterator<Item = u64>>, summary: &Mutex<Summary>) -> Option<u64> {
    if summary.lock().unwrap().failures.len() as u64 >= number("SYNOD_SIM_FAILURES").unwrap_or(FAILURES_MAX) {
        return None;
    }
    seeds.lock().unwrap().next()
}

/// Runs one seed. A panic of the product is a broken promise like any other.
fn run_one(seed: u64) -> Report {
    catch_unwind(AssertUnwindSafe(|| run(seed, false))).unwrap_or_else(|_| panicked(seed))
}

fn panicked(seed: u64) -> Report {
    let what = "something panicked; the message is above".to_owned();
    let violation = Some(synod_testkit::sim::Violation { invariant: "no panic", what });
    Report { seed, violation, ..Report::default() }
}

/// Runs one seed for somebody who wants to see what happens.
pub(crate) fn replay(seed: u64) {
    let report = run(seed, true);
    println!("{}", report.trace.as_deref().unwrap_or_default());
    if let Some(violation) = report.violation {
        panic!("seed {seed}: {violation}");
    }
}
