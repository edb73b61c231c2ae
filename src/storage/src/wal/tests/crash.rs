//! Crashes and failing disks at every point of random workloads.

use proptest::prelude::*;

use super::*;
use crate::disk::{DiskErrorKind, FaultRule, Operation, Trigger};

/// A step of a workload; the numbers are cut to what is allowed.
#[derive(Clone, Debug)]
enum Step {
    Entries { back: u64, sizes: Vec<usize>, new_term: bool },
    HardState { vote: u64 },
    Mark { back: u64, ahead: u64, other_term: bool },
    Write,
    Sync,
    Seal,
    Truncate,
    Prepare,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 0usize..300, 3 => 300usize..5000, 1 => Just(16_000)];
    let entries = (0u64..6, prop::collection::vec(size, 1..6), any::<bool>());
    prop_oneof![
        8 => entries.prop_map(|(back, sizes, new_term)| Step::Entries {
            // Most of the time nothing is overwritten.
            back: back.saturating_sub(3),
            sizes,
            new_term,
        }),
        2 => (0u64..4).prop_map(|vote| Step::HardState { vote }),
        2 => (0u64..8, 0u64..8, any::<bool>())
            .prop_map(|(back, ahead, other_term)| Step::Mark { back, ahead: ahead.saturating_sub(6), other_term }),
        1 => Just(Step::Write),
        6 => Just(Step::Sync),
        1 => Just(Step::Seal),
        2 => Just(Step::Truncate),
        2 => Just(Step::Prepare),
    ]
}

/// A log and its model, side by side.
struct Run {
    wal: Wal,
    model: Model,
    term: u64,
}

impl Run {
    fn step(&mut self, step: &Step) -> Result<()> {
        let state = self.model.last();
        match step {
            Step::Entries { back, sizes, new_term } => {
                self.term += u64::from(*new_term);
                let from = (state.last() + 1).saturating_sub(*back).max(state.first());
                let entries = (from..).zip(sizes).map(|(index, size)| entry(index, self.term, *size));
                let entries: Vec<Entry> = entries.collect();
                self.append(&Batch { entries: &entries, ..Batch::default() })
            }
            Step::HardState { vote } => {
                let hard_state = Some(hard_state(self.term, *vote, state.last()));
                self.append(&Batch { hard_state, ..Batch::default() })
            }
            Step::Mark { back, ahead, other_term } => {
                let index = (state.last() + ahead).saturating_sub(*back);
                let term = match state.term_at(index) {
                    Some(term) if !other_term => term.get(),
                    _ => self.term + 1,
                };
                if index < state.first() {
                    return Ok(());
                }
                self.term = self.term.max(term);
                let snapshot_mark = Some(mark(index, term));
                self.append(&Batch { snapshot_mark, ..Batch::default() })
            }
            Step::Write => self.wal.write(),
            Step::Sync => self.wal.sync().map(|_| self.model.sync()),
            Step::Seal => self.wal.seal().map(|_| self.model.sync()),
            Step::Truncate => {
                let synced = self.model.states[self.model.synced].mark.index;
                self.wal.truncate_up_to(synced)
            }
            Step::Prepare => self.wal.prepare_spare(6_000).map(|_| ()),
        }
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.wal.append(batch)?;
        self.model.append(batch);
        Ok(())
    }

    /// Runs to the end or to the first error.
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            if let Err(error) = self.step(step) {
                let expected = matches!(error, WalError::Disk(_) | WalError::Poisoned { .. });
                assert!(expected, "{error}");
                return;
            }
        }
    }

    /// Opens the log after its process or its machine ended. The disk may fail while it does.
    fn reopen(disk: &SimDisk, mut model: Model, term: u64) -> Self {
        let (wal, recovered) = match try_open(disk) {
            Ok(opened) => opened,
            Err(WalError::Disk(_)) => {
                disk.crash();
                open(disk)
            }
            Err(error) => panic!("{error}\nafter {model:?}"),
        };
        model.check(&recovered);
        Self { wal, model, term }
    }
}

/// How a round of a workload ends.
#[derive(Clone, Debug)]
enum End {
    /// The power goes after this many changes of the disk; while the log is opened again, after so many.
    PowerLoss(u64, u64),
    /// The n-th sync fails; then the process ends, then the power goes.
    FailedSync(u64),
    /// Every operation may fail, this often in a million; then the process ends.
    FlakyDisk(u32),
    /// The process ends.
    Kill,
}

fn make_flaky(disk: &SimDisk, per_million: u32) {
    use Operation::{Create, List, Open, Read, Remove, Rename, SyncData, SyncDir, Write};
    for operation in [Create, List, Open, Read, Remove, Rename, SyncData, SyncDir, Write] {
        let (kind, trigger) = (DiskErrorKind::Io, Trigger::Chance { per_million });
        disk.inject(FaultRule { operation, below: None, kind, trigger });
    }
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => (0u64..80, 0u64..12).prop_map(|(after, again)| End::PowerLoss(after, again)),
        2 => (1u64..12).prop_map(End::FailedSync),
        2 => (1_000u32..200_000).prop_map(End::FlakyDisk),
        1 => Just(End::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Round after round on one disk, so that what one leaves behind its end is there in the next.
    #[test]
    fn what_was_synced_is_found_and_nothing_is_invented(
        seed: u64,
        rounds in prop::collection::vec((prop::collection::vec(step(), 1..40), end()), 1..7),
    ) {
        let disk = SimDisk::new(seed);
        let mut run = Run { wal: create(&disk), model: Model::new(State::default()), term: 1 };
        for (steps, end) in rounds {
            match end {
                End::PowerLoss(after, again) => {
                    disk.power_off_after(after);
                    run.steps(&steps);
                    disk.crash();
                    disk.power_off_after(again);
                }
                End::FailedSync(nth) => {
                    disk.fail_nth(Operation::SyncData, nth, DiskErrorKind::Io);
                    run.steps(&steps);
                    disk.clear_faults();
                    disk.kill();
                    run = Run::reopen(&disk, run.model, run.term);
                    // What was returned is durable, although a sync had dropped it.
                    run.model.sync();
                    disk.crash();
                }
                End::FlakyDisk(per_million) => {
                    make_flaky(&disk, per_million);
                    run.steps(&steps);
                    disk.kill();
                    // An attempt to open fails, or finds what it should.
                    if let Ok((_, recovered)) = try_open(&disk) {
                        run.model.check(&recovered);
                        run.model.sync();
                    }
                    disk.clear_faults();
                    disk.kill();
                }
                End::Kill => {
                    run.steps(&steps);
                    disk.kill();
                }
            }
            run = Run::reopen(&disk, run.model, run.term);
            let found = run.model.clone();
            disk.crash();
            disk.crash();
            run = Run::reopen(&disk, found.clone(), run.term);
            prop_assert_eq!(run.model.last(), found.last());
        }
    }
}

fn batches() -> Vec<Vec<Entry>> {
    (0..12).map(|group| (0..4).map(|n| entry(group * 4 + n + 1, 1 + group / 3, 900)).collect()).collect()
}

/// Groups over several segments, with a snapshot and the removal of what it covers.
fn workload(wal: &mut Wal, model: &mut Model) -> Result<()> {
    for (number, entries) in batches().iter().enumerate() {
        let last = entries.last().unwrap();
        let batch = Batch {
            entries,
            hard_state: Some(hard_state(last.term.get(), number as u64, last.index.get() - 1)),
            snapshot_mark: (number == 8).then_some(mark(30, 3)),
        };
        wal.append(&batch)?;
        model.append(&batch);
        wal.sync()?;
        model.sync();
        if number == 9 {
            wal.truncate_up_to(LogIndex(30))?;
        }
        wal.prepare_spare(9_000)?;
    }
    Ok(())
}

#[test]
fn a_crash_at_every_boundary_loses_nothing_synced() {
    let total = {
        let disk = SimDisk::new(0);
        let mut wal = create(&disk);
        let before = disk.changes();
        workload(&mut wal, &mut Model::new(State::default())).unwrap();
        disk.changes() - before
    };
    assert!(total > 40, "{total}");
    for boundary in 0..=total {
        for seed in 0..12 {
            let disk = SimDisk::new(seed * 1000 + boundary);
            let mut wal = create(&disk);
            let mut model = Model::new(State::default());
            disk.power_off_after(boundary);
            let ended = workload(&mut wal, &mut model);
            assert_eq!(ended.is_ok(), boundary == total);
            disk.crash();
            let (wal, recovered) = open(&disk);
            model.check(&recovered);
            drop(wal);
            assert_eq!(State::of(&open(&disk).1), *model.last());
        }
    }
}

#[test]
fn a_crash_while_creating_leaves_a_log_or_none() {
    let mut both = [0, 0];
    for boundary in 0..12 {
        for seed in 0..8 {
            let disk = SimDisk::new(seed);
            disk.power_off_after(boundary);
            let created = Wal::create(arc(&disk), Path::new(DIR), SALT, options()).is_ok();
            disk.crash();
            match try_open(&disk) {
                Ok((_, recovered)) => {
                    assert_eq!(recovered, Recovered::default());
                    both[0] += 1;
                }
                Err(WalError::NoLog { .. }) => {
                    assert!(!created);
                    create(&disk);
                    both[1] += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(both[0] > 0 && both[1] > 0, "{both:?}");
}

#[test]
fn a_failed_sync_stops_the_log_for_good() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_groups(&mut wal, 1, 3, 100);
    append(&mut wal, &[entry(4, 1, 100)]).unwrap();
    disk.fail_nth(Operation::SyncData, 1, DiskErrorKind::Io);
    let WalError::Disk(cause) = wal.sync().unwrap_err() else {
        panic!("the first error is the disk's own");
    };
    let syncs = disk.count(Operation::SyncData);
    let poisoned = WalError::Poisoned { cause: cause.clone() };
    assert_eq!(wal.sync().unwrap_err(), poisoned);
    assert_eq!(wal.write().unwrap_err(), poisoned);
    assert_eq!(wal.seal().unwrap_err(), poisoned);
    assert_eq!(append(&mut wal, &[entry(5, 1, 1)]).unwrap_err(), poisoned);
    assert_eq!(wal.truncate_up_to(LogIndex(0)).unwrap_err(), poisoned);
    assert_eq!(wal.prepare_spare(1).unwrap_err(), poisoned);
    assert_eq!(wal.poison(), Some(&cause));
    assert_eq!(disk.count(Operation::SyncData), syncs, "no sync is tried again");
}

#[test]
fn a_failed_write_stops_the_log_too() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append(&mut wal, &[entry(1, 1, 100)]).unwrap();
    disk.fail_nth(Operation::Write, 1, DiskErrorKind::Io);
    assert!(matches!(wal.write(), Err(WalError::Disk(_))));
    assert!(matches!(wal.sync(), Err(WalError::Poisoned { .. })));
}

#[test]
fn what_a_failed_sync_dropped_is_durable_after_opening() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let mut wal = create(&disk);
        append_groups(&mut wal, 1, 3, 100);
        append(&mut wal, &[entry(4, 1, 4500), entry(5, 1, 4500)]).unwrap();
        disk.fail_nth(Operation::SyncData, 1, DiskErrorKind::Io);
        wal.sync().unwrap_err();
        disk.kill();
        let (_, shown) = open(&disk);
        assert_eq!(shown.entries.len(), 5, "the kernel still shows them");
        disk.crash();
        assert_eq!(open(&disk).1.entries, shown.entries);
    }
}

#[test]
fn a_spare_whose_name_was_not_durable_is_used_only_when_it_is() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let mut wal = create(&disk);
        append_groups(&mut wal, 1, 10, 1000);
        disk.fail_nth(Operation::SyncDir, 1, DiskErrorKind::Io);
        while wal.prepare_spare(16_384).is_ok() {}
        assert!(wal.poison().is_some());
        disk.kill();
        let (mut wal, _) = open(&disk);
        append_groups(&mut wal, 11, 20, 1000);
        assert_eq!(wal.place().0, 2);
        disk.crash();
        assert_eq!(open(&disk).1.entries.len(), 20);
    }
}
