//! An operator that is killed at any of its steps, and another one that takes over.
//!
//! ```text
//!   create ──► ready ──► 3 to 5 members ──► another image ──► a primitive and the group deleted
//!      └────────┴───────────────┴────────────────┴──── a step; the operator dies before it, or after ──► a second operator
//! ```
//!
//! A run in which nobody dies says how things are to be at the end of each stage. Then there are runs in which operators
//! die at one step after the other, until a run is over before the operator has taken so many. Odd ones die before the step,
//! even ones after it: what is left in the API server before a step and after the one before it is the same, and the two
//! differ only in what the nodes were told meanwhile.
//!
//! Of the life of a group every fifth step is taken, because each run costs seconds; of its certificates each one. With
//! `SYNOD_CRASH_ALL` each step of both is taken, before and after.
//!
//! Each run has a namespace, a lease and a proxy of its own; the API server, the members and the machine are shared.

mod run;
mod state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::StreamExt as _;

use self::run::{Run, Story};
use crate::control_plane::ControlPlane;
use crate::fuse::Moment;
use crate::simulation::Simulation;

/// How many runs are under way at a time. They mostly wait.
const CONCURRENCY: usize = 8;

/// When operators die: at each `stride`th step, from the first one on.
fn deaths(stride: usize) -> impl Iterator<Item = (usize, Moment)> {
    let all = std::env::var_os("SYNOD_CRASH_ALL").is_some();
    let moments = move |step: usize| {
        let is_odd = !step.is_multiple_of(2);
        let before = (all || is_odd).then_some((step, Moment::Before));
        let after = (all || !is_odd).then_some((step, Moment::After));
        before.into_iter().chain(after)
    };
    (1..).step_by(if all { 1 } else { stride }).flat_map(moments)
}

/// Lets operators die at each `stride`th step of a story, which has `least` steps or more.
fn sweep(story: Story, least: usize, stride: usize) {
    let plane = ControlPlane::start();
    plane.let_operators_lead_anywhere();
    let simulation = Simulation::start(&plane.kubeconfig("admin"));
    let started = Instant::now();
    let undisturbed = simulation.runtime.block_on(Run::new(&plane, &simulation, story, None).undisturbed());
    let steps = undisturbed.steps.len();
    println!("{steps} steps in {:.1} s: {:#?}", started.elapsed().as_secs_f64(), undisturbed.steps);
    assert!(steps >= least, "not so few: {:#?}", undisturbed.steps);
    let is_over = AtomicBool::new(false);
    let each = deaths(stride).take_while(|_| !is_over.load(Ordering::Relaxed)).map(async |death| {
        let died = Run::new(&plane, &simulation, story, Some(death)).disturbed(&undisturbed.stages).await;
        if !died {
            is_over.store(true, Ordering::Relaxed);
        }
        usize::from(died)
    });
    let count = futures::stream::iter(each).buffer_unordered(CONCURRENCY);
    let died: usize = simulation.runtime.block_on(count.fold(0, async |sum, died| sum + died));
    println!("{died} operators died in {:.1} s", started.elapsed().as_secs_f64());
    // Steps depend on time: a status that changes twice at once is written once.
    let planned = deaths(stride).take_while(|(step, _)| *step <= steps).count();
    assert!(died * 2 >= planned, "{died} of {planned}");
    let (_, forbidden) = plane.counts();
    assert!(forbidden < 0.5, "an operator may not do what it has to: {}", plane.log());
}

#[test]
fn an_operator_that_dies_at_any_step_leaves_a_group_that_the_next_one_keeps() {
    sweep(Story::Life, 60, 5);
}

#[test]
fn an_operator_that_dies_at_any_step_leaves_certificates_that_the_next_one_uses() {
    sweep(Story::Certificates, 15, 1);
}
