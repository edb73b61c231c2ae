//! Networks in which who reaches whom is neither mutual nor transitive.

use synod_testkit::sim::{Directed, Setting};

use crate::{PROGRESS, direct, ms};

fn highest_term(run: &Directed) -> u64 {
    (0..run.nodes()).filter_map(|node| run.standing(node)).map(|standing| standing.term).max().unwrap_or(0)
}

/// A follower that is cut off, again and again, deposes nobody when it is back: its term has not grown.
#[test]
fn f16_a_link_that_flaps_deposes_nobody() {
    direct(Setting { seed: 3, ..Setting::default() }, |run| {
        let leader = run.leader()?;
        let term = highest_term(run);
        let follower = (leader + 1) % 3;
        for flap in 0..12 {
            run.isolate(follower);
            run.run(ms(400 * (1 + flap % 4)))?;
            assert_eq!(highest_term(run), term, "it counts terms while nobody hears it");
            run.mend();
            run.progress(PROGRESS)?;
        }
        assert_eq!((run.leader()?, highest_term(run)), (leader, term));
        Ok(())
    });
}

/// The leader and one follower do not reach each other; the other follower reaches both. One leader comes out of it, and
/// stays.
#[test]
fn f16_a_partial_partition_has_one_leader_that_stays() {
    direct(Setting { seed: 4, ..Setting::default() }, |run| {
        let leader = run.leader()?;
        let other = (leader + 1) % 3;
        run.cut(leader, other);
        run.cut(other, leader);
        run.run(ms(3_000))?;
        run.progress(PROGRESS)?;
        let settled = highest_term(run);
        run.run(ms(10_000))?;
        assert_eq!(highest_term(run), settled, "leaders take turns");
        run.progress(PROGRESS)
    });
}

/// A leader that is heard and does not hear makes way: it must not hold the others bound to it for ever.
#[test]
fn f16_a_deaf_leader_makes_way() {
    direct(Setting { seed: 5, ..Setting::default() }, |run| {
        let leader = run.leader()?;
        (0..3).filter(|other| *other != leader).for_each(|other| run.cut(other, leader));
        run.wait("somebody else leads", |run| {
            (0..3).any(|node| node != leader && run.standing(node).is_some_and(|standing| standing.leads))
        })?;
        run.progress(PROGRESS)
    });
}
