//! What strangers and broken members send to the port for nodes.

use bytes::Bytes;
use synod_proto::log::v1::Membership;
use synod_proto::peer::v1::peer_client::PeerClient;
use synod_proto::peer::v1::{Entry, Frame, Hello, Message, Raft, SnapshotChunk, SnapshotMetadata, message};
use synod_types::fnv1a32;

use super::*;
use crate::host::group_hash;
use crate::metrics::resident_bytes;

const RESIDENT_BYTES_MAX: u64 = 400 << 20;

/// Numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.0 >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next()).unwrap() % bound
    }

    /// A number around one that matters, or at the ends.
    fn near(&mut self, middle: u64) -> u64 {
        let numbers =
            [middle, middle + 1, middle.saturating_sub(1), 0, 1, u64::MAX - 1, u64::MAX, self.next()];
        numbers[self.below(numbers.len())]
    }

    fn entry(&mut self, index: u64, term: u64) -> Entry {
        let kinds = [0, 2, 1, 99];
        let kind = kinds[self.below(kinds.len())];
        Entry { term: self.near(term), index: self.near(index), kind, data: Bytes::from_static(b"forged") }
    }

    fn snapshot(&mut self, index: u64, term: u64, members: &[u64]) -> SnapshotMetadata {
        let mut some = || (0..self.below(3)).map(|_| members[self.below(members.len())]).collect::<Vec<_>>();
        let membership = Membership {
            voters: some(),
            learners: some(),
            voters_outgoing: some(),
            learners_next: some(),
            auto_leave: true,
        };
        SnapshotMetadata { index: self.near(index), term: self.near(term), membership: Some(membership) }
    }

    /// A message about which nothing is right but, sometimes, the address.
    fn message(&mut self, replica: &Replica, senders: &[u64]) -> Message {
        let (index, term) = (replica.last_log_index, replica.term);
        let members: Vec<_> =
            replica.members.iter().map(|status| status.member.as_ref().unwrap().id).chain([0, 7]).collect();
        let groups = [group_hash(GROUP), group_hash(GROUP), group_hash(GROUP), 0, u64::MAX];
        let raft = Raft {
            kind: (self.next() % 31) as u32,
            term: self.near(term),
            log_term: self.near(term),
            index: self.near(index),
            entries: (0..self.below(3)).map(|_| self.entry(index, term)).collect(),
            commit: self.near(index),
            commit_term: self.near(term),
            snapshot: (self.below(4) == 0).then(|| self.snapshot(index, term, &members)),
            request_snapshot: if self.below(4) == 0 { self.near(index) } else { 0 },
            reject: self.below(2) == 0,
            reject_hint: self.near(index),
            context: Bytes::from(vec![1; self.below(40)]),
            priority: self.next() as i64 - (1 << 40),
        };
        Message {
            group: groups[self.below(groups.len())],
            partition: [0, 0, 0, 1, u32::MAX][self.below(5)],
            from: senders[self.below(senders.len())],
            to: if self.below(8) == 0 { self.next() } else { replica.member_id },
            body: (self.below(16) > 0).then_some(message::Body::Raft(raft)),
        }
    }
}

/// Sends frames on a stream of their own, and waits until all are taken.
async fn send(node: &Node, frames: Vec<Frame>) {
    let mut client = PeerClient::new(connect(node.peer_address()).await);
    let mut answers = client.stream(futures::stream::iter(frames)).await.unwrap().into_inner();
    assert!(matches!(answers.message().await, Ok(None)), "it ends when the frames do");
}

fn hello(address: impl Into<String>) -> Option<Hello> {
    Some(Hello { node: "stranger".into(), peer_address: address.into() })
}

#[tokio::test]
async fn strangers_change_nothing() {
    const ROUNDS: u64 = 40;
    let cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let mut client = cluster.counter(leader).await;
    increment(&mut client, "hits").await.unwrap();
    let before = cluster.replica(leader).await;
    let mut numbers = Numbers(3);
    for round in 0..ROUNDS {
        for (number, node) in &cluster.nodes {
            let replica = cluster.replica(*number).await;
            let senders = [0, 7, u64::MAX, replica.member_id];
            let messages = (0..200).map(|_| numbers.message(&replica, &senders)).collect();
            send(node, vec![Frame { hello: hello("127.0.0.1:9"), messages }]).await;
        }
        assert_eq!(increment(&mut client, "hits").await.unwrap(), 2 + round as i64);
    }
    let after = cluster.replica(leader).await;
    assert_eq!((after.term, after.leader), (before.term, before.leader));
    cluster.assert_whole().await;
}

/// Where nothing is encrypted, whoever knows the ids of members can pose as one. Even then what he says must make sense.
#[tokio::test]
async fn what_no_member_could_say_is_dropped() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let mut client = cluster.counter(leader).await;
    increment(&mut client, "hits").await.unwrap();
    for (number, node) in &cluster.nodes {
        let replica = cluster.replica(*number).await;
        let members = replica.members.iter().map(|status| status.member.as_ref().unwrap().id);
        let other = members.clone().find(|id| *id != replica.member_id && *id != replica.leader).unwrap();
        let sane = Raft { term: replica.term, log_term: 1, ..Raft::default() };
        let last = replica.last_log_index;
        let entry = |index, term| Entry { index, term, ..Entry::default() };
        let snapshot = |voters: Vec<u64>| {
            let membership = Some(Membership { voters, ..Membership::default() });
            Some(SnapshotMetadata { index: last + 100, term: replica.term, membership })
        };
        let (append, answer, snap, heartbeat) = (3, 4, 7, 8);
        let nonsense = [
            Raft { kind: append, index: last + 100, log_term: 0, ..sane.clone() },
            Raft { kind: append, index: last, entries: vec![entry(last + 2, 1)], ..sane.clone() },
            Raft {
                kind: append,
                index: last,
                entries: vec![entry(last + 1, replica.term + 1)],
                ..sane.clone()
            },
            Raft { kind: append, index: u64::MAX, entries: vec![entry(0, 1)], ..sane.clone() },
            Raft { kind: append, term: u64::MAX, ..sane.clone() },
            Raft { kind: heartbeat, term: u64::MAX, ..sane.clone() },
            Raft { kind: heartbeat, commit: u64::MAX, ..sane.clone() },
            Raft { kind: answer, index: u64::MAX, ..sane.clone() },
            Raft { kind: answer, index: last, reject: true, reject_hint: u64::MAX, ..sane.clone() },
            Raft { kind: answer, index: last, reject: true, request_snapshot: 1, ..sane.clone() },
            Raft { kind: snap, snapshot: snapshot(vec![]), ..sane.clone() },
            Raft { kind: snap, snapshot: snapshot(members.clone().collect()), ..sane.clone() },
            Raft { kind: append, snapshot: snapshot(members.clone().collect()), ..sane.clone() },
        ];
        for raft in nonsense {
            let message = Message {
                group: group_hash(GROUP),
                partition: 0,
                from: other,
                to: replica.member_id,
                body: Some(message::Body::Raft(raft)),
            };
            send(node, vec![Frame { hello: None, messages: vec![message] }]).await;
        }
    }
    increment(&mut client, "hits").await.unwrap();
    cluster.assert_whole().await;
    assert_eq!(count(&mut client, "hits").await, 2);
}

/// Sends a snapshot in chunks and tells whether it was taken.
async fn offer(node: &Node, chunks: Vec<SnapshotChunk>) -> Result<(), ErrorCode> {
    let mut client = PeerClient::new(connect(node.peer_address()).await);
    let answer = client.install_snapshot(futures::stream::iter(chunks)).await;
    answer.map(|_| ()).map_err(|status| code(&status))
}

fn offered(replica: &Replica, from: u64, to: u64) -> Message {
    let voters = replica.members.iter().map(|status| status.member.as_ref().unwrap().id).collect();
    let membership = Some(Membership { voters, ..Membership::default() });
    let index = replica.last_log_index + 1_000;
    let raft = Raft {
        kind: 7,
        term: replica.term.max(1),
        snapshot: Some(SnapshotMetadata { index, term: replica.term.max(1), membership }),
        ..Raft::default()
    };
    Message { group: group_hash(GROUP), partition: 0, from, to, body: Some(message::Body::Raft(raft)) }
}

#[tokio::test]
async fn snapshots_that_are_none_are_refused_and_leave_nothing() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let mut client = cluster.counter(leader).await;
    increment(&mut client, "hits").await.unwrap();
    let number = (leader + 1) % 3;
    let node = &cluster.nodes[&number];
    let replica = cluster.replica(number).await;
    let chunk = |message: Option<Message>, total_bytes, data: &[u8]| SnapshotChunk {
        message,
        total_bytes,
        data: Bytes::copy_from_slice(data),
    };
    let rest = |bytes: usize| chunk(None, 0, &vec![7; bytes]);
    let good = offered(&replica, replica.leader, replica.member_id);
    let elsewhere = Message { group: 1, ..good.clone() };
    let no_offer =
        Message { body: Some(message::Body::Raft(Raft { kind: 7, ..Raft::default() })), ..good.clone() };
    for (chunks, expected) in [
        (vec![], ErrorCode::Invalid),
        (vec![rest(10)], ErrorCode::Invalid),
        (vec![chunk(Some(elsewhere), 10, b"")], ErrorCode::NotFound),
        (vec![chunk(Some(no_offer), 10, b"")], ErrorCode::Invalid),
        (vec![chunk(Some(offered(&replica, 7, replica.member_id)), 10, b"")], ErrorCode::Conflict),
        (vec![chunk(Some(offered(&replica, replica.leader, 7)), 10, b"")], ErrorCode::NotFound),
        (vec![chunk(Some(good.clone()), 0, b"")], ErrorCode::Corrupt),
        (vec![chunk(Some(good.clone()), 10, b""), rest(11)], ErrorCode::Corrupt),
        (vec![chunk(Some(good.clone()), u64::MAX, b""), rest(100_000)], ErrorCode::Corrupt),
        (vec![chunk(Some(good.clone()), 100_000, b""), rest(100_000)], ErrorCode::Corrupt),
    ] {
        assert_eq!(offer(node, chunks.clone()).await, Err(expected), "{:?}", chunks.first());
    }
    let snapshots = cluster.dir.path().join(format!("{number}/replicas/{GROUP}/0/snapshots"));
    let names: Vec<_> =
        std::fs::read_dir(snapshots).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "the genesis alone: {names:?}");
    increment(&mut client, "hits").await.unwrap();
    cluster.assert_whole().await;
}

#[tokio::test]
async fn a_real_snapshot_of_something_else_is_refused() {
    let cluster = Cluster::of_partitions(3, 2).await;
    let leader = cluster.leader_of(0).await;
    let number = (leader + 1) % 3;
    let replica = cluster.replica(number).await;
    // The genesis of partition 1, offered as the state of partition 0.
    let dir = cluster.dir.path().join(format!("{number}/replicas/{GROUP}/1/snapshots"));
    let file = std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(file).unwrap();
    let mut message = offered(&replica, replica.leader, replica.member_id);
    let Some(message::Body::Raft(raft)) = &mut message.body else { panic!() };
    let metadata = raft.snapshot.as_mut().unwrap();
    (metadata.index, metadata.term) = (1, 1);
    let total_bytes = bytes.len() as u64;
    let first = SnapshotChunk { message: Some(message), total_bytes, data: bytes.into() };
    assert_eq!(offer(&cluster.nodes[&number], vec![first]).await, Err(ErrorCode::Invalid));
    cluster.assert_whole().await;
}

/// A replica that waits for its first snapshot takes none that is damaged, and still waits.
#[tokio::test]
async fn a_replica_that_waits_is_not_born_from_rubbish() {
    let cluster = Cluster::new(1).await;
    let member = cluster.prepare(0, 0).await;
    let node = &cluster.nodes[&0];
    let replica = Replica { last_log_index: 5, term: 1, ..Replica::default() };
    let first = |to| SnapshotChunk {
        message: Some(offered(&replica, 7, to)),
        total_bytes: 1_000,
        data: Bytes::from(vec![3; 1_000]),
    };
    assert_eq!(offer(node, vec![first(member.id)]).await, Err(ErrorCode::Corrupt));
    assert_eq!(offer(node, vec![first(member.id + 1)]).await, Err(ErrorCode::NotFound));
    // Addresses that are none: nobody is answered there for long, nor are they remembered without bound.
    let mut numbers = Numbers(9);
    for address in ["", "nowhere", "256.1.1.1:1", "[::1", "\u{0}:1", &"x".repeat(1 << 20)] {
        let replica = Replica { member_id: member.id, term: 1, ..Replica::default() };
        let messages = (0..100).map(|_| numbers.message(&replica, &[7])).collect();
        send(node, vec![Frame { hello: hello(address), messages }]).await;
    }
    assert_eq!(cluster.replica(0).await.phase, Phase::Waiting as i32);
    cluster.bootstrap(0, 1).await;
    cluster.leader().await;
    increment(&mut cluster.counter(0).await, "hits").await.unwrap();
}

#[tokio::test]
async fn a_flood_of_messages_is_no_burden() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let mut client = cluster.counter(leader).await;
    increment(&mut client, "hits").await.unwrap();
    let before = resident_bytes().unwrap();
    let replica = cluster.replica(leader).await;
    let data = Bytes::from(vec![fnv1a32(b"flood") as u8; 60_000]);
    let entry = Entry { term: 1, index: 1, kind: 0, data };
    let raft = Raft { kind: 3, term: replica.term, log_term: 1, entries: vec![entry], ..Raft::default() };
    let message = Message {
        group: group_hash(GROUP),
        partition: 0,
        from: 7,
        to: replica.member_id,
        body: Some(message::Body::Raft(raft)),
    };
    // 1.2 GB of it.
    let frame = Frame { hello: None, messages: vec![message; 100] };
    for _ in 0..4 {
        send(&cluster.nodes[&leader], vec![frame.clone(); 50]).await;
        increment(&mut client, "hits").await.unwrap();
    }
    let held = resident_bytes().unwrap().saturating_sub(before);
    assert!(held < RESIDENT_BYTES_MAX, "{held} bytes");
    cluster.assert_whole().await;
}
