//! The simulated disk: what it keeps, what it loses, and that both depend on the seed alone.

use super::*;

const FILE: &str = "/d/file";

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk
}

fn create(disk: &SimDisk) -> Box<dyn DiskFile> {
    let file = disk.create(Path::new(FILE)).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file
}

#[test]
fn synced_bytes_survive_and_others_may_not() {
    let (mut survived, mut vanished, mut mixed) = (0, 0, 0);
    for seed in 0..200 {
        let disk = disk(seed);
        let file = create(&disk);
        file.write_at(0, &[1; 2048]).unwrap();
        file.sync_data().unwrap();
        file.write_at(1024, &[2; 1024]).unwrap();
        disk.crash();
        let bytes = disk.contents(Path::new(FILE)).unwrap();
        assert_eq!(bytes.len(), 2048);
        assert!(bytes[..1024].iter().all(|byte| *byte == 1));
        match bytes[1024..].iter().filter(|byte| **byte == 2).count() {
            1024 => survived += 1,
            0 => vanished += 1,
            _ => mixed += 1,
        }
    }
    assert!(survived > 10 && vanished > 10 && mixed > 10, "{survived} {vanished} {mixed}");
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = |seed| {
        let disk = disk(seed);
        let file = create(&disk);
        file.write_at(0, &[0; 4200]).unwrap();
        file.sync_data().unwrap();
        for offset in 0..40 {
            file.write_at(offset * 100, &[offset as u8 + 1; 300]).unwrap();
        }
        disk.crash();
        disk.contents(Path::new(FILE)).unwrap()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn directory_changes_are_lost_from_the_end() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        for name in ["a", "b", "c"] {
            disk.create(&Path::new("/d").join(name)).unwrap();
        }
        disk.rename(Path::new("/d/c"), Path::new("/d/a")).unwrap();
        disk.crash();
        seen.insert(disk.list(Path::new("/d")).unwrap().join(""));
    }
    let expected = ["", "a", "ab", "abc"].map(str::to_owned);
    assert_eq!(seen, BTreeSet::from(expected));
}

#[test]
fn a_removal_that_was_not_synced_may_come_undone() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..50 {
        let disk = disk(seed);
        let file = create(&disk);
        file.write_at(0, b"x").unwrap();
        file.sync_data().unwrap();
        drop(file);
        disk.remove(Path::new(FILE)).unwrap();
        assert!(!disk.exists(Path::new(FILE)).unwrap());
        disk.crash();
        outcomes.insert(disk.contents(Path::new(FILE)).ok());
    }
    assert_eq!(outcomes, BTreeSet::from([None, Some(b"x".to_vec())]));
}

#[test]
fn a_failed_sync_drops_the_data_and_the_next_one_lies() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = disk(seed);
        let file = create(&disk);
        file.write_at(0, &[1; 512]).unwrap();
        file.sync_data().unwrap();
        file.write_at(0, &[2; 512]).unwrap();
        disk.fail_nth(Operation::SyncData, 1, DiskErrorKind::Io);
        assert_eq!(file.sync_data().unwrap_err().kind, DiskErrorKind::Io);
        file.sync_data().unwrap();
        assert_eq!(disk.contents(Path::new(FILE)).unwrap(), [2; 512]);
        disk.crash();
        lost += usize::from(disk.contents(Path::new(FILE)).unwrap() == [1; 512]);
    }
    assert!(lost > 10, "{lost}");
}

#[test]
fn writing_again_after_a_failed_sync_makes_it_durable() {
    for seed in 0..50 {
        let disk = disk(seed);
        let file = create(&disk);
        file.write_at(0, &[2; 512]).unwrap();
        disk.fail_nth(Operation::SyncData, 1, DiskErrorKind::Io);
        file.sync_data().unwrap_err();
        file.write_at(0, &[2; 512]).unwrap();
        file.sync_data().unwrap();
        disk.crash();
        assert_eq!(disk.contents(Path::new(FILE)).unwrap(), [2; 512]);
    }
}

#[test]
fn the_disk_fills_up_and_overwriting_needs_no_space() {
    let disk = disk(1);
    let file = create(&disk);
    disk.set_capacity_bytes(Some(1000));
    file.write_at(0, &[1; 1000]).unwrap();
    assert_eq!(file.write_at(1000, b"x").unwrap_err().kind, DiskErrorKind::NoSpace);
    file.write_at(500, &[2; 500]).unwrap();
    let other = disk.create(Path::new("/d/other")).unwrap();
    assert_eq!(other.write_at(0, b"x").unwrap_err().kind, DiskErrorKind::NoSpace);
    drop(file);
    disk.remove(Path::new(FILE)).unwrap();
    other.write_at(0, b"x").unwrap();
}

#[test]
fn the_nth_operation_on_a_path_fails_once() {
    let disk = disk(1);
    let (file, other) = (create(&disk), disk.create(Path::new("/d/other")).unwrap());
    disk.inject(FaultRule {
        operation: Operation::Write,
        below: Some(PathBuf::from(FILE)),
        kind: DiskErrorKind::Io,
        trigger: Trigger::Nth(2),
    });
    file.write_at(0, b"1").unwrap();
    other.write_at(0, b"1").unwrap();
    other.write_at(0, b"2").unwrap();
    let error = file.write_at(0, b"2").unwrap_err();
    assert_eq!((error.operation, error.path), (Operation::Write, PathBuf::from(FILE)));
    file.write_at(0, b"3").unwrap();
    assert_eq!(disk.count(Operation::Write), 5);
}

#[test]
fn power_off_refuses_everything_until_the_crash() {
    let disk = disk(1);
    let file = create(&disk);
    let before = disk.changes();
    disk.power_off_after(1);
    file.write_at(0, b"x").unwrap();
    file.sync_data().unwrap_err();
    disk.list(Path::new("/d")).unwrap_err();
    assert_eq!(disk.changes(), before + 1);
    disk.crash();
    disk.list(Path::new("/d")).unwrap();
    assert!(file.size().is_err(), "the process is gone");
}

#[test]
fn damage_is_durable() {
    let disk = disk(3);
    let file = create(&disk);
    file.write_at(0, &[0; 1024]).unwrap();
    disk.flip_bit(Path::new(FILE), 700, 3).unwrap();
    file.sync_data().unwrap();
    disk.truncate(Path::new(FILE), 800).unwrap();
    disk.crash();
    let bytes = disk.contents(Path::new(FILE)).unwrap();
    assert_eq!((bytes.len(), bytes[700]), (800, 8));
    assert!(disk.flip_bit(Path::new(FILE), 800, 0).is_err());
}

#[test]
fn a_lock_ends_with_its_holder() {
    let disk = disk(1);
    let held = disk.lock_dir(Path::new("/d")).unwrap();
    let refused = disk.lock_dir(Path::new("/d")).err().unwrap();
    assert_eq!(refused.kind, DiskErrorKind::Locked);
    disk.kill();
    let next = disk.lock_dir(Path::new("/d")).unwrap();
    drop(held);
    assert!(disk.lock_dir(Path::new("/d")).is_err(), "the dead one's guard frees nothing");
    drop(next);
    disk.lock_dir(Path::new("/d")).unwrap();
}

#[test]
fn a_fork_goes_its_own_way() {
    let disk = disk(1);
    let file = create(&disk);
    file.write_at(0, b"both").unwrap();
    let fork = disk.fork();
    file.write_at(0, b"disk").unwrap();
    fork.open(Path::new(FILE)).unwrap().write_at(0, b"fork").unwrap();
    assert_eq!(disk.contents(Path::new(FILE)).unwrap(), b"disk");
    assert_eq!(fork.contents(Path::new(FILE)).unwrap(), b"fork");
}

#[test]
fn what_is_synced_is_known() {
    let disk = disk(1);
    let dir = Path::new("/d");
    let file = create(&disk);
    file.write_at(0, b"x").unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(dir).unwrap();
    assert!(disk.is_synced(dir));
    file.write_at(0, b"y").unwrap();
    assert!(!disk.is_synced(dir));
    file.sync_data().unwrap();
    assert!(disk.is_synced(dir));
    disk.create(&dir.join("other")).unwrap();
    assert!(!disk.is_synced(dir), "a name is not durable before its directory is");
}

#[test]
fn a_process_may_die_in_the_middle_of_its_writes() {
    let disk = disk(1);
    let file = create(&disk);
    disk.power_off_after(1);
    file.write_at(0, b"x").unwrap();
    file.write_at(1, b"y").unwrap_err();
    disk.kill();
    assert_eq!(disk.contents(Path::new(FILE)).unwrap(), b"x");
}
