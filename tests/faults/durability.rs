//! What is on disk when a process or its power goes, or the disk itself lies.

use synod_testkit::sim::Setting;

use crate::{PROGRESS, direct, ms, with_snapshots};

/// The power of one, two or all nodes goes at one change of their disks after another: what was not synced is gone.
#[test]
fn f01_nothing_acknowledged_is_lost_whenever_the_power_goes() {
    for changes in 0..36 {
        let struck = 1 + changes as usize % 3;
        direct(Setting { seed: 1 + changes, ..Setting::default() }, |run| {
            (0..struck).for_each(|node| run.cut_power_after(node, changes));
            run.wait("the power goes", |run| (0..struck).any(|node| run.standing(node).is_none()))?;
            run.progress(PROGRESS)
        });
    }
}

/// A bit flips in what a node keeps. It must find out before it takes part, and another member comes in its place.
#[test]
fn f03_what_is_damaged_is_found_and_takes_no_part() {
    for (seed, part) in [(1, "/log/"), (2, "/log/"), (3, "identity")] {
        direct(Setting { seed, ..Setting::default() }, |run| {
            let node = run.leader()?;
            let before = run.standing(node).unwrap().member;
            assert!(run.damage(node, |file| file.contains(part))? > 0, "there is something to damage");
            let mut took_part = false;
            run.wait("the damage is found", |run| {
                took_part |= run.standing(node).is_some_and(|standing| standing.member == before);
                run.has_failed(node)
            })?;
            assert!(!took_part, "it works with a damaged {part}");
            run.wait("another member takes its place", |run| {
                run.standing(node).is_some_and(|standing| run.voters().contains(&standing.member))
            })?;
            assert_ne!(run.standing(node).unwrap().member, before);
            run.progress(PROGRESS)
        });
    }
}

/// The process of the leader ends between one effect and the next: the log, the state and what it said must agree when it
/// is back, which the referee sees by the hash of the state at every index.
#[test]
fn f04_state_and_log_agree_wherever_a_process_ends() {
    for effects in 1..30 {
        direct(with_snapshots(effects), |run| {
            let leader = run.leader()?;
            run.kill_after(leader, effects);
            run.wait("the process ends", |run| run.standing(leader).is_none())?;
            run.progress(PROGRESS)
        });
    }
}

/// The power goes at one change of the disk after another, while snapshots are written and the log behind them is cut.
#[test]
fn f05_snapshots_may_be_interrupted_anywhere() {
    for changes in 1..40 {
        direct(with_snapshots(changes), |run| {
            run.wait("there are snapshots", |run| {
                (0..3).all(|node| run.standing(node).is_some_and(|standing| standing.snapshot > 0))
            })?;
            let node = changes as usize % 3;
            run.cut_power_after(node, 2 * changes);
            run.wait("the power goes", |run| run.standing(node).is_none())?;
            run.progress(PROGRESS)?;
            run.run(ms(500))
        });
    }
}
