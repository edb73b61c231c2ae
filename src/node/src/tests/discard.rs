//! A member that was taken out makes room for another one in its place.

use synod_proto::admin::v1::{AddLearnerRequest, DiscardRequest, Phase, RemoveRequest};
use synod_types::ErrorCode;

use super::{Cluster, GROUP, code};

#[tokio::test]
async fn a_member_that_was_taken_out_is_discarded_and_its_place_used_again() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    let taken_out = cluster.replica(follower).await.member_id;
    let mut admin = cluster.admin(leader).await;
    let remove = RemoveRequest { group: GROUP.into(), partition: 0, member_id: taken_out };
    admin.remove(remove).await.unwrap();

    let discard = |member_id| DiscardRequest { group: GROUP.into(), partition: 0, member_id };
    let mut there = cluster.admin(follower).await;
    let refused = there.discard(discard(taken_out + 1)).await.unwrap_err();
    assert_eq!(code(&refused), ErrorCode::Conflict, "another member is never discarded by mistake");
    there.discard(discard(taken_out)).await.unwrap();
    let blank = cluster.until(follower, "blank", |replica| replica.phase == Phase::Blank as i32).await;
    assert_eq!(blank.member_id, 0);
    there.discard(discard(taken_out)).await.unwrap();

    let member = cluster.prepare(follower, 0).await;
    assert_ne!(member.id, taken_out);
    let learner = AddLearnerRequest { group: GROUP.into(), partition: 0, member: Some(member.clone()) };
    admin.add_learner(learner).await.unwrap();
    let joined =
        cluster.until(follower, "has a snapshot", |replica| replica.phase == Phase::Running as i32).await;
    assert_eq!(joined.member_id, member.id);
}
