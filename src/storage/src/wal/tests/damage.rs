//! Damaged segments: what may have been acknowledged is missed, and nothing is taken for what it is not.

use proptest::prelude::*;

use super::*;

/// A log of several groups, and where in which segment each group ended.
fn log_of_groups(disk: &SimDisk, groups: u64, payload_bytes: usize) -> Vec<(u64, u64)> {
    let mut wal = create(disk);
    let mut ends = Vec::new();
    for index in 1..=groups {
        append_groups(&mut wal, index, index, payload_bytes);
        ends.push(wal.place());
    }
    ends
}

/// Flips a bit, opens, and puts it back.
fn open_flipped(disk: &SimDisk, sequence: u64, offset: u64) -> Result<Recovered> {
    let bit = (offset % 8) as u8;
    let bytes = disk.contents(&segment_path(sequence)).unwrap();
    disk.flip_bit(&segment_path(sequence), offset, bit).unwrap();
    let result = try_open(disk).map(|(_, recovered)| recovered);
    disk.plant(&segment_path(sequence), &bytes).unwrap();
    result
}

#[test]
fn a_flipped_bit_in_front_of_good_records_is_corruption() {
    let disk = SimDisk::new(1);
    let ends = log_of_groups(&disk, 14, 1700);
    let intact = {
        let copy = copy(&disk);
        open(&copy).1
    };
    let (last_segment, last_group) = ends[ends.len() - 2];
    assert_eq!(last_segment, 2);
    let (mut refused, mut harmless) = (0, 0);
    for sequence in 1..=2 {
        let end = if sequence == 1 { 16_384 } else { last_group };
        for offset in (0..end).step_by(3) {
            match open_flipped(&copy(&disk), sequence, offset) {
                Err(WalError::Corrupt { segment, .. }) => {
                    // Without its header, segment 2 is one that was not begun: the log breaks off in segment 1.
                    let begun = sequence == 2 && offset >= segment::HEADER_BYTES as u64;
                    assert_eq!(segment, segment_path(1 + u64::from(begun)), "at {sequence}:{offset}");
                    refused += 1;
                }
                // Behind the last record of a segment, and between records, nothing is lost.
                Ok(recovered) => {
                    assert_eq!(recovered.entries, intact.entries, "at {sequence}:{offset}");
                    harmless += 1;
                }
                Err(error) => panic!("at {sequence}:{offset}: {error}"),
            }
        }
    }
    assert!(refused > 6_000 && harmless < 800, "{refused} {harmless}");
}

#[test]
fn a_flipped_bit_in_the_last_group_is_cut() {
    let disk = SimDisk::new(1);
    let ends = log_of_groups(&disk, 5, 200);
    let (start, end) = (ends[3].1, ends[4].1);
    for offset in start..end {
        let recovered = open_flipped(&copy(&disk), 1, offset).unwrap();
        assert_eq!(recovered.entries.len(), 4, "at {offset}");
    }
}

#[test]
fn a_seal_tells_damage_in_the_last_group_from_a_torn_one() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_groups(&mut wal, 1, 4, 200);
    let start = wal.place().1;
    append_groups(&mut wal, 5, 5, 200);
    let end = wal.place().1;
    wal.seal().unwrap();
    drop(wal);
    for offset in start..end {
        let result = open_flipped(&copy(&disk), 1, offset);
        assert!(matches!(result, Err(WalError::Corrupt { .. })), "at {offset}");
    }
}

#[test]
fn a_hole_in_a_group_that_was_not_synced_is_a_torn_tail() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    append_groups(&mut wal, 1, 3, 200);
    let hole = wal.place().1;
    append(&mut wal, &[entry(4, 1, 200), entry(5, 1, 200), entry(6, 1, 200)]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    disk.flip_bit(&segment_path(1), hole, 1).unwrap();
    let (_, recovered) = open(&disk);
    assert_eq!(recovered.entries.len(), 3);
    assert_eq!(recovered.torn_tail_bytes, 3 * 256);
    assert_eq!(open(&disk).1.entries.len(), 3);
}

/// The new epoch's first records end exactly where a record of the cut group begins, which has the very lsn that is
/// expected there.
#[test]
fn what_a_cut_group_left_is_not_taken_for_records() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let block = group::BLOCK_BYTES as u64;
    let hole = block - 176;
    let filler = hole - wal.place().1 - record::HEADER_BYTES as u64;
    append(&mut wal, &[entry(1, 1, filler as usize)]).unwrap();
    wal.sync().unwrap();
    assert_eq!(wal.place().1, hole);
    wal.append(&Batch {
        entries: &[entry(2, 1, 0)],
        hard_state: Some(HardState::default()),
        ..Batch::default()
    })
    .unwrap();
    append(&mut wal, &[entry(3, 1, 0), entry(4, 1, 0)]).unwrap();
    wal.sync().unwrap();
    let stale_lsn = wal.appended();
    drop(wal);
    disk.flip_bit(&segment_path(1), hole, 1).unwrap();

    let (wal, recovered) = open(&disk);
    assert_eq!(recovered.entries.len(), 1);
    assert_eq!((wal.place().1, wal.appended().next()), (block, stale_lsn));
    drop(wal);
    let bytes = disk.contents(&segment_path(1)).unwrap();
    let seed = crc32c::crc32c(&SALT.to_le_bytes());
    let stale = record::decode_header(&bytes[block as usize..], seed).unwrap();
    assert_eq!(stale.place.lsn, stale_lsn, "the bytes are still there");
    assert_eq!(open(&disk).1.entries.len(), 1);
}

/// An attempt to open that found a longer log, and died, has left its hard state where that of the next one ends.
#[test]
fn what_a_failed_attempt_to_open_left_is_not_taken_for_records() {
    let disk = SimDisk::new(1);
    let mut wal = create(&disk);
    let block = group::BLOCK_BYTES as u64;
    let filler = block - 176 - wal.place().1 - record::HEADER_BYTES as u64;
    append(&mut wal, &[entry(1, 1, filler as usize)]).unwrap();
    wal.sync().unwrap();
    let place = record::Place { epoch: 2, lsn: Lsn(wal.appended().get() + 4), synced: Lsn(1) };
    drop(wal);
    let (vote, seed) = (99_u64.to_le_bytes(), crc32c::crc32c(&SALT.to_le_bytes()));
    let mut left = Vec::new();
    let body = record::Body::hard_state(&HardState::default(), &vote);
    record::encode(&mut left, seed, place, &body);
    let mut bytes = disk.contents(&segment_path(1)).unwrap();
    bytes[block as usize..][..left.len()].copy_from_slice(&left);
    disk.plant(&segment_path(1), &bytes).unwrap();

    let (wal, _) = open(&disk);
    assert_eq!((wal.place().1, wal.appended().next()), (block, place.lsn));
    drop(wal);
    assert_eq!(open(&disk).1.hard_state, HardState::default());
}

#[test]
fn a_shortened_or_missing_segment_is_corruption() {
    let disk = SimDisk::new(1);
    let ends = log_of_groups(&disk, 30, 1700);
    assert!(ends.last().unwrap().0 >= 4);
    let last = ends.last().unwrap().0;
    for sequence in 1..=last {
        // A file gets the name of a segment only when it is whole, so one without room for a header was cut, too.
        let header = segment::HEADER_BYTES as u64;
        for size in (0..16_384).step_by(1000).chain([1, 35, header - 1, header]) {
            let disk = copy(&disk);
            disk.truncate(&segment_path(sequence), size).unwrap();
            let result = try_open(&disk);
            assert!(matches!(result, Err(WalError::Corrupt { .. })), "{sequence} cut to {size}");
        }
        if sequence < last {
            let disk = copy(&disk);
            disk.remove(&segment_path(sequence)).unwrap();
            assert!(matches!(try_open(&disk), Err(WalError::Corrupt { .. })), "without {sequence}");
        }
    }
}

#[test]
fn a_segment_under_another_name_is_corruption() {
    let disk = SimDisk::new(1);
    let ends = log_of_groups(&disk, 20, 1700);
    let last = ends.last().unwrap().0;
    disk.rename(&segment_path(last), &segment_path(last - 1)).unwrap();
    assert!(matches!(try_open(&disk), Err(WalError::Corrupt { .. })));
}

#[test]
fn a_segment_of_another_log_does_not_follow() {
    let (disk, other) = (SimDisk::new(1), SimDisk::new(1));
    let ends = log_of_groups(&disk, 14, 1700);
    assert_eq!(ends.last().unwrap().0, 2);
    let mut wal = Wal::create(arc(&other), Path::new(DIR), SALT + 1, options()).unwrap();
    append_groups(&mut wal, 1, 14, 1700);
    disk.plant(&segment_path(2), &other.contents(&segment_path(2)).unwrap()).unwrap();
    assert!(matches!(try_open(&disk), Err(WalError::Corrupt { .. })));
}

/// The same files on a disk of their own.
fn copy(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new(0);
    copy.create_dir_all(Path::new(DIR)).unwrap();
    for name in disk.list(Path::new(DIR)).unwrap() {
        let path = Path::new(DIR).join(name);
        copy.plant(&path, &disk.contents(&path).unwrap()).unwrap();
    }
    copy
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..5000), fill: u8) {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new(DIR)).unwrap();
        for content in [&bytes[..], &[fill; 16_384]] {
            disk.plant(&segment_path(1), content).unwrap();
            prop_assert!(try_open(&disk).is_err());
        }
    }

    /// Any damage at all: an error, or a state that the log was in.
    #[test]
    fn overwritten_ranges_never_give_another_state(
        at in 0u64..32_768, damage in prop::collection::vec(any::<u8>(), 1..200)
    ) {
        let disk = SimDisk::new(1);
        let mut wal = create(&disk);
        let mut model = Model::new(State::default());
        for index in 1..=14 {
            let entries = [entry(index, 1, 1700)];
            let batch = Batch {
                entries: &entries,
                hard_state: Some(hard_state(index, 1, index)),
                ..Batch::default()
            };
            wal.append(&batch).unwrap();
            model.append(&batch);
            if index == 13 {
                model.sync();
            }
            wal.sync().unwrap();
        }
        drop(wal);
        let path = segment_path(1 + at / 16_384);
        let mut bytes = disk.contents(&path).unwrap();
        for (to, from) in bytes[(at % 16_384) as usize..].iter_mut().zip(&damage) {
            *to = *from;
        }
        disk.plant(&path, &bytes).unwrap();
        match try_open(&disk) {
            Ok((_, recovered)) => model.check(&recovered),
            Err(error) => prop_assert!(matches!(error, WalError::Corrupt { .. }), "{error}"),
        }
    }
}
