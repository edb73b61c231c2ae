//! What the log does not take, and what it does not open.

use super::*;
use crate::disk::{DiskErrorKind, Operation};

#[test]
fn entries_follow_each_other() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append(&mut wal, &[entry(1, 1, 10), entry(2, 1, 10)]).unwrap();
    let before = wal.appended();
    let gap = append(&mut wal, &[entry(3, 1, 10), entry(5, 1, 10)]).unwrap_err();
    assert_eq!(gap.to_string(), "entry 5 cannot be appended: entries from 1 to 4 can be");
    assert_eq!(wal.appended(), before, "nothing of the batch was taken");
    assert!(append(&mut wal, &[entry(0, 1, 10)]).is_err());
    wal.append(&Batch { snapshot_mark: Some(mark(2, 1)), ..Batch::default() }).unwrap();
    assert!(append(&mut wal, &[entry(2, 2, 10)]).is_err(), "the snapshot covers it");
    append(&mut wal, &[entry(3, 2, 10)]).unwrap();
}

#[test]
fn a_mark_never_goes_back() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let mut set = |mark| wal.append(&Batch { snapshot_mark: Some(mark), ..Batch::default() });
    set(mark(10, 2)).unwrap();
    set(mark(10, 2)).unwrap();
    for behind in [mark(9, 2), mark(10, 3)] {
        assert!(matches!(set(behind), Err(WalError::MarkBehind { .. })));
    }
}

#[test]
fn an_entry_fits_into_a_segment_or_is_refused() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let Err(WalError::TooLarge { payload_bytes_max, .. }) = append(&mut wal, &[entry(1, 1, 20_000)]) else {
        panic!("it cannot fit");
    };
    let greatest = payload_bytes_max as usize;
    assert!(append(&mut wal, &[entry(1, 1, greatest + 1)]).is_err());
    append(&mut wal, &[entry(1, 1, greatest), entry(2, 1, greatest)]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(open(&disk).1.entries, [entry(1, 1, greatest), entry(2, 1, greatest)]);
}

#[test]
fn options_are_checked() {
    for segment_bytes in [0, 4096, 16_385, 1 << 31] {
        let options = WalOptions { segment_bytes, ..options() };
        let refused = Wal::create(arc(&SimDisk::new(1)), Path::new(DIR), SALT, options).err();
        assert_eq!(refused, Some(WalError::SegmentBytes { segment_bytes }));
    }
}

#[test]
fn a_log_is_created_once_and_opened_only_if_there() {
    let disk = SimDisk::new(1);
    assert!(matches!(try_open(&disk), Err(WalError::NoLog { .. })));
    disk.create_dir_all(Path::new(DIR)).unwrap();
    assert!(matches!(try_open(&disk), Err(WalError::NoLog { .. })));
    drop(create(&disk));
    let again = Wal::create(arc(&disk), Path::new(DIR), SALT, options());
    assert!(matches!(again, Err(WalError::LogExists { .. })));
}

#[test]
fn a_log_has_one_owner() {
    let disk = SimDisk::new(1);
    let wal = create(&disk);
    let Err(WalError::Disk(refused)) = try_open(&disk) else {
        panic!("it is open already");
    };
    assert_eq!(refused.kind, DiskErrorKind::Locked);
    drop(wal);
    let stranger = WalOptions { member: MemberId(8), ..options() };
    let refused = Wal::open(arc(&disk), Path::new(DIR), stranger).err().unwrap();
    assert_eq!(refused.to_string(), "\"/wal/0000000000000001.wal\" belongs to member 7, not to member 8");
}

#[test]
fn what_a_newer_version_wrote_is_not_guessed_at() {
    let disk = SimDisk::new(1);
    let wal = create(&disk);
    let (at, lsn) = (wal.place().1 as usize, wal.appended().next());
    drop(wal);
    let seed = crc32c::crc32c(&SALT.to_le_bytes());
    let place = record::Place { epoch: 1, lsn, synced: Lsn(0) };
    let known = record::Body { kind: 1, variant: 0, term: 1, index: 1, payload: b"x" };
    for body in [record::Body { kind: 6, ..known }, record::Body { variant: 2, ..known }] {
        let mut bytes = disk.contents(&segment_path(1)).unwrap();
        let mut record = Vec::new();
        record::encode(&mut record, seed, place, &body);
        bytes[at..at + record.len()].copy_from_slice(&record);
        disk.plant(&segment_path(1), &bytes).unwrap();
        let refused = try_open(&disk).err().unwrap();
        assert!(matches!(refused, WalError::NewerVersion { .. }), "{refused}");
    }
}

#[test]
fn a_segment_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_groups(&mut wal, 1, 40, 1000);
    drop(wal);
    for nth in 1..=segments_in_use(&disk) {
        disk.fail_nth(Operation::Read, nth, DiskErrorKind::Io);
        let Err(WalError::Disk(error)) = try_open(&disk) else {
            panic!("a part of the log is unknown");
        };
        assert_eq!(error.operation, Operation::Read);
    }
    assert_eq!(open(&disk).1.entries.len(), 40);
}

fn segments_in_use(disk: &SimDisk) -> u64 {
    let names = disk.list(Path::new(DIR)).unwrap();
    names.iter().filter(|name| segment::sequence_of(name).is_some()).count() as u64
}
