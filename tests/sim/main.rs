//! The simulator, run over many seeds. See `synod_testkit::sim`.
//!
//! - `make sim SEED=42` replays one seed and shows what happened.
//! - `make soak SEEDS=100000` runs many, from a seed that `FIRST` may name.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: they say what they find, and stop where it is not what it should be"
)]

mod runner;

use std::collections::BTreeMap;

use runner::{Summary, replay, run_all};
use synod_testkit::sim::{Fault, run};

/// The allocator of the `synod` program. A run is much making and dropping of small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many seeds every run of the tests goes through.
const SEEDS: u64 = 2_000;

/// Seeds that once found something, each with a line of why.
const KEPT: &str = include_str!("seeds");

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(|value| value.parse().unwrap())
}

fn kept_seeds() -> Vec<u64> {
    let lines = KEPT.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    lines.map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

/// Either the one seed that is to be replayed, or many.
#[test]
fn every_promise_is_kept_whatever_goes_wrong() {
    if let Some(seed) = number("SYNOD_SIM_SEED") {
        return replay(seed);
    }
    let first = number("SYNOD_SIM_FIRST").unwrap_or(0);
    let seeds = number("SYNOD_SIM_SEEDS").unwrap_or(SEEDS);
    let summary = run_all(first..first + seeds);
    println!("{summary}");
    summary.assert_kept();
    if seeds >= SEEDS {
        assert_eq!(missing(&summary), Vec::<&str>::new(), "these faults never struck");
    }
}

fn missing(summary: &Summary) -> Vec<&'static str> {
    let struck: &BTreeMap<Fault, u64> = &summary.struck;
    Fault::ALL.iter().filter(|fault| !struck.contains_key(fault)).map(|fault| fault.as_str()).collect()
}

#[test]
fn what_was_found_once_stays_mended() {
    run_all(kept_seeds()).assert_kept();
}

#[test]
fn a_seed_decides_everything() {
    for seed in [1, 2, 3, 1_000_003, u64::MAX] {
        let (once, again) = (run(seed, true), run(seed, true));
        let (once_text, again_text) = (once.trace.unwrap(), again.trace.unwrap());
        assert!(once_text.lines().count() > 100, "seed {seed} does nothing:\n{once_text}");
        assert!(once_text == again_text, "seed {seed} went differently the second time");
        assert_eq!((once.events, once.struck), (again.events, again.struck), "seed {seed}");
    }
}
