//! Raft, from the proposal of an entry to its commit, with disks and a network that take no time.

use std::collections::VecDeque;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use synod_protocol::raft::{Options, Raft, Start};
use synod_protocol::{Membership, Message, Output, Protocol as _, Role, SnapshotMetadata};
use synod_types::{LogIndex, MemberId, Monotonic, Term};

/// The log in memory is cut when it has grown by this much.
const TAIL_ENTRIES: u64 = 1_000;

/// Members that hand each other messages.
struct Group {
    members: Vec<Raft>,
    messages: VecDeque<(MemberId, Message)>,
    now: Monotonic,
    committed: Vec<LogIndex>,
}

impl Group {
    fn new(members: u64) -> Self {
        let membership = Membership::of_voters((1..=members).map(MemberId));
        let snapshot = SnapshotMetadata { index: LogIndex(1), term: Term(1), membership };
        let now = Monotonic::from_nanos(1);
        let start = |member| {
            let start = Start { snapshot: snapshot.clone(), ..Start::default() };
            Raft::new(now, MemberId(member), Options::default(), start).unwrap()
        };
        let committed = (1..=members).map(|_| LogIndex(1)).collect();
        let mut group =
            Self { members: (1..=members).map(start).collect(), messages: VecDeque::new(), now, committed };
        while group.members[0].standing().role != Role::Leader {
            group.now = group.members[0].deadline();
            group.members[0].tick(group.now);
            group.settle();
        }
        group
    }

    /// Does what there is to do until nobody has anything to do.
    fn settle(&mut self) {
        loop {
            for member in 0..self.members.len() {
                loop {
                    let output = self.members[member].output(self.now);
                    if output.is_empty() {
                        break;
                    }
                    self.carry_out(member, output);
                }
            }
            let Some((to, message)) = self.messages.pop_front() else { return };
            self.members[to.get() as usize - 1].step(self.now, message).unwrap();
        }
    }

    fn carry_out(&mut self, member: usize, output: Output) {
        self.messages.extend(output.send);
        if let Some(persist) = output.persist {
            self.members[member].persisted(self.now, persist.token);
        }
        for entry in output.committed {
            self.members[member].applied(entry.index);
            self.committed[member] = entry.index;
        }
    }

    fn commit(&mut self, data: &Bytes) {
        let index = self.members[0].propose(data.clone()).unwrap();
        self.settle();
        assert!(self.committed[0] >= index, "what is proposed is committed");
        if index.get().is_multiple_of(TAIL_ENTRIES) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let membership = self.members[0].status().membership;
        for (member, at) in self.members.iter_mut().zip(&self.committed) {
            let term = member.standing().term;
            let snapshot = SnapshotMetadata { index: *at, term, membership: membership.clone() };
            member.snapshot_saved(snapshot, *at);
        }
    }
}

pub(crate) fn benchmarks(criterion: &mut Criterion) {
    let mut benchmarks = criterion.benchmark_group("raft");
    let data = Bytes::from(vec![7; 350]);
    for members in [1, 3] {
        let mut group = Group::new(members);
        benchmarks.bench_function(BenchmarkId::new("commit an entry, members", members), |bencher| {
            bencher.iter(|| group.commit(&data));
        });
    }
    benchmarks.finish();
}
