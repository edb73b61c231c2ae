//! The file of a snapshot.
//!
//! Promise: a snapshot that is intact can be loaded, and has the content that it says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use synod_storage::disk::{Disk as _, SimDisk};
use synod_storage::snapshot::{SECTION_FIRST, SnapshotId, SnapshotMeta, SnapshotReader, SnapshotStore};
use synod_storage::state::{MemoryStore, StateStore as _, Table};
use synod_types::{LogIndex, Term};

const DIR: &str = "/snapshots";
const STEP_BYTES: u64 = 1 << 20;

/// Whether the bytes are a snapshot.
pub fn run(bytes: &[u8]) -> bool {
    let disk = SimDisk::new(0);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let path = Path::new(DIR).join("input");
    disk.plant(&path, bytes).unwrap();
    let Ok(reader) = SnapshotReader::open(&disk, &path) else { return false };
    let intact = reader.verify().is_ok();
    let mut store = MemoryStore::default();
    let loaded = reader.load(&mut store, &mut |_, _, _| Ok(())).is_ok();
    assert_eq!(intact, loaded);
    loaded
}

/// An empty one and one with tables and sections.
pub fn seeds() -> Vec<Vec<u8>> {
    [0, 50].map(snapshot_of).into()
}

fn snapshot_of(pairs: u64) -> Vec<u8> {
    let disk = SimDisk::new(0);
    let snapshots = SnapshotStore::open(Arc::new(disk.clone()), Path::new(DIR)).unwrap();
    let mut store = MemoryStore::default();
    for number in 0..pairs {
        store.put(Table::Data, &number.to_be_bytes(), &vec![number as u8; number as usize]).unwrap();
    }
    store.commit().unwrap();
    let id = SnapshotId { index: LogIndex(9), term: Term(3) };
    let meta = SnapshotMeta { id, header: b"header".as_slice().into() };
    let mut writer = snapshots.writer(&meta, store.snapshot()).unwrap();
    while !matches!(writer.step(STEP_BYTES).unwrap(), synod_storage::snapshot::Progress::Done) {}
    for number in 0..pairs / 10 {
        writer.section(SECTION_FIRST, &number.to_be_bytes(), b"change").unwrap();
    }
    let path: PathBuf = writer.finish().unwrap().path;
    disk.contents(&path).unwrap()
}
