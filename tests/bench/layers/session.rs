//! What a session costs: keeping results until they are acknowledged, and finding them again.

use std::hint::black_box;

use criterion::Criterion;
use synod_proto::session::v1::{KeepAlive, request};

use crate::replica::{Partition, put};

pub(crate) fn benchmarks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session");
    let mut partition = Partition::new();
    group.bench_function("a write without a session", |bencher| {
        bencher.iter(|| black_box(partition.propose(0, put("key".into()))));
    });
    let mut sequence = 0;
    group.bench_function("a write of a session", |bencher| {
        bencher.iter(|| {
            sequence += 1;
            black_box(partition.propose(sequence, put("key".into())));
        });
    });
    group.bench_function("the last write once more", |bencher| {
        bencher.iter(|| black_box(partition.propose(sequence, put("key".into()))));
    });
    let session_id = partition.session;
    group.bench_function("a keep-alive", |bencher| {
        bencher.iter(|| black_box(partition.call(request::Body::KeepAlive(KeepAlive { session_id }))));
    });
    group.finish();
}
