//! What a spec means and what a status adds up to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::*;

fn member(id: u64, role: MemberRole, ready: bool) -> MemberStatus {
    MemberStatus {
        id: id.to_string(),
        node: format!("sample-with-a-rather-long-name-of-40chars-p1023-{}", id % 10),
        role,
        ready,
        lag: 123_456,
        version: Some("0.1.0".to_owned()),
        endpoint: Some("sample-with-a-rather-long-name-of-40chars-p1023-0.sample-with-a-rather-long-name-of-40chars-p1023-peers.namespace.svc:5678".to_owned()),
        message: None,
    }
}

fn partition(id: u32, phase: PartitionPhase, members: Vec<MemberStatus>) -> PartitionStatus {
    PartitionStatus {
        id,
        phase,
        leader: members.first().map(|member| member.id.clone()),
        term: 42,
        members,
        bootstrapped_at: Some(Time(Timestamp::UNIX_EPOCH)),
        recovered_from: None,
    }
}

#[test]
fn the_totals_of_a_status_are_those_of_its_partitions() {
    use MemberRole::{Follower, Leader, Unknown};
    let mut status = PartitionGroupStatus {
        partitions: vec![
            partition(
                0,
                PartitionPhase::Serving,
                vec![member(1, Leader, true), member(2, Follower, true), member(3, Unknown, false)],
            ),
            partition(1, PartitionPhase::Electing, vec![member(4, Follower, true)]),
        ],
        ..PartitionGroupStatus::default()
    };
    status.count(3);
    assert_eq!(
        (status.ready_partitions, status.ready_members, status.members, status.replicas),
        (1, 3, 4, 1)
    );
    assert_eq!((status.summary.partitions.as_str(), status.summary.members.as_str()), ("1/3", "3/4"));
    status.partitions.clear();
    status.count(3);
    assert_eq!((status.members, status.replicas, status.summary.partitions.as_str()), (0, 0, "0/3"));
}

/// etcd refuses objects of more than 1.5 MiB.
#[test]
fn the_status_of_the_largest_group_fits_an_object() {
    for replicas in [3, REPLICAS_MAX] {
        let partitions = (MEMBERS_MAX / replicas).min(PARTITIONS_MAX);
        let members =
            || (0..replicas).map(|n| member(u64::MAX - u64::from(n), MemberRole::Follower, true)).collect();
        let status = PartitionGroupStatus {
            partitions: (0..partitions).map(|id| partition(id, PartitionPhase::Serving, members())).collect(),
            ..PartitionGroupStatus::default()
        };
        let bytes = serde_json::to_vec(&status).unwrap().len();
        assert!(bytes < 1_400_000, "{partitions} partitions of {replicas}: {bytes} bytes");
    }
}

#[test]
fn limits_that_are_set_replace_the_defaults_one_by_one() {
    let spec = LimitsSpec { waiters: Some(7), history_bytes: Some(1_048_576), ..LimitsSpec::default() };
    let expected =
        synod_types::Limits { waiters: 7, history_bytes: 1_048_576, ..synod_types::Limits::default() };
    assert_eq!(spec.resolve(), expected);
}

#[test]
fn an_object_made_by_a_program_is_checked_like_one_from_a_file() {
    let spec = |partitions| {
        serde_json::from_value::<PartitionGroupSpec>(serde_json::json!({"partitions": partitions})).unwrap()
    };
    let old = PartitionGroup::new("sample", spec(3));
    assert_eq!(old.validate(), []);
    assert_eq!(old.validate_update(&old), []);
    let mut new = PartitionGroup::new("sample", spec(4));
    new.spec.replicas = 0;
    let problems = new.validate_update(&old);
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["spec.partitions", "spec.replicas"]);
    new.metadata.name = None;
    assert!(
        new.validate().iter().any(|problem| problem.to_string() == "metadata.name: required, but missing")
    );
}
