//! The write-ahead log, on the disk where temporary files are.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use synod_storage::disk::RealDisk;
use synod_storage::wal::{Batch, Entry, EntryKind, Wal, WalOptions};
use synod_types::{LogIndex, MemberId, Term};

/// As large as an entry with one small write is.
const ENTRY_BYTES: usize = 350;

/// What is kept of the log: it must not grow for as long as somebody measures.
const TAIL_ENTRIES: u64 = 10_000;

/// A log that is written to without end.
struct Endless {
    wal: Wal,
    index: LogIndex,
    payload: Bytes,
}

impl Endless {
    fn append(&mut self, entries: usize) {
        let records: Vec<_> = (0..entries)
            .map(|_| {
                self.index = self.index.next();
                let payload = self.payload.clone();
                Entry { term: Term(1), index: self.index, kind: EntryKind::Normal, payload }
            })
            .collect();
        black_box(self.wal.append(&Batch { entries: &records, ..Batch::default() }).unwrap());
        if self.index.get().is_multiple_of(TAIL_ENTRIES) {
            self.wal.sync().unwrap();
            self.wal.truncate_up_to(LogIndex(self.index.get() - 1)).unwrap();
        }
    }
}

pub(crate) fn benchmarks(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::create(Arc::new(RealDisk), &dir.path().join("log"), 7, WalOptions::new(MemberId(1)));
    let payload = Bytes::from(vec![7; ENTRY_BYTES]);
    let mut log = Endless { wal: wal.unwrap(), index: LogIndex(0), payload };
    let mut group = criterion.benchmark_group("wal");
    for entries in [1, 64] {
        group.throughput(Throughput::Elements(entries as u64));
        group.bench_function(BenchmarkId::new("append and write", entries), |bencher| {
            bencher.iter(|| {
                log.append(entries);
                log.wal.write().unwrap();
            });
        });
        group.bench_function(BenchmarkId::new("append and sync", entries), |bencher| {
            bencher.iter(|| {
                log.append(entries);
                log.wal.sync().unwrap();
            });
        });
    }
    group.finish();
}
