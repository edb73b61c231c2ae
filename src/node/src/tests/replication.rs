//! A partition's life: birth, replication, an orderly stop, a wiped volume.

use futures::StreamExt as _;
use prost::Message as _;
use synod_proto::admin::v1::{AddLearnerRequest, Phase, PromoteRequest, RemoveRequest, SnapshotRequest};
use synod_proto::counter::v1::{IncrementRequest, IncrementResponse};
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::{Command, Create};
use synod_proto::session::v1::session_client::SessionClient;
use synod_proto::session::v1::{ClientFrame, Hello, Propose, Request, ServerFrame, reply, request};
use synod_types::{ErrorCode, PrimitiveId, PrimitiveKind};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::*;

/// A session stream without a session.
struct Stream {
    frames: mpsc::Sender<ClientFrame>,
    answers: Streaming<ServerFrame>,
    tag: u64,
}

impl Stream {
    async fn open(channel: Channel) -> Self {
        let (frames, outbound) = mpsc::channel(16);
        let hello = Hello { group: String::new(), partition: 0, client: "test".into() };
        frames.send(ClientFrame { hello: Some(hello), requests: Vec::new() }).await.unwrap();
        let mut client = SessionClient::new(channel);
        let answers = client.stream(ReceiverStream::new(outbound)).await.unwrap().into_inner();
        Self { frames, answers, tag: 0 }
    }

    async fn call(&mut self, body: request::Body) -> Result<bytes::Bytes, ErrorCode> {
        self.tag += 1;
        let request = Request { tag: self.tag, body: Some(body) };
        self.frames.send(ClientFrame { hello: None, requests: vec![request] }).await.unwrap();
        let mut frame = self.answers.next().await.unwrap().unwrap();
        let reply = frame.replies.pop().unwrap();
        assert_eq!(reply.tag, self.tag);
        match reply.body.unwrap() {
            reply::Body::Result(result) => Ok(result),
            reply::Body::Error(error) => Err(ErrorCode::from_number(error.code)),
            other => panic!("{other:?}"),
        }
    }

    async fn increment(&mut self) -> Result<i64, ErrorCode> {
        let operation = Operation::CounterIncrement(IncrementRequest { delta: 1, ..Default::default() });
        let result = self.call(command(operation)).await?;
        Ok(IncrementResponse::decode(result).unwrap().value)
    }

    async fn create(&mut self) {
        let create = Create {
            application: "default".into(),
            kind: PrimitiveKind::Counter.number(),
            name: "hits".into(),
        };
        self.call(command(Operation::Create(create))).await.unwrap();
    }
}

fn command(operation: Operation) -> request::Body {
    let primitive = PrimitiveId::of("default", PrimitiveKind::Counter, "hits").get();
    let command = Command { primitive, operation: Some(operation) };
    request::Body::Propose(Propose { command: command.encode_to_vec().into(), ..Propose::default() })
}

#[tokio::test]
async fn three_nodes_replicate_survive_and_replace_a_member() {
    let mut cluster = Cluster::new(3).await;
    assert_eq!(cluster.replicas(0).await, []);
    cluster.bootstrap(0, 1).await;
    let leader = cluster.leader().await;
    let mut stream = Stream::open(cluster.channel(leader).await).await;
    stream.create().await;
    for expected in 1..=100 {
        assert_eq!(stream.increment().await, Ok(expected));
    }

    // A follower does not take writes, and says who does.
    let follower = (leader + 1) % 3;
    let mut other = Stream::open(cluster.channel(follower).await).await;
    assert_eq!(other.increment().await, Err(ErrorCode::NotLeader));

    // The leader goes down in order; another one leads at once, and the count goes on.
    cluster.stop(leader).await;
    let next = cluster.leader().await;
    let mut stream = Stream::open(cluster.channel(next).await).await;
    assert_eq!(stream.increment().await, Ok(101));

    // It comes back with its data.
    cluster.start(leader).await;
    let applied = cluster.replica(next).await.applied_log_index;
    let back = cluster.until(leader, "caught up", |replica| replica.applied_log_index >= applied).await;
    assert_eq!(Phase::try_from(back.phase), Ok(Phase::Running));

    // Its volume is wiped: it is nobody now, and joins as a new member by a snapshot.
    let request = SnapshotRequest { group: GROUP.into(), partition: 0 };
    cluster.admin(next).await.snapshot(request).await.unwrap();
    cluster.stop(leader).await;
    std::fs::remove_dir_all(cluster.dir.path().join(leader.to_string())).unwrap();
    cluster.start(leader).await;
    let member = cluster.prepare(leader, 0).await;
    assert_ne!(member.id, back.member_id);
    let mut admin = cluster.admin(cluster.leader().await).await;
    let (group, partition) = (GROUP.to_owned(), 0);
    let remove = RemoveRequest { group: group.clone(), partition, member_id: back.member_id };
    admin.remove(remove).await.unwrap();
    let member_id = member.id;
    let learner = AddLearnerRequest { group: group.clone(), partition, member: Some(member) };
    admin.add_learner(learner).await.unwrap();
    cluster.until(leader, "has a snapshot", |replica| replica.phase == Phase::Running as i32).await;
    let begin = Instant::now();
    while let Err(status) = admin.promote(PromoteRequest { group: group.clone(), partition, member_id }).await
    {
        assert!(begin.elapsed() < Duration::from_secs(20), "not promoted: {status}");
        sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..50 {
        stream.increment().await.unwrap();
    }

    // All three agree on every byte.
    let index = cluster.replica(next).await.last_log_index;
    let mut hashes = Vec::new();
    for number in 0..3 {
        let replica = cluster.until(number, "applied", |replica| replica.applied_log_index >= index).await;
        hashes.push((replica.applied_log_index, replica.state_hash));
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "{hashes:?}");
}

#[tokio::test]
async fn a_partition_whose_requests_do_not_fit_is_not_born() {
    let mut cluster = Cluster::new(1).await;
    let mut bootstrap = async |request_bytes| {
        cluster.limits = Some(Limits { request_bytes, ..Limits::default() });
        let member = cluster.prepare(0, 0).await;
        cluster.admin(0).await.bootstrap(cluster.genesis(0, 1, vec![member])).await
    };
    for (request_bytes, message) in [
        (9 << 20, "request_bytes is 9437184: use at most 8388608"),
        (
            8 << 20,
            "the log has segments of 2097152 bytes, but the requests of the partition need 8454144: start the node with larger ones",
        ),
    ] {
        let refused = bootstrap(request_bytes).await.unwrap_err();
        assert_eq!((code(&refused), refused.message()), (ErrorCode::Invalid, message));
    }
    bootstrap(1 << 20).await.unwrap();
    // Told again, it has done it already.
    bootstrap(1 << 20).await.unwrap();
}

#[tokio::test]
async fn a_partition_is_not_born_in_a_time_from_which_it_cannot_count() {
    let cluster = Cluster::new(1).await;
    let member = cluster.prepare(0, 0).await;
    let genesis = cluster.genesis(0, 1, vec![member]);
    let late = BootstrapRequest { born_ms: (1 << 43) + 1, ..genesis.clone() };
    let refused = cluster.admin(0).await.bootstrap(late).await.unwrap_err();
    assert_eq!(code(&refused), ErrorCode::Invalid);
    assert!(refused.message().starts_with("it is born 8796093022209 ms after 1970"), "{}", refused.message());
    cluster.admin(0).await.bootstrap(genesis).await.unwrap();
}
