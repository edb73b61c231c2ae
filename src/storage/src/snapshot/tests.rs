//! Snapshots written, read, sent and damaged.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::disk::{Disk, DiskErrorKind, Operation, RealDisk, SimDisk};
use crate::state::{KeyRange, MemoryStore, StateRead, StateStore, Table};

const DIR: &str = "/snapshots";

type Section = (u8, Vec<u8>, Vec<u8>);

fn id(index: u64) -> SnapshotId {
    SnapshotId { index: LogIndex(index), term: Term(3) }
}

fn meta(index: u64) -> SnapshotMeta {
    SnapshotMeta { id: id(index), header: Bytes::from_static(b"who and what") }
}

fn store(disk: &SimDisk) -> SnapshotStore {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    SnapshotStore::open(disk, Path::new(DIR)).unwrap().with_block_bytes(200)
}

/// A state of some hundred bytes in every table.
fn state() -> MemoryStore {
    let mut state = MemoryStore::default();
    for table in Table::ALL {
        for number in 0..4_u8 {
            state.put(table, &[table as u8, number], &vec![number; usize::from(number) * 9]).unwrap();
        }
    }
    state
}

/// Writes in steps of `step_bytes`, with sections between them.
fn write(store: &SnapshotStore, index: u64, state: &MemoryStore, step_bytes: u64) -> Result<SnapshotFile> {
    let mut writer = store.writer(&meta(index), state.snapshot())?;
    writer.section(200, b"first", b"1")?;
    while writer.step(step_bytes)? == Progress::More {
        writer.section(128, b"between", b"")?;
    }
    writer.section(255, b"", b"last")?;
    writer.finish()
}

fn load(reader: &SnapshotReader) -> Result<(MemoryStore, Vec<Section>)> {
    let (mut state, mut sections) = (MemoryStore::default(), Vec::new());
    reader.load(&mut state, &mut |number, key, value| {
        sections.push((number, key.to_vec(), value.to_vec()));
        Ok(())
    })?;
    Ok((state, sections))
}

fn pairs(state: &MemoryStore) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let of = |table| {
        let pairs = state.scan(table, KeyRange::all()).map(Result::unwrap);
        pairs.map(move |(key, value)| (table, key.to_vec(), value.to_vec()))
    };
    Table::ALL.into_iter().flat_map(of).collect()
}

/// Everything that can be done with the bytes of a snapshot fails, and nothing panics.
fn assert_refused(bytes: &[u8], what: &str) {
    let disk = SimDisk::new(1);
    let store = store(&disk);
    let path = id(1).path(Path::new(DIR));
    disk.plant(&path, bytes).unwrap();
    if let Ok(reader) = SnapshotReader::open(&disk, &path) {
        assert!(reader.verify().is_err(), "{what}");
        assert!(load(&reader).is_err(), "{what}");
    }
    let newest = store.newest().unwrap();
    assert!(newest.reader.is_none(), "{what}");
    assert_eq!(newest.damaged.len(), 1, "{what}");
    let other = SimDisk::new(1);
    let mut receiver = self::store(&other).receiver(id(1), bytes.len() as u64).unwrap();
    receiver.append(0, bytes).unwrap();
    assert!(receiver.finish().is_err(), "{what}");
    assert!(other.list(Path::new(DIR)).unwrap().is_empty(), "{what}");
}

/// The bytes of a snapshot of several blocks.
fn written() -> Vec<u8> {
    let disk = SimDisk::new(1);
    let file = write(&store(&disk), 1, &state(), 100).unwrap();
    disk.contents(&file.path).unwrap()
}

/// The ends of its blocks, from the prefix on.
fn block_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![16];
    while *ends.last().unwrap() < bytes.len() {
        let at = *ends.last().unwrap();
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap());
        ends.push(at + 12 + length as usize);
    }
    ends
}

#[test]
fn a_snapshot_truncated_anywhere_is_refused() {
    let bytes = written();
    for size in 0..bytes.len() {
        assert_refused(&bytes[..size], &format!("cut to {size}"));
    }
    assert_refused(&[&bytes[..], b"\0"].concat(), "one byte more");
}

#[test]
fn a_snapshot_with_a_bit_flipped_anywhere_is_refused() {
    let bytes = written();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        assert_refused(&bytes, &format!("flipped at {at}"));
    }
}

#[test]
fn missing_repeated_and_exchanged_blocks_are_noticed() {
    let bytes = written();
    let ends = block_ends(&bytes);
    assert!(ends.len() > 6, "{ends:?}");
    for window in ends.windows(3) {
        let (start, middle, end) = (window[0], window[1], window[2]);
        let (first, second) = (&bytes[start..middle], &bytes[middle..end]);
        let around = |parts: &[&[u8]]| [&bytes[..start], &parts.concat(), &bytes[end..]].concat();
        assert_refused(&around(&[second]), "missing");
        assert_refused(&around(&[first, first, second]), "repeated");
        assert_refused(&around(&[second, first]), "exchanged");
    }
}

/// Writes the blocks of a snapshot of one pair and one record of a section by hand.
fn forge(footer: &block::Footer) -> Vec<u8> {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let path = id(1).path(Path::new(DIR));
    let mut blocks = block::BlockWriter::start(disk.create(&path).unwrap(), 200).unwrap();
    let (index, term) = (id(1).index.get(), id(1).term.get());
    blocks.write(block::BlockKind::Header, &[index.to_le_bytes(), term.to_le_bytes()].concat()).unwrap();
    blocks.record(Table::Data as u8, b"key", b"value").unwrap();
    blocks.record(200, b"key", b"value").unwrap();
    blocks.finish(footer).unwrap();
    disk.contents(&path).unwrap()
}

#[test]
fn a_footer_that_tells_of_another_state_is_noticed() {
    let mut state = MemoryStore::default();
    state.put(Table::Data, b"key", b"value").unwrap();
    let right = block::Footer { pairs: 1, section_records: 1, hash: state.hash() };
    let disk = SimDisk::new(1);
    let store = store(&disk);
    disk.plant(&id(1).path(Path::new(DIR)), &forge(&right)).unwrap();
    assert!(store.newest().unwrap().reader.is_some());
    assert_refused(&forge(&block::Footer { pairs: 2, ..right }), "pairs");
    assert_refused(&forge(&block::Footer { section_records: 0, ..right }), "records");
    assert_refused(&forge(&block::Footer { hash: Default::default(), ..right }), "hash");
}

#[test]
fn what_a_newer_version_wrote_is_not_guessed_at() {
    let disk = SimDisk::new(1);
    let store = store(&disk);
    let path = id(1).path(Path::new(DIR));
    let mut blocks = block::BlockWriter::start(disk.create(&path).unwrap(), 200).unwrap();
    blocks.write(block::BlockKind::Header, &[0; 16]).unwrap();
    blocks.record(99, b"key", b"value").unwrap();
    blocks.finish(&block::Footer::default()).unwrap();
    let reader = SnapshotReader::open(&disk, &path).unwrap();
    assert!(matches!(reader.verify(), Err(SnapshotError::NewerVersion { .. })));
    assert!(matches!(store.reader(id(1)), Err(SnapshotError::WrongSnapshot { .. })));
}

#[test]
fn wrong_use_is_refused() {
    let disk = SimDisk::new(1);
    let store = store(&disk);
    let mut writer = store.writer(&meta(1), state().snapshot()).unwrap();
    assert_eq!(writer.section(127, b"", b""), Err(SnapshotError::NoSection { number: 127 }));
    writer.step(1).unwrap();
    assert_eq!(writer.finish(), Err(SnapshotError::Unfinished { id: id(1) }));
    assert!(disk.list(Path::new(DIR)).unwrap().is_empty(), "nothing is left");
    write(&store, 1, &state(), 50).unwrap();
    let reader = store.reader(id(1)).unwrap();
    assert_eq!(reader.load(&mut state(), &mut |_, _, _| Ok(())), Err(SnapshotError::NotEmpty { keys: 28 }));
    let refused = reader.load(&mut MemoryStore::default(), &mut |_, _, _| Err("not mine".into()));
    assert_eq!(refused.unwrap_err().to_string(), "section 200 of the snapshot: not mine");
}

#[test]
fn a_damaged_newest_one_is_reported_and_the_one_before_is_found() {
    let disk = SimDisk::new(1);
    let store = store(&disk);
    for index in [5, 20, 300] {
        write(&store, index, &state(), 50).unwrap();
    }
    assert_eq!(store.list().unwrap(), [id(300), id(20), id(5)]);
    disk.flip_bit(&id(300).path(Path::new(DIR)), 100, 1).unwrap();
    let newest = store.newest().unwrap();
    assert_eq!(newest.reader.unwrap().meta(), &meta(20));
    assert!(matches!(newest.damaged[..], [(found, SnapshotError::Damaged { .. })] if found == id(300)));
    store.prune(2).unwrap();
    assert_eq!(store.list().unwrap(), [id(300), id(20)]);
    store.remove(id(300)).unwrap();
    disk.crash();
    assert_eq!(store.list().unwrap(), [id(20)]);
}

#[test]
fn a_crash_at_every_boundary_leaves_whole_snapshots() {
    let mut found = BTreeSet::new();
    for boundary in 0..30 {
        for seed in 0..10 {
            let disk = SimDisk::new(seed);
            let first = store(&disk);
            write(&first, 1, &state(), 100).unwrap();
            disk.power_off_after(boundary);
            let second = write(&first, 2, &state(), 100);
            let pruned = second.is_ok() && first.prune(1).is_ok();
            disk.crash();
            let store = store(&disk);
            let newest = store.newest().unwrap();
            assert!(newest.damaged.is_empty());
            let reader = newest.reader.unwrap();
            let index = reader.meta().id.index.get();
            assert!(index == 2 || second.is_err());
            assert!(!pruned || store.list().unwrap() == [id(2)]);
            assert_eq!(pairs(&load(&reader).unwrap().0), pairs(&state()));
            let names = disk.list(Path::new(DIR)).unwrap();
            assert!(names.iter().all(|name| SnapshotId::of_file(name).is_some()), "{names:?}");
            found.insert((index, second.is_ok(), pruned));
        }
    }
    assert!(found.len() >= 4, "{found:?}");
}

#[test]
fn a_failing_disk_leaves_no_snapshot_and_no_file() {
    for operation in [Operation::Write, Operation::SyncData, Operation::Rename, Operation::Create] {
        for kind in [DiskErrorKind::Io, DiskErrorKind::NoSpace] {
            let disk = SimDisk::new(1);
            let store = store(&disk);
            disk.fail_nth(operation, 1, kind);
            let Err(SnapshotError::Disk(error)) = write(&store, 1, &state(), 100) else {
                panic!("{operation} failed");
            };
            assert_eq!((error.operation, error.kind), (operation, kind));
            assert!(disk.list(Path::new(DIR)).unwrap().is_empty());
            write(&store, 1, &state(), 100).unwrap();
        }
    }
}

#[test]
fn chunks_must_follow_each_other() {
    let disk = SimDisk::new(1);
    let store = store(&disk);
    let bytes = written();
    let mut receiver = store.receiver(id(1), bytes.len() as u64).unwrap();
    receiver.append(0, &bytes[..300]).unwrap();
    for (offset, chunk) in [(0, &bytes[..300]), (301, &bytes[301..]), (300, &bytes[..])] {
        let refused = receiver.append(offset, chunk);
        assert!(matches!(refused, Err(SnapshotError::OutOfPlace { expected: 300, .. })));
    }
    receiver.append(300, &bytes[300..]).unwrap();
    receiver.finish().unwrap();
    let incomplete = store.receiver(id(1), bytes.len() as u64).unwrap();
    assert!(matches!(incomplete.finish(), Err(SnapshotError::Incomplete { received: 0, .. })));
    let mut other = store.receiver(id(9), bytes.len() as u64).unwrap();
    other.append(0, &bytes).unwrap();
    assert!(matches!(other.finish(), Err(SnapshotError::WrongSnapshot { .. })));
    assert_eq!(store.list().unwrap(), [id(1)]);
}

/// Sends a snapshot from one store to another in chunks.
fn send(reader: &SnapshotReader, to: &SnapshotStore, chunk_bytes: u32) -> SnapshotFile {
    let file = reader.file();
    let mut receiver = to.receiver(file.id, file.bytes).unwrap();
    while receiver.received_bytes() < file.bytes {
        let offset = receiver.received_bytes();
        let chunk = reader.read_chunk(offset, chunk_bytes).unwrap();
        assert!(chunk.len() <= chunk_bytes as usize);
        receiver.append(offset, &chunk).unwrap();
    }
    assert!(reader.read_chunk(file.bytes, chunk_bytes).unwrap().is_empty());
    receiver.finish().unwrap()
}

#[test]
fn a_snapshot_on_a_real_disk_is_written_sent_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name| SnapshotStore::open(Arc::new(RealDisk), &dir.path().join(name)).unwrap();
    let (here, there) = (open("here"), open("there"));
    let mut state = state();
    for number in 0..5000_u32 {
        state.put(Table::Data, &number.to_be_bytes(), &[7; 300]).unwrap();
    }
    write(&here, 1, &state, 100_000).unwrap();
    let reader = here.newest().unwrap().reader.unwrap();
    here.prune(0).unwrap();
    assert!(here.newest().unwrap().reader.is_none());
    let received = send(&reader, &there, 256 * 1024);
    assert_eq!(std::fs::metadata(&received.path).unwrap().len(), received.bytes);
    let (loaded, sections) = load(&there.newest().unwrap().reader.unwrap()).unwrap();
    assert_eq!(loaded.hash(), state.hash());
    assert_eq!(sections.first().unwrap().1, b"first");
    let bytes = std::fs::read(&received.path).unwrap();
    std::fs::write(&received.path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(there.newest().unwrap().damaged.len(), 1);
}

fn blob() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..60)
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        writes in prop::collection::vec((0usize..7, prop::collection::vec(0u8..5, 0..4), blob()), 0..80),
        sections in prop::collection::vec((128u8.., blob(), blob()), 0..20),
        header in blob(),
        step_bytes in 0u64..300,
        chunk_bytes in 1u32..2000,
    ) {
        let disk = SimDisk::new(1);
        let here = store(&disk);
        let mut state = MemoryStore::default();
        for (table, key, value) in &writes {
            state.put(Table::ALL[*table], key, value).unwrap();
        }
        let meta = SnapshotMeta { id: id(7), header: header.into() };
        let mut writer = here.writer(&meta, state.snapshot()).unwrap();
        let expected = pairs(&state);
        let mut left = sections.iter();
        while writer.step(step_bytes).unwrap() == Progress::More {
            // The state goes on while its snapshot is written.
            state.put(Table::Data, b"later", b"x").unwrap();
            if let Some((number, key, value)) = left.next() {
                writer.section(*number, key, value).unwrap();
            }
        }
        for (number, key, value) in left {
            writer.section(*number, key, value).unwrap();
        }
        writer.finish().unwrap();
        disk.crash();
        let reader = here.newest().unwrap().reader.unwrap();
        prop_assert_eq!(reader.meta(), &meta);
        let other = SimDisk::new(2);
        let there = store(&other);
        send(&reader, &there, chunk_bytes);
        other.crash();
        for reader in [reader, there.reader(id(7)).unwrap()] {
            let (loaded, found) = load(&reader).unwrap();
            prop_assert_eq!(pairs(&loaded), expected.clone());
            prop_assert_eq!(&found, &sections);
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        assert_refused(&bytes, "random");
        let start = &written()[..16];
        assert_refused(&[start, &bytes[..]].concat(), "random behind the start");
    }
}
