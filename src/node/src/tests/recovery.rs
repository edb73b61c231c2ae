//! A partition that has lost its majority for good goes on with the one member that is left.

use synod_proto::admin::v1::{
    AddLearnerRequest, Phase, PromoteRequest, RecoverRequest, RecoverResponse, Replica, Role,
};
use synod_types::ErrorCode;
use tonic::Status;

use super::{Cluster, GROUP, code, count, increment};

async fn recover(cluster: &Cluster, number: usize, member_id: u64) -> Result<RecoverResponse, Status> {
    let request = RecoverRequest { group: GROUP.into(), partition: 0, member_id };
    cluster.admin(number).await.recover(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn the_survivor_goes_on_and_the_others_stay_out() {
    let mut cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let (survivor, lost, wiped) = ((leader + 1) % 3, leader, (leader + 2) % 3);
    let mut counter = cluster.counter(leader).await;
    for _ in 0..5 {
        increment(&mut counter, "hits").await.unwrap();
    }
    let before = cluster.until(survivor, "has it all", |replica| replica.index >= 5).await;
    let was = before.member_id;
    let refused = recover(&cluster, survivor, was).await.unwrap_err();
    assert_eq!(code(&refused), ErrorCode::Conflict, "a partition with a leader: {refused}");

    cluster.stop(lost).await;
    cluster.stop(wiped).await;
    std::fs::remove_dir_all(cluster.dir.path().join(wiped.to_string())).unwrap();
    cluster.until(survivor, "misses its leader", |replica| replica.leader == 0).await;
    let refused = recover(&cluster, survivor, was + 1).await.unwrap_err();
    assert_eq!(code(&refused), ErrorCode::Conflict, "another member: {refused}");
    let is = recover(&cluster, survivor, was).await.unwrap().member_id;
    assert_ne!(is, was);

    let leads = cluster.until(survivor, "leads", |replica| replica.role == Role::Leader as i32).await;
    assert_eq!((leads.member_id, leads.members.len()), (is, 1));
    let mut counter = cluster.counter(survivor).await;
    assert_eq!(count(&mut counter, "hits").await, 5);
    assert_eq!(increment(&mut counter, "hits").await.unwrap(), 6);
    let index = cluster.replica(survivor).await.index;
    assert!(index > before.index + (1 << 30), "a command that is lost may have had {index}");
    let refused = recover(&cluster, survivor, is).await.unwrap_err();
    assert_eq!(code(&refused), ErrorCode::Conflict, "it leads: {refused}");

    // Who still has what he had finds nobody who knows him, and a blank one takes part again.
    cluster.start(lost).await;
    cluster.start(wiped).await;
    let member = cluster.prepare(wiped, 0).await;
    let mut admin = cluster.admin(survivor).await;
    let learner = AddLearnerRequest { group: GROUP.into(), partition: 0, member: Some(member.clone()) };
    admin.add_learner(learner).await.unwrap();
    cluster.until(wiped, "has a snapshot", |replica| replica.phase == Phase::Running as i32).await;
    let has_caught_up = |replica: &Replica| {
        let learner = replica.members.iter().find(|it| it.member.as_ref().unwrap().id == member.id);
        learner.is_some_and(|it| it.active && it.matched_log_index >= replica.commit_log_index)
    };
    cluster.until(survivor, "sees it caught up", has_caught_up).await;
    let promote = PromoteRequest { group: GROUP.into(), partition: 0, member_id: member.id };
    admin.promote(promote).await.unwrap();
    assert_eq!(increment(&mut counter, "hits").await.unwrap(), 7);
    let alone = cluster.replica(lost).await;
    assert_ne!(alone.role, Role::Leader as i32);
    assert!(alone.term < leads.term, "{} is not before {}", alone.term, leads.term);
    // Also after a restart it is who it became.
    cluster.stop(survivor).await;
    cluster.start(survivor).await;
    cluster.until(survivor, "runs again", |replica| replica.member_id == is && replica.leader != 0).await;
}
