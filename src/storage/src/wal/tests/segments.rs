//! Beginning, filling, reusing and removing segments, and what it costs.

use proptest::prelude::*;

use super::*;
use crate::disk::{DiskErrorKind, Operation, RealDisk};

fn segments(disk: &SimDisk) -> Vec<u64> {
    let names = disk.list(Path::new(DIR)).unwrap();
    names.iter().filter_map(|name| segment::sequence_of(name)).collect()
}

#[test]
fn a_group_costs_one_write_and_one_sync() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    for round in 0..20 {
        let (writes, syncs) = (disk.count(Operation::Write), disk.count(Operation::SyncData));
        let index = round * 2 + 1;
        append(&mut wal, &[entry(index, 1, 100)]).unwrap();
        wal.append(&Batch {
            entries: &[entry(index + 1, 1, 50)],
            hard_state: Some(hard_state(1, 2, index)),
            ..Batch::default()
        })
        .unwrap();
        assert_eq!(wal.sync().unwrap(), wal.appended());
        assert_eq!(disk.count(Operation::Write), writes + 1);
        assert_eq!(disk.count(Operation::SyncData), syncs + 1);
        assert_eq!(disk.count(Operation::SyncDir), 1, "at creation");
        wal.sync().unwrap();
        assert_eq!(disk.count(Operation::SyncData), syncs + 1, "nothing new, nothing to sync");
    }
}

#[test]
fn a_group_over_the_end_of_a_segment_costs_two_syncs_and_no_more() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    while wal.prepare_spare(4096).unwrap() == Preparation::Underway {}
    append(&mut wal, &(1..=15).map(|index| entry(index, 1, 1000)).collect::<Vec<_>>()).unwrap();
    wal.sync().unwrap();
    assert_eq!(wal.place().0, 1);
    let (writes, syncs) = (disk.count(Operation::Write), disk.count(Operation::SyncData));
    let names = disk.count(Operation::SyncDir);
    append(&mut wal, &[entry(16, 1, 100), entry(17, 1, 1000)]).unwrap();
    wal.sync().unwrap();
    assert_eq!(wal.place().0, 2);
    assert_eq!(disk.count(Operation::Write), writes + 2);
    assert_eq!(disk.count(Operation::SyncData), syncs + 2);
    assert_eq!(disk.count(Operation::SyncDir), names, "the spare had its name");
}

#[test]
fn covered_segments_become_spares_and_then_segments() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_groups(&mut wal, 1, 70, 1000);
    assert_eq!(segments(&disk), [1, 2, 3, 4, 5]);
    let refused = wal.truncate_up_to(LogIndex(50)).unwrap_err();
    assert!(matches!(refused, WalError::NotCovered { .. }), "{refused}");
    wal.append(&Batch { snapshot_mark: Some(mark(50, 1)), ..Batch::default() }).unwrap();
    assert!(wal.truncate_up_to(LogIndex(50)).is_err(), "the mark is not durable yet");
    wal.sync().unwrap();
    wal.truncate_up_to(LogIndex(50)).unwrap();
    assert_eq!(segments(&disk), [4, 5, 6, 7], "two kept, one removed");
    assert_eq!(wal.prepare_spare(1).unwrap(), Preparation::Ready);
    let writes = disk.count(Operation::Write);
    append_groups(&mut wal, 71, 90, 1000);
    assert_eq!(wal.place().0, 6);
    assert_eq!(disk.count(Operation::Write) - writes, 20 + 1, "nothing was filled");
    drop(wal);
    let (_, recovered) = open(&disk);
    assert_eq!(recovered.snapshot_mark, Some(mark(50, 1)));
    let indexes: Vec<u64> = recovered.entries.iter().map(|entry| entry.index.get()).collect();
    assert_eq!(indexes, (51..=90).collect::<Vec<_>>());
}

#[test]
fn hard_state_and_mark_outlive_the_segments_they_were_written_to() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append(&mut wal, &[entry(1, 1, 10), entry(2, 2, 10)]).unwrap();
    wal.append(&Batch {
        snapshot_mark: Some(mark(2, 2)),
        hard_state: Some(hard_state(9, 3, 2)),
        ..Batch::default()
    })
    .unwrap();
    wal.sync().unwrap();
    append_groups(&mut wal, 3, 40, 1000);
    wal.truncate_up_to(LogIndex(2)).unwrap();
    assert_eq!(segments(&disk)[0], 1, "segment 1 holds later entries");
    wal.append(&Batch { snapshot_mark: Some(mark(20, 1)), ..Batch::default() }).unwrap();
    wal.sync().unwrap();
    wal.truncate_up_to(LogIndex(20)).unwrap();
    assert_eq!(segments(&disk)[0], 2);
    drop(wal);
    let (_, recovered) = open(&disk);
    assert_eq!(recovered.hard_state, hard_state(9, 3, 20));
    assert_eq!(recovered.snapshot_mark, Some(mark(20, 1)));
    assert_eq!(recovered.entries.first().unwrap().index, LogIndex(21));
}

#[test]
fn a_full_disk_stops_the_log_only_when_it_needs_the_space() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    disk.set_capacity_bytes(Some(20_000));
    append_groups(&mut wal, 1, 3, 1000);
    while let Ok(preparation) = wal.prepare_spare(4096) {
        assert_eq!(preparation, Preparation::Underway);
    }
    assert_eq!(wal.poison(), None);
    append_groups(&mut wal, 4, 10, 1000);
    let last = (11..40).find(|index| {
        append(&mut wal, &[entry(*index, 1, 1000)]).unwrap();
        wal.sync().is_err()
    });
    assert_eq!(wal.poison().unwrap().kind, DiskErrorKind::NoSpace);
    drop(wal);
    disk.set_capacity_bytes(None);
    let (mut wal, recovered) = open(&disk);
    assert_eq!(recovered.entries.len() as u64, last.unwrap() - 1);
    append_groups(&mut wal, last.unwrap(), 60, 1000);
}

#[test]
fn a_spare_that_fails_is_given_up_and_made_anew() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    assert_eq!(wal.prepare_spare(4096).unwrap(), Preparation::Underway);
    disk.fail_nth(Operation::SyncData, 1, DiskErrorKind::Io);
    assert!(matches!(wal.prepare_spare(4096), Err(WalError::Disk(_))));
    let mut calls = 0;
    while wal.prepare_spare(4096).unwrap() == Preparation::Underway {
        calls += 1;
    }
    assert_eq!(calls, 3, "from the start again");
    append_groups(&mut wal, 1, 30, 1000);
    drop(wal);
    assert_eq!(open(&disk).1.entries.len(), 30);
}

#[test]
fn the_size_of_segments_can_change() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_groups(&mut wal, 1, 20, 1000);
    while wal.prepare_spare(4096).unwrap() == Preparation::Underway {}
    drop(wal);
    let greater = WalOptions { segment_bytes: 32_768, ..options() };
    let (mut wal, _) = Wal::open(arc(&disk), Path::new(DIR), greater).unwrap();
    append_groups(&mut wal, 21, 60, 1000);
    append(&mut wal, &[entry(61, 1, 30_000)]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(open(&disk).1.entries.len(), 61);
}

#[test]
fn opening_again_and_again_changes_nothing() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_groups(&mut wal, 1, 10, 1000);
    drop(wal);
    for _ in 0..300 {
        let (_, recovered) = open(&disk);
        assert_eq!((recovered.entries.len(), recovered.torn_tail_bytes), (10, 0));
    }
    assert!(segments(&disk).len() > 2, "each opening leaves records");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_real_disk_keeps_it_too(groups in prop::collection::vec(prop::collection::vec(0usize..3000, 1..6), 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wal");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let mut model = Model::new(State::default());
        let mut wal = Wal::create(Arc::clone(&disk), &path, SALT, options()).unwrap();
        for (number, sizes) in groups.iter().enumerate() {
            let from = model.last().last() + 1;
            let entries: Vec<Entry> = (from..).zip(sizes).map(|(index, size)| entry(index, 1, *size)).collect();
            let batch = Batch {
                entries: &entries,
                hard_state: Some(hard_state(1, 1, from)),
                snapshot_mark: (number % 5 == 4).then(|| mark(from - 1, 1)),
            };
            wal.append(&batch).unwrap();
            wal.sync().unwrap();
            model.append(&batch);
            model.sync();
            wal.truncate_up_to(model.last().mark.index).unwrap();
            if number % 7 == 6 {
                drop(wal);
                let opened = Wal::open(Arc::clone(&disk), &path, options()).unwrap();
                model.check(&opened.1);
                wal = opened.0;
            }
        }
        prop_assert!(matches!(
            Wal::open(Arc::clone(&disk), &path, options()),
            Err(WalError::Disk(error)) if error.kind == DiskErrorKind::Locked
        ));
        drop(wal);
        model.check(&Wal::open(disk, &path, options()).unwrap().1);
    }
}
