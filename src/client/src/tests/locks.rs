//! Locks: one holder at a time by fence, nothing held that nobody knows of, and given up in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use synod_types::{ErrorCode, Fence};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cluster::{Cluster, Shape, soon, until};
use super::proxy::Proxy;
use crate::{Acquire, Guard, HoldState, Lock, LockEvent, LockMode, Loss};

const SECOND: Duration = Duration::from_secs(1);

/// What a lock protects: it refuses whoever has a smaller fence than it has seen.
#[derive(Default)]
struct Resource {
    fence: AtomicU64,
    uses: AtomicU64,
    is_used: AtomicBool,
}

impl Resource {
    async fn use_with(&self, guard: &Guard) {
        let fence = guard.fence().get();
        let before = self.fence.fetch_max(fence, Ordering::SeqCst);
        assert!(before < fence, "fence {fence} after {before}");
        assert!(!self.is_used.swap(true, Ordering::SeqCst), "two at one time");
        tokio::task::yield_now().await;
        // Whoever is in doubt leaves before another could come.
        self.is_used.store(false, Ordering::SeqCst);
        self.uses.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_holds_at_a_time_while_leaders_are_killed() {
    let mut cluster = Cluster::new(Shape::default()).await;
    let resource = Arc::new(Resource::default());
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (client, resource, stop) = (cluster.client().await, resource.clone(), stop.clone());
        tasks.spawn(async move {
            let lock = client.default_group().await.unwrap().lock("l");
            while !stop.load(Ordering::Relaxed) {
                let guard = soon("a grant", lock.acquire()).await.unwrap();
                resource.use_with(&guard).await;
                soon("a release", guard.release()).await.unwrap();
            }
            client.close().await;
        });
    }
    let more = async |uses: u64| {
        let goal = resource.uses.load(Ordering::SeqCst) + uses;
        until("more uses", async || (resource.uses.load(Ordering::SeqCst) >= goal).then_some(())).await;
    };
    for _ in 0..3 {
        more(30).await;
        let leader = cluster.leader(0).await;
        cluster.kill(leader).await;
        more(30).await;
        cluster.start(leader).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let status = cluster.group().await.lock("l").status().await.unwrap();
    assert_eq!((status.holders, status.queue), (vec![], vec![]), "nothing is left behind");
}

/// Waits for a lock, and looks at the moment at which it has it whether the one before knows that it has not.
async fn next_holder(acquire: Acquire, before: Arc<Guard>) -> Guard {
    let guard = acquire.await.unwrap();
    assert_eq!(before.state(), HoldState::Lost, "two at one time");
    guard
}

#[tokio::test]
async fn a_guard_is_doubtful_then_lost_before_the_server_frees_the_lock() {
    let cluster = Cluster::new(Shape { nodes: 1, proxies: true, ..Shape::default() }).await;
    let client = cluster.builder().session_timeout(SECOND * 2).build().await.unwrap();
    let guard = Arc::new(client.default_group().await.unwrap().lock("l").acquire().await.unwrap());
    assert_eq!(guard.state(), HoldState::Held);
    let mut changes = guard.state_changes();
    let waiting = tokio::spawn(next_holder(cluster.direct_group().await.lock("l").acquire(), guard.clone()));

    cluster.proxies().for_each(Proxy::hold_back);
    soon("doubt", changes.wait_for(|state| *state == HoldState::Doubtful)).await.unwrap();
    assert_eq!(guard.state(), HoldState::Doubtful);
    soon("loss", changes.wait_for(|state| *state == HoldState::Lost)).await.unwrap();
    assert_eq!((guard.state(), guard.loss()), (HoldState::Lost, Some(Loss::Unconfirmed)));
    let next = soon("the next holder", waiting).await.unwrap();
    assert!(next.fence() > guard.fence());

    // What was lost stays lost, also when everything works again.
    cluster.proxies().for_each(Proxy::pass_on);
    let error = Arc::into_inner(guard).unwrap().release().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotHeld, "{error}");
    assert_eq!(next.state(), HoldState::Held);
    assert!(next.check().await.unwrap());
}

#[tokio::test]
async fn a_process_that_was_paused_knows_at_once_and_leaves_nothing_held() {
    let cluster = Cluster::new(Shape { nodes: 1, ..Shape::default() }).await;
    let direct = cluster.direct_group().await.lock("l");
    let client = cluster.builder().session_timeout(SECOND * 2).build().await.unwrap();
    let guard = client.default_group().await.unwrap().lock("l").acquire().await.unwrap();
    // Everything of this client stands still, and the server does not: until just before it would free the lock.
    std::thread::sleep(Duration::from_millis(1_850));
    assert_eq!((guard.state(), guard.loss()), (HoldState::Lost, Some(Loss::Unconfirmed)));
    drop(guard);
    // The session lives on, so nothing but a release frees the lock.
    until_free(&direct).await;
}

#[tokio::test]
async fn a_guard_survives_a_short_silence() {
    let cluster = Cluster::new(Shape { nodes: 1, proxies: true, ..Shape::default() }).await;
    let client = cluster.builder().session_timeout(SECOND * 2).build().await.unwrap();
    let guard = client.default_group().await.unwrap().lock("l").acquire().await.unwrap();
    let mut changes = guard.state_changes();
    cluster.proxies().for_each(Proxy::hold_back);
    soon("doubt", changes.wait_for(|state| *state == HoldState::Doubtful)).await.unwrap();
    cluster.proxies().for_each(Proxy::pass_on);
    soon("confidence", changes.wait_for(|state| *state == HoldState::Held)).await.unwrap();
    assert!(guard.check().await.unwrap());
    guard.release().await.unwrap();
}

async fn one() -> (Cluster, Lock) {
    let (cluster, group) = Cluster::with_group(Shape { nodes: 1, ..Shape::default() }).await;
    (cluster, group.lock("l"))
}

async fn until_free(lock: &Lock) {
    until("the lock is free", async || {
        let status = lock.status().await.unwrap();
        (status.holders.is_empty() && status.queue.is_empty()).then_some(())
    })
    .await;
}

async fn until_waiting(lock: &Lock, waiters: usize) {
    until("somebody waits", async || (lock.status().await.unwrap().queue.len() == waiters).then_some(()))
        .await;
}

#[tokio::test]
async fn whoever_does_not_wait_is_refused_and_whoever_waits_gets_it_in_turn() {
    let (_cluster, lock) = one().await;
    let first = lock.acquire().metadata("first").await.unwrap();
    let code = |error: crate::Error| error.code();
    assert_eq!(lock.acquire().no_wait().await.map(|_| ()).map_err(code), Err(ErrorCode::Expired));
    let begun = Instant::now();
    let wait = Duration::from_millis(200);
    assert_eq!(lock.acquire().wait(wait).await.map(|_| ()).map_err(code), Err(ErrorCode::Expired));
    assert!(begun.elapsed() >= wait);
    let mut waiting = Vec::new();
    for waiters in 1..=3 {
        let lock = lock.clone();
        waiting.push(tokio::spawn(async move { lock.acquire().await }));
        until_waiting(&first.lock(), waiters).await;
    }
    let status = lock.status().await.unwrap();
    assert_eq!((status.holders[0].metadata.as_str(), status.holders[0].fence), ("first", first.fence()));
    let mut last = first.fence();
    first.release().await.unwrap();
    for waiting in waiting {
        let guard = soon("its turn", waiting).await.unwrap().unwrap();
        assert!(guard.fence() > last);
        last = guard.fence();
        guard.release().await.unwrap();
    }
    until_free(&lock).await;
}

#[tokio::test]
async fn readers_share_and_writers_do_not() {
    let (_cluster, lock) = one().await;
    let readers = [
        lock.acquire().mode(LockMode::Read).await.unwrap(),
        lock.acquire().mode(LockMode::Read).await.unwrap(),
    ];
    assert_eq!(lock.status().await.unwrap().holders.len(), 2);
    assert_eq!(lock.acquire().no_wait().await.unwrap_err().code(), ErrorCode::Expired);
    for reader in readers {
        assert_eq!(reader.mode(), LockMode::Read);
        reader.release().await.unwrap();
    }
    let writer = lock.acquire().await.unwrap();
    let again = lock.acquire().reentrant().await.unwrap();
    assert_eq!(again.fence(), writer.fence());
    writer.release().await.unwrap();
    assert!(again.check().await.unwrap(), "each guard is released on its own");
    again.release().await.unwrap();
    until_free(&lock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acquisition_that_is_given_up_leaves_nothing_behind() {
    let (_cluster, lock) = one().await;
    let holder = lock.acquire().await.unwrap();
    let queued = tokio::spawn({
        let lock = lock.clone();
        async move { lock.acquire().await }
    });
    until_waiting(&lock, 1).await;
    queued.abort();
    until_waiting(&lock, 0).await;
    holder.release().await.unwrap();

    // At whatever moment: before it is sent, on its way, when it is granted.
    for turn in 0..200_u32 {
        let attempt = tokio::spawn({
            let lock = lock.clone();
            async move { lock.acquire().await.map(|guard| guard.forget()) }
        });
        for _ in 0..turn {
            tokio::task::yield_now().await;
        }
        attempt.abort();
        let forgotten = matches!(attempt.await, Ok(Ok(())));
        if forgotten {
            // It was quick enough to be granted and forgotten: then it is there to stay.
            let fence = lock.status().await.unwrap().holders[0].fence;
            lock.force_release(fence).await.unwrap();
        }
    }
    until_free(&lock).await;
    lock.acquire().no_wait().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn dropping_a_guard_releases_and_forgetting_it_does_not() {
    let (_cluster, lock) = one().await;
    drop(lock.acquire().await.unwrap());
    until_free(&lock).await;
    let guard = lock.acquire().await.unwrap();
    let fence = guard.fence();
    guard.forget();
    assert!(lock.is_current(fence).await.unwrap());
    lock.force_release(fence).await.unwrap();
    assert!(!lock.is_current(fence).await.unwrap());
}

#[tokio::test]
async fn closing_a_client_releases_what_it_holds() {
    let (cluster, lock) = one().await;
    let client = cluster.client().await;
    let guard = client.default_group().await.unwrap().lock("l").acquire().await.unwrap();
    client.close().await;
    assert_eq!(guard.state(), HoldState::Lost);
    assert_eq!(guard.loss(), Some(Loss::SessionEnded));
    lock.acquire().no_wait().await.unwrap();
}

#[tokio::test]
async fn a_lease_is_renewed_for_as_long_as_its_guard_lives() {
    let (cluster, lock) = one().await;
    let lease = SECOND;
    let mut events = lock.events().await.unwrap();
    let guard = lock.acquire().lease(lease).await.unwrap();
    let mut renewals = 0;
    while renewals < 4 {
        let event = soon("a renewal", events.next()).await.unwrap().unwrap();
        renewals += usize::from(matches!(event.change.event, LockEvent::Renewed { .. }));
    }
    assert_eq!(guard.state(), HoldState::Held);
    assert!(cluster.replica(0, 0).await.sessions > 0);
    guard.forget();
    until_free(&lock).await;
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_is_lost_before_the_server_ends_it() {
    let cluster = Cluster::new(Shape { nodes: 1, proxies: true, ..Shape::default() }).await;
    let lock = cluster.group().await.lock("l");
    let guard = Arc::new(lock.acquire().lease(SECOND).await.unwrap());
    let other = cluster.direct_group().await.lock("l").acquire().lease(SECOND);
    let waiting = tokio::spawn(next_holder(other, guard.clone()));
    cluster.proxies().for_each(Proxy::hold_back);
    assert_eq!(soon("the loss", guard.lost()).await, Loss::Unconfirmed);
    let next = soon("the next holder", waiting).await.unwrap();
    assert!(next.fence() > guard.fence());
    assert_eq!(next.state(), HoldState::Held, "a grant that came as an event is renewed to know its age");
}

#[tokio::test]
async fn a_guard_notices_that_its_lock_was_taken_away() {
    let (_cluster, lock) = one().await;
    let guard = lock.acquire().await.unwrap();
    lock.force_release(guard.fence()).await.unwrap();
    assert_eq!(soon("the loss", guard.lost()).await, Loss::Forced);
    assert_eq!(guard.state(), HoldState::Lost);
    assert_eq!(guard.release().await.unwrap_err().code(), ErrorCode::NotHeld);
    let error = lock.force_release(Fence(1)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotHeld);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_whose_session_expires_takes_its_place_again() {
    let cluster = Cluster::new(Shape { nodes: 1, proxies: true, ..Shape::default() }).await;
    let direct = cluster.direct_group().await.lock("l");
    let holder = direct.acquire().await.unwrap();
    let client = cluster.builder().session_timeout(SECOND).build().await.unwrap();
    let lock = client.default_group().await.unwrap().lock("l");
    let waiting = tokio::spawn(async move { lock.acquire().await });
    until_waiting(&direct, 1).await;
    cluster.proxies().for_each(Proxy::hold_back);
    until_waiting(&direct, 0).await;
    cluster.proxies().for_each(Proxy::pass_on);
    until_waiting(&direct, 1).await;
    holder.release().await.unwrap();
    let guard = soon("the grant", waiting).await.unwrap().unwrap();
    assert_eq!(guard.state(), HoldState::Held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_survives_a_leader_change() {
    let mut cluster = Cluster::new(Shape::default()).await;
    let client = cluster.builder().session_timeout(SECOND * 10).build().await.unwrap();
    let lock = client.default_group().await.unwrap().lock("l");
    let guard = lock.acquire().lease(SECOND * 10).await.unwrap();
    let waiting = tokio::spawn({
        let lock = lock.clone();
        async move { lock.acquire().await }
    });
    until_waiting(&lock, 1).await;
    let leader = cluster.leader(0).await;
    cluster.kill(leader).await;
    assert!(soon("an answer", guard.check()).await.unwrap());
    assert_ne!(guard.state(), HoldState::Lost);
    soon("the release", guard.release()).await.unwrap();
    let next = soon("the next holder", waiting).await.unwrap().unwrap();
    assert!(soon("an answer", next.check()).await.unwrap());
}
