//! Members that change while everything else goes on.

use synod_testkit::sim::Setting;

use crate::{PROGRESS, direct, ms, with_snapshots};

/// A member is exchanged, which gets its state by a snapshot, and the leader is cut off at one moment of that after
/// another. That two majorities always have a member in common is an invariant of the simulator.
#[test]
fn f07_members_may_change_while_the_leader_is_cut_off() {
    for moment in 0..12 {
        direct(Setting { spares: 1, ..with_snapshots(1 + moment) }, |run| {
            let leader = run.leader()?;
            let leaves = if moment % 2 == 0 { leader } else { (leader + 1) % 3 };
            run.replace(leaves, 3);
            run.run(ms(120 * moment))?;
            let leader = run.leader()?;
            run.isolate(leader);
            run.run(ms(2_500))?;
            run.mend();
            run.wait("the newcomer votes, and who was to leave does not", |run| {
                let votes =
                    |node| run.standing(node).is_some_and(|standing| run.voters().contains(&standing.member));
                votes(3) && !votes(leaves) && run.voters().len() == 3
            })?;
            run.progress(PROGRESS)
        });
    }
}

/// Membership is in the state that replicas agree on: at the same index it is the same everywhere, whatever writes and
/// leaders came between its changes.
#[test]
fn f13_configuration_is_in_order_with_data() {
    direct(Setting { spares: 1, seed: 5, ..Setting::default() }, |run| {
        let (mut out, mut changes) = (3, 0);
        while changes < 6 {
            let leaves = (out + 1) % 4;
            let before = run.voters();
            run.replace(leaves, out);
            run.transfer();
            run.wait("the members have changed", |run| {
                run.voters() != before
                    && run.voters().len() == 3
                    && run.standing(out).is_some_and(|standing| run.voters().contains(&standing.member))
            })?;
            run.progress(PROGRESS)?;
            (out, changes) = (leaves, changes + 1);
        }
        Ok(())
    });
}
