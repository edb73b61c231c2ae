//! Elections: a leader at a time, who knows it, and a successor when it goes.

use std::time::Duration;

use futures::StreamExt as _;
use synod_types::{ErrorCode, Fence};

use super::cluster::{Cluster, Shape, soon, until};
use super::proxy::Proxy;
use crate::{Election, ElectionTerm, HoldState, Loss};

async fn one() -> (Cluster, Election) {
    let (cluster, group) = Cluster::with_group(Shape { nodes: 1, ..Shape::default() }).await;
    (cluster, group.election("boss"))
}

fn term(id: u64, leader: &str, queue: &[&str]) -> ElectionTerm {
    let leader = Some(leader.to_owned()).filter(|leader| !leader.is_empty());
    ElectionTerm { id: Fence(id), leader, queue: queue.iter().map(ToString::to_string).collect() }
}

#[tokio::test]
async fn the_first_leads_and_the_next_follows_when_it_goes() {
    let (cluster, election) = one().await;
    assert_eq!(election.get().await.unwrap(), ElectionTerm::default());
    let mut events = election.events().await.unwrap();
    let (first, second) = (cluster.client().await, cluster.client().await);
    let enter = async |client: &crate::Client, candidate: &str| {
        client.default_group().await.unwrap().election("boss").enter(candidate).await.unwrap()
    };
    let a = enter(&first, "a").await;
    let b = enter(&second, "b").await;
    assert_eq!(a.leads(), Some(Fence(1)));
    assert!(!b.is_leader());
    assert_eq!(b.term(), term(1, "a", &["b"]));
    let error = election.enter("a").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AlreadyExists);

    first.close().await;
    assert_eq!((a.state(), a.leads()), (HoldState::Lost, None));
    assert_eq!(soon("leadership", b.wait_until_leader()).await.unwrap(), Fence(2));
    b.withdraw().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(soon("an event", events.next()).await.unwrap().unwrap().change);
    }
    assert_eq!(seen, [term(1, "a", &[]), term(1, "a", &["b"]), term(2, "b", &[]), term(2, "", &[])]);
}

#[tokio::test]
async fn whoever_looks_after_it_can_change_the_order() {
    let (_cluster, election) = one().await;
    let a = election.enter("a").await.unwrap();
    let b = election.enter("b").await.unwrap();
    let c = election.enter("c").await.unwrap();
    assert_eq!(election.anoint("c").await.unwrap(), term(2, "c", &["a", "b"]));
    assert_eq!(soon("leadership", c.wait_until_leader()).await.unwrap(), Fence(2));
    assert_eq!(election.promote("b").await.unwrap(), term(2, "c", &["b", "a"]));
    assert_eq!(election.demote("c").await.unwrap(), term(3, "b", &["c", "a"]));
    assert_eq!(election.evict("b").await.unwrap(), term(4, "c", &["a"]));
    assert_eq!(soon("the eviction", b.lost()).await, Loss::Forced);
    let error = b.wait_until_leader().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotHeld);
    let mut terms = a.term_changes();
    soon("the news", terms.wait_for(|now| *now == term(4, "c", &["a"]))).await.unwrap();
}

#[tokio::test]
async fn a_candidacy_that_is_dropped_is_withdrawn_and_one_that_is_forgotten_is_not() {
    let (cluster, election) = one().await;
    let client = cluster.client().await;
    let theirs = client.default_group().await.unwrap().election("boss");
    theirs.enter("a").await.unwrap().forget();
    drop(theirs.enter("b").await.unwrap());
    until("b is out", async || (election.get().await.unwrap() == term(1, "a", &[])).then_some(())).await;
    client.close().await;
    assert_eq!(election.get().await.unwrap(), term(1, "", &[]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_given_up_leaves_nobody_behind() {
    let (_cluster, election) = one().await;
    for turn in 0..100_u32 {
        let attempt = tokio::spawn({
            let election = election.clone();
            async move { drop(election.enter(format!("candidate-{turn}")).await) }
        });
        for _ in 0..turn {
            tokio::task::yield_now().await;
        }
        attempt.abort();
    }
    until("nobody is left", async || election.get().await.unwrap().leader.is_none().then_some(())).await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_leading_before_another_begins() {
    let cluster = Cluster::new(Shape { nodes: 1, proxies: true, ..Shape::default() }).await;
    let client = cluster.builder().session_timeout(Duration::from_secs(1)).build().await.unwrap();
    let a = client.default_group().await.unwrap().election("boss").enter("a").await.unwrap();
    assert!(a.is_leader());
    let b = cluster.direct_group().await.election("boss").enter("b").await.unwrap();
    cluster.proxies().for_each(Proxy::hold_back);
    let one_follows = async {
        let fence = b.wait_until_leader().await.unwrap();
        assert!(!a.is_leader(), "two lead at one time");
        fence
    };
    let (fence, loss) = soon("leadership", futures::future::join(one_follows, a.lost())).await;
    assert_eq!((fence, loss), (Fence(2), Loss::Unconfirmed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_survive_the_loss_of_a_node() {
    let (mut cluster, group) = Cluster::with_group(Shape::default()).await;
    let election = group.election("boss");
    let a = election.enter("a").await.unwrap();
    let b = election.enter("b").await.unwrap();
    let leader = cluster.leader(0).await;
    cluster.kill(leader).await;
    assert_eq!(soon("an answer", election.get()).await.unwrap(), term(1, "a", &["b"]));
    soon("the withdrawal", a.withdraw()).await.unwrap();
    assert_eq!(soon("leadership", b.wait_until_leader()).await.unwrap(), Fence(2));
}
