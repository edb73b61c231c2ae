//! Writes that are executed exactly once, whatever happens on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use synod_types::ErrorCode;
use tokio::task::JoinSet;

use super::cluster::{Cluster, Count, Shape, soon, until};
use crate::{Counter, Group};

/// Tasks that increment a counter until they are told to stop.
struct Incrementing {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    acknowledged: Count,
    /// Increments of which nobody knows.
    doubtful: Count,
}

impl Incrementing {
    fn start(counter: &Counter, tasks: usize) -> Self {
        let mut started = Self {
            tasks: JoinSet::new(),
            stop: Arc::default(),
            acknowledged: Arc::default(),
            doubtful: Arc::default(),
        };
        for _ in 0..tasks {
            let (counter, stop) = (counter.clone(), started.stop.clone());
            let (acknowledged, doubtful) = (started.acknowledged.clone(), started.doubtful.clone());
            started.tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    match counter.increment(1).await {
                        Ok(_) => drop(acknowledged.fetch_add(1, Ordering::Relaxed)),
                        Err(error) if error.may_have_happened() => {
                            doubtful.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                }
            });
        }
        started
    }

    /// Waits until so many more are acknowledged.
    async fn more(&self, increments: u64) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + increments;
        until("more increments", async || (self.acknowledged.load(Ordering::Relaxed) >= goal).then_some(()))
            .await;
    }

    /// Stops, and checks the counter. Returns how many are in doubt.
    async fn finish(mut self, counter: &Counter) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let doubtful = self.doubtful.load(Ordering::Relaxed);
        let counted = u64::try_from(counter.get().await.unwrap()).unwrap();
        assert!(
            (acknowledged..=acknowledged + doubtful).contains(&counted),
            "{counted} counted, {acknowledged} acknowledged, {doubtful} in doubt"
        );
        doubtful
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_count_once_while_leaders_are_killed() {
    let (mut cluster, group) = Cluster::with_group(Shape::default()).await;
    let counter = group.counter("hits");
    let incrementing = Incrementing::start(&counter, 32);
    for _ in 0..3 {
        incrementing.more(500).await;
        let leader = cluster.leader(0).await;
        cluster.kill(leader).await;
        incrementing.more(500).await;
        cluster.start(leader).await;
    }
    let doubtful = incrementing.finish(&counter).await;
    assert_eq!(doubtful, 0, "the session lived on, so every outcome could be learned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_count_once_while_connections_are_cut() {
    let (cluster, group) = Cluster::with_group(Shape { proxies: true, ..Shape::default() }).await;
    let counter = group.counter("hits");
    let incrementing = Incrementing::start(&counter, 32);
    for cut in 0..40 {
        // At another moment each time.
        incrementing.more(1 + cut * 7).await;
        cluster.proxies().for_each(super::proxy::Proxy::cut);
    }
    assert_eq!(incrementing.finish(&counter).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_down_and_comes_back_and_nothing_is_lost() {
    let (mut cluster, group) = Cluster::with_group(Shape::default()).await;
    let counter = group.counter("hits");
    let incrementing = Incrementing::start(&counter, 8);
    incrementing.more(200).await;
    for number in 0..3 {
        cluster.kill(number).await;
    }
    for number in 0..3 {
        cluster.start(number).await;
    }
    incrementing.more(200).await;
    assert_eq!(incrementing.finish(&counter).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_expired_leaves_some_in_doubt_and_the_next_one_goes_on() {
    let cluster = Cluster::new(Shape { proxies: true, ..Shape::default() }).await;
    let second = Duration::from_secs(1);
    let client =
        cluster.builder().session_timeout(second).request_timeout(second * 10).build().await.unwrap();
    let counter = client.default_group().await.unwrap().counter("hits");
    let incrementing = Incrementing::start(&counter, 16);
    incrementing.more(200).await;
    cluster.proxies().for_each(super::proxy::Proxy::hold_back);
    let leader = cluster.leader(0).await;
    until("the session expires", async || (cluster.replica(leader, 0).await.sessions == 0).then_some(()))
        .await;
    cluster.proxies().for_each(super::proxy::Proxy::pass_on);
    incrementing.more(200).await;
    incrementing.finish(&counter).await;
    assert_eq!(cluster.replica(leader, 0).await.sessions, 1);
}

#[tokio::test]
async fn a_write_times_out_in_doubt_if_it_was_sent_and_without_if_it_was_not() {
    let cluster = Cluster::new(Shape { nodes: 1, proxies: true, ..Shape::default() }).await;
    let client = cluster.builder().request_timeout(Duration::from_millis(300)).build().await.unwrap();
    let counter = client.default_group().await.unwrap().counter("hits");
    assert_eq!(counter.increment(1).await.unwrap(), 1);
    cluster.proxies().for_each(super::proxy::Proxy::hold_back);
    let error = counter.increment(1).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_happened()), (ErrorCode::Timeout, true), "{error}");
    let unsent = cluster.builder().request_timeout(Duration::from_millis(300)).build().await.unwrap();
    let error = unsent.default_group().await.unwrap().counter("hits").increment(1).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_happened()), (ErrorCode::Timeout, false), "{error}");
    let error = counter.get().await.unwrap_err();
    assert!(!error.may_have_happened(), "a read changes nothing: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_replica_is_asked_again_and_nothing_counts_twice() {
    let adjust = |config: &mut synod_node::Config| config.replica.writes_in_flight_max = 2;
    let (cluster, group) = Cluster::with_group(Shape { nodes: 1, adjust, ..Shape::default() }).await;
    let counter = group.counter("hits");
    let incrementing = Incrementing::start(&counter, 32);
    incrementing.more(500).await;
    assert_eq!(incrementing.finish(&counter).await, 0);

    // Whoever has no time is told why: of many at once, two can be under way.
    let client = cluster.builder().request_timeout(Duration::from_millis(1)).build().await.unwrap();
    let hurried = client.default_group().await.unwrap();
    let refused = until("a refusal", async || refusal(&hurried).await).await;
    assert!(!refused.may_have_happened() && refused.is_retryable(), "{refused}");
}

/// Increments many times at once, and returns an overload error if there was one.
async fn refusal(group: &Group) -> Option<crate::Error> {
    let counter = group.counter("hits");
    let outcomes = futures::future::join_all((0..256).map(|_| counter.increment(1))).await;
    outcomes.into_iter().filter_map(Result::err).find(|error| error.code() == ErrorCode::ResourceExhausted)
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let (cluster, group) = Cluster::with_group(Shape { nodes: 1, ..Shape::default() }).await;
    let client = cluster.client().await;
    let counter = client.default_group().await.unwrap().counter("hits");
    counter.increment(1).await.unwrap();
    client.close().await;
    assert_eq!(cluster.replica(0, 0).await.sessions, 0, "the session is closed, not left to expire");
    let error = counter.increment(1).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_happened()), (ErrorCode::Cancelled, false));
    assert_eq!(group.counter("hits").get().await.unwrap(), 1);
}

#[tokio::test]
async fn whoever_waits_when_the_client_is_closed_is_told() {
    let (cluster, direct) = Cluster::with_group(Shape { nodes: 1, ..Shape::default() }).await;
    let _holder = direct.lock("l").acquire().await.unwrap();
    let _leader = direct.election("e").enter("a").await.unwrap();
    let client = cluster.client().await;
    let group = client.default_group().await.unwrap();
    let mut events = group.map("m").events().await.unwrap();
    let second = group.election("e").enter("b").await.unwrap();
    let (lock, status) = (group.lock("l"), direct.lock("l"));
    let queued = tokio::spawn(async move { lock.acquire().await });
    until("it waits", async || (status.status().await.unwrap().queue.len() == 1).then_some(())).await;

    client.close().await;
    assert_eq!(soon("an end", queued).await.unwrap().unwrap_err().code(), ErrorCode::Cancelled);
    let last = soon("an end", events.next()).await.unwrap().unwrap_err();
    assert_eq!((last.code(), last.may_have_happened()), (ErrorCode::Cancelled, false));
    assert!(soon("an end", events.next()).await.is_none(), "an error is the last item");
    assert_eq!(soon("an end", second.wait_until_leader()).await.unwrap_err().code(), ErrorCode::NotHeld);
    assert_eq!(status.status().await.unwrap().queue, [], "nobody is left in the queue");
}

#[tokio::test]
async fn the_sessions_of_a_client_that_is_dropped_are_closed() {
    let cluster = Cluster::new(Shape { nodes: 1, ..Shape::default() }).await;
    let group = cluster.group().await;
    group.counter("hits").increment(1).await.unwrap();
    assert_eq!(cluster.replica(0, 0).await.sessions, 1);
    drop(group);
    until("the session is closed", async || (cluster.replica(0, 0).await.sessions == 0).then_some(())).await;
}

#[tokio::test]
async fn what_was_given_up_does_not_happen_after_a_later_write() {
    let cluster = Cluster::new(Shape { nodes: 1, proxies: true, ..Shape::default() }).await;
    let client = cluster.builder().build().await.unwrap();
    let group = client.default_group().await.unwrap();
    let (mut hurried, patient) = (group.counter("hits"), group.counter("hits"));
    patient.increment(1).await.unwrap();
    hurried = hurried.request_timeout(Duration::from_millis(100));
    cluster.proxies().for_each(super::proxy::Proxy::hold_back);
    for _ in 0..10 {
        let error = hurried.increment(1).await.unwrap_err();
        assert!(error.may_have_happened(), "{error}");
    }
    cluster.proxies().for_each(super::proxy::Proxy::cut);
    cluster.proxies().for_each(super::proxy::Proxy::pass_on);
    let now = patient.increment(100).await.unwrap();
    for _ in 0..5 {
        assert_eq!(patient.increment(0).await.unwrap(), now, "nothing that was given up comes late");
    }
}
