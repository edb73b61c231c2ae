//! Nodes that stop in order, one after the other, while somebody writes.

use synod_proto::session::v1::OpenRequest;
use synod_proto::session::v1::session_client::SessionClient;
use synod_types::MemberId;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::{Code, Request};

use super::*;
use crate::slot::Standing;

/// Writes within one session, and goes to another node whenever one cannot answer. What is sent again has the same
/// sequence.
struct Persistent {
    addresses: Vec<SocketAddr>,
    at: usize,
    client: Option<CounterClient<Channel>>,
    session: u64,
    longest: Duration,
}

impl Persistent {
    async fn new(cluster: &Cluster) -> Self {
        let open =
            OpenRequest { group: GROUP.into(), partition: 0, timeout_ms: 60_000, client: String::new() };
        let mut sessions = SessionClient::new(cluster.channel(0).await);
        let session = sessions.open(open).await.unwrap().into_inner().session_id;
        let addresses = cluster.ports.values().map(|(clients, _)| *clients).collect();
        Self { addresses, at: 0, client: None, session, longest: Duration::ZERO }
    }

    /// Writes until it is answered, and returns the count.
    async fn write(&mut self, sequence: u64) -> i64 {
        let begin = Instant::now();
        let value = loop {
            assert!(begin.elapsed() < PATIENCE, "write {sequence} is never answered");
            match self.try_once(sequence).await {
                Ok(value) => break value,
                Err(Some(status)) => {
                    let passes = [Code::Unavailable, Code::Cancelled, Code::Unknown, Code::DeadlineExceeded];
                    assert!(passes.contains(&status.code()), "{status}");
                }
                Err(None) => {}
            }
            self.client = None;
            self.at = (self.at + 1) % self.addresses.len();
        };
        self.longest = self.longest.max(begin.elapsed());
        value
    }

    async fn try_once(&mut self, sequence: u64) -> Result<i64, Option<Status>> {
        let client = match &mut self.client {
            Some(client) => client,
            None => {
                let address = format!("http://{}", self.addresses[self.at]);
                let channel = Channel::from_shared(address).unwrap().connect().await.map_err(|_| None)?;
                self.client.insert(CounterClient::new(channel))
            }
        };
        let mut request = Request::new(IncrementRequest { primitive: named("hits"), delta: 1 });
        let metadata = request.metadata_mut();
        metadata.insert("synod-session", self.session.into());
        metadata.insert("synod-sequence", sequence.into());
        if sequence > 1 {
            metadata.insert("synod-acknowledged", (sequence - 1).into());
        }
        let answer = timeout(PATIENCE, client.increment(request)).await.expect("it hangs");
        answer.map(|answer| answer.into_inner().value).map_err(Some)
    }
}

#[tokio::test]
async fn nodes_stop_one_after_the_other_and_no_write_is_lost_or_late() {
    let mut cluster = Cluster::of_partitions(3, 1).await;
    let mut writer = Persistent::new(&cluster).await;
    let (round, rounds) = watch::channel(0);
    let writing = tokio::spawn(async move {
        let (mut sequence, mut gaps) = (0, vec![Duration::ZERO; 6]);
        while *rounds.borrow() < 6 {
            sequence += 1;
            assert_eq!(writer.write(sequence).await, sequence as i64, "each write once, and in order");
            let now = (*rounds.borrow()).min(5);
            gaps[now] = gaps[now].max(std::mem::take(&mut writer.longest));
        }
        (sequence, gaps)
    });
    // Two rounds over all nodes, the leader among them each time.
    for number in 0..6 {
        let led = cluster.leader().await;
        cluster.stop(led).await;
        cluster.leader().await;
        cluster.start(led).await;
        cluster.leader().await;
        round.send(number + 1).unwrap();
    }
    let (written, gaps) = writing.await.unwrap();
    eprintln!("{written} writes; the longest pause of each round: {gaps:?}");
    assert_eq!(count(&mut cluster.counter(0).await, "hits").await, written as i64);
    assert!(gaps.iter().all(|gap| *gap < Duration::from_secs(2)), "{gaps:?}");
    cluster.assert_whole().await;
}

#[tokio::test]
async fn a_node_that_goes_down_refuses_what_is_new_for_certain() {
    let mut cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let mut client = cluster.counter(leader).await;
    increment(&mut client, "hits").await.unwrap();
    let node = cluster.nodes.remove(&leader).unwrap();
    let stopping = tokio::spawn(node.stop());
    let begin = Instant::now();
    let mut acknowledged = 1;
    let refused = loop {
        match increment(&mut client, "hits").await {
            Ok(value) => acknowledged = value,
            Err(status) => break status,
        }
        assert!(begin.elapsed() < PATIENCE);
    };
    assert_eq!((code(&refused), refused.code()), (ErrorCode::Unavailable, Code::Unavailable));
    assert!(!WireError::from_status(&refused).may_have_happened, "{refused}");
    assert_eq!(refused.message(), "the node is shutting down: go to another one");
    stopping.await.unwrap();
    let next = cluster.leader().await;
    assert_eq!(count(&mut cluster.counter(next).await, "hits").await, acknowledged);
}

#[tokio::test]
async fn who_lives_on_a_node_that_has_stopped_is_not_forgotten() {
    let mut cluster = Cluster::of_partitions(1, 1).await;
    let member = cluster.replica(0).await.member_id;
    let mut admin = cluster.admin(0).await;
    let host = cluster.nodes[&0].host.clone();
    let slot = host.slot(GROUP, 0).unwrap();
    let stopped = host.clone();
    tokio::task::spawn_blocking(move || stopped.stop()).await.unwrap();
    assert!(matches!(slot.standing(), Standing::Failed(Some(id), _) if id.get() == member), "not blank");
    let attempts = [
        host.prepare(GROUP, 0).map(drop),
        host.discard(GROUP, 0, MemberId(member)),
        host.recover(GROUP, 0, MemberId(member)).map(drop),
        host.slot("default/another", 0).map(drop),
    ];
    for refused in attempts {
        assert_eq!(refused.unwrap_err().code(), ErrorCode::Unavailable);
    }
    let refused = admin.status(StatusRequest {}).await.unwrap_err();
    assert_eq!(
        code(&refused),
        ErrorCode::Unavailable,
        "nobody is told of replicas that only seem to be blank"
    );
    drop((slot, host));
    cluster.stop(0).await;
    cluster.start(0).await;
    assert_eq!(cluster.replica(0).await.member_id, member);
}
