//! What clients were promised: once, in order, and alone.

use synod_testkit::sim::Setting;

use crate::{PROGRESS, direct, ms, with_snapshots};

/// Clients do not hear the leader: what it did for them they ask for again, of others who know that it was done.
#[test]
fn f09_what_is_asked_again_is_done_once() {
    for seed in 1..8 {
        direct(with_snapshots(seed), |run| {
            let leader = run.leader()?;
            let before = run.committed();
            run.silence(leader);
            run.run(ms(700))?;
            assert!(run.committed() > before, "it does what it is asked, and nobody hears of it");
            run.isolate(leader);
            run.run(ms(3_000))?;
            run.mend();
            run.progress(PROGRESS)
        });
    }
}

/// Watches go on through leaders that end, sleep and hand over, and are held against the history of the partition: every
/// change once, in order, and no progress ahead of them.
#[test]
fn f10_watches_miss_nothing_whoever_leads() {
    for seed in 1..6 {
        direct(with_snapshots(seed), |run| {
            for round in 0..6 {
                let leader = run.leader()?;
                match round % 3 {
                    0 => run.kill_after(leader, 0),
                    1 => run.transfer(),
                    _ => run.pause(leader, ms(2_500)),
                }
                run.run(ms(600))?;
                run.progress(PROGRESS)?;
            }
            Ok(())
        });
    }
}

/// Clients sleep for longer than their sessions last, and wake up with locks that others have by then, and with places in
/// queues that nobody keeps.
#[test]
fn f12_a_lock_has_one_holder_whoever_sleeps() {
    for seed in 1..8 {
        direct(Setting { seed, ..Setting::default() }, |run| {
            for client in 0..4 {
                run.pause_client(client, ms(6_000));
                run.run(ms(1_500))?;
                let leader = run.leader()?;
                run.kill_after(leader, 0);
                run.run(ms(1_500))?;
            }
            run.run(ms(6_000))?;
            run.progress(PROGRESS)
        });
    }
}
