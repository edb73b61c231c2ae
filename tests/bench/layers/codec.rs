//! Frames of a session stream: what a client sends and what it is answered.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use prost::Message;
use synod_proto::primitive::v1::Command;
use synod_proto::session::v1::{ClientFrame, Propose, Reply, Request, ServerFrame, reply, request};

use crate::replica::put;

/// As many as gather in a frame when many clients share a connection.
const REQUESTS: u64 = 16;

fn requests() -> ClientFrame {
    let request = |tag: u64| {
        let command = Command { primitive: 7, operation: Some(put(format!("{tag:064}"))) };
        let command = command.encode_to_vec().into();
        let propose = Propose { session_id: 1_000, sequence: tag, acknowledged: tag, command };
        Request { tag, body: Some(request::Body::Propose(propose)) }
    };
    ClientFrame { hello: None, requests: (1..=REQUESTS).map(request).collect() }
}

fn replies() -> ServerFrame {
    let reply = |tag| {
        let body = Some(reply::Body::Result(Bytes::from_static(&[7; 16])));
        Reply { tag, index: 1_000_000 + tag, body }
    };
    ServerFrame { replies: (1..=REQUESTS).map(reply).collect(), ..ServerFrame::default() }
}

pub(crate) fn benchmarks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(REQUESTS));
    let (requests, replies) = (requests(), replies());
    let (asked, answered) = (Bytes::from(requests.encode_to_vec()), Bytes::from(replies.encode_to_vec()));
    group.bench_function("encode requests", |bencher| bencher.iter(|| black_box(&requests).encode_to_vec()));
    group.bench_function("decode requests", |bencher| {
        bencher.iter(|| ClientFrame::decode(black_box(asked.clone())).unwrap());
    });
    group.bench_function("encode replies", |bencher| bencher.iter(|| black_box(&replies).encode_to_vec()));
    group.bench_function("decode replies", |bencher| {
        bencher.iter(|| ServerFrame::decode(black_box(answered.clone())).unwrap());
    });
    group.finish();
}
