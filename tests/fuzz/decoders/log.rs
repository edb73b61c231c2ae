//! A segment of the write-ahead log.
//!
//! Promise: what a log recovers, it recovers again, and it can be written to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use synod_storage::disk::{Disk as _, SimDisk};
use synod_storage::wal::{Batch, Entry, EntryKind, HardState, SnapshotMark, Wal, WalOptions};
use synod_types::{LogIndex, MemberId, Term};

const DIR: &str = "/log";

fn options() -> WalOptions {
    WalOptions { segment_bytes: 16 << 10, ..WalOptions::new(MemberId(7)) }
}

/// Whether the bytes, as the only segment, are a log.
pub fn run(bytes: &[u8]) -> bool {
    let (disk, dir) = (SimDisk::new(0), Path::new(DIR));
    disk.create_dir_all(dir).unwrap();
    disk.plant(&segment(), bytes).unwrap();
    let open = || Wal::open(Arc::new(disk.clone()), dir, options());
    let Ok((first, found)) = open() else { return false };
    drop(first);
    let (mut again, found_again) = open().unwrap();
    assert_eq!(found.entries, found_again.entries);
    assert_eq!(found.hard_state, found_again.hard_state);
    assert_eq!(found.snapshot_mark, found_again.snapshot_mark);
    let last =
        found.entries.last().map_or(found.snapshot_mark.unwrap_or_default().index, |entry| entry.index);
    if let Some(next) = last.get().checked_add(1) {
        let entry = Entry { term: Term(u64::MAX), index: LogIndex(next), ..Entry::default() };
        again.append(&Batch { entries: &[entry], ..Batch::default() }).unwrap();
        again.sync().unwrap();
    }
    true
}

fn segment() -> PathBuf {
    let disk = SimDisk::new(0);
    Wal::create(Arc::new(disk.clone()), Path::new(DIR), 1, options()).unwrap();
    only_file(&disk)
}

fn only_file(disk: &SimDisk) -> PathBuf {
    let names = disk.list(Path::new(DIR)).unwrap();
    let path =
        names.into_iter().map(|name| Path::new(DIR).join(name)).find(|path| disk.contents(path).is_ok());
    path.unwrap()
}

/// A new log, one with entries, one that was cut, one behind a snapshot.
pub fn seeds() -> Vec<Vec<u8>> {
    let written = |fill: fn(&mut Wal)| {
        let disk = SimDisk::new(0);
        let mut wal = Wal::create(Arc::new(disk.clone()), Path::new(DIR), 42, options()).unwrap();
        fill(&mut wal);
        drop(wal);
        disk.contents(&only_file(&disk)).unwrap()
    };
    vec![
        written(|_| {}),
        written(|wal| {
            append(wal, 1..6, 1);
            append(wal, 4..9, 2);
        }),
        written(|wal| {
            let mark = SnapshotMark { index: LogIndex(100), term: Term(3) };
            wal.append(&Batch { snapshot_mark: Some(mark), ..Batch::default() }).unwrap();
            append(wal, 101..104, 3);
        }),
    ]
}

fn append(wal: &mut Wal, indexes: std::ops::Range<u64>, term: u64) {
    let entry = |index| Entry {
        term: Term(term),
        index: LogIndex(index),
        kind: if index % 3 == 0 { EntryKind::Membership } else { EntryKind::Normal },
        payload: vec![index as u8; index as usize % 40].into(),
    };
    let entries: Vec<_> = indexes.map(entry).collect();
    let hard_state = HardState { term: Term(term), vote: MemberId(2), commit: entries[0].index };
    wal.append(&Batch { snapshot_mark: None, entries: &entries, hard_state: Some(hard_state) }).unwrap();
    wal.sync().unwrap();
}
