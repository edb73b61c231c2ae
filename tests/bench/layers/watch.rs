//! A write while many watch: other keys, or the key that is written.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use synod_proto::session::v1::{Watch, request, watch};

use crate::replica::{Partition, put};

fn watched_by(watchers: usize, prefix: &str) -> Partition {
    let mut partition = Partition::new();
    for number in 0..watchers {
        let prefix = if prefix.is_empty() { format!("elsewhere-{number}/") } else { prefix.to_owned() };
        let filter = Some(watch::Filter::Prefix(Bytes::from(prefix)));
        let watch = Watch { primitive: partition.map.get(), after_position: 0, filter, seen_index: 0 };
        partition.call(request::Body::Watch(watch));
    }
    partition
}

pub(crate) fn benchmarks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("watch");
    for watchers in [1, 1_000] {
        let mut elsewhere = watched_by(watchers, "");
        group.bench_function(BenchmarkId::new("a write beside watchers", watchers), |bencher| {
            bencher.iter(|| elsewhere.propose(0, put("key/1".into())));
        });
        assert_eq!(elsewhere.events, 0);
        let mut here = watched_by(watchers, "key/");
        let mut writes = 0;
        group.bench_function(BenchmarkId::new("a write to watchers", watchers), |bencher| {
            bencher.iter(|| {
                writes += 1;
                here.propose(0, put("key/1".into()))
            });
        });
        assert_eq!(here.events, writes * watchers, "everybody was told everything");
    }
    group.finish();
}
