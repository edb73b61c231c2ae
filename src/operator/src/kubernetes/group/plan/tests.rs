//! Which pod is replaced when, and how many there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use kube::api::ObjectMeta;
use serde_json::json;
use synod_types::{Limits, LogIndex, MemberId, PartitionId, Term};

use super::*;
use crate::membership::{Member, Node, Role, Running};

fn scope() -> Scope {
    Scope { namespace: "default".into(), name: "sample".into(), uid: "uid".into() }
}

fn node(ordinal: u32) -> String {
    scope().node(PartitionId(0), ordinal)
}

/// Voters with these lags, of which `leader` leads; without a lag it does not answer.
fn observation(lags: &[Option<u64>], leader: u32) -> Observation {
    let commit = 10_000;
    let members: Vec<_> = (0..)
        .zip(lags)
        .map(|(ordinal, lag)| Member {
            id: MemberId(u64::from(ordinal) + 1),
            node: node(ordinal),
            client_address: String::new(),
            votes: true,
            matched: LogIndex(commit - lag.unwrap_or(commit)),
            active: lag.is_some(),
        })
        .collect();
    let running = |member: &Member| Running {
        member: member.id,
        role: if member.node == node(leader) { Role::Leader } else { Role::Follower },
        term: Term(1),
        commit: LogIndex(commit),
        applied: member.matched,
        members: members.clone(),
        ..Running::default()
    };
    let seen = |(member, lag): (&Member, &Option<u64>)| Node {
        name: member.node.clone(),
        peer_address: String::new(),
        client_address: String::new(),
        desired: true,
        replica: lag.map_or(Replica::Unreachable, |_| Replica::Running(running(member))),
    };
    Observation { nodes: members.iter().zip(lags).map(seen).collect() }
}

/// Pods, one a letter: `n` new, `o` outdated, upper case while it is not ready, `-` gone.
fn pods(letters: &str) -> Vec<PodState> {
    let pod = |(ordinal, letter): (u32, char)| PodState {
        ordinal,
        node: node(ordinal),
        is_there: letter != '-',
        is_ready: letter.is_ascii_lowercase(),
        is_outdated: letter.eq_ignore_ascii_case(&'o'),
    };
    (0..).zip(letters.chars()).map(pod).collect()
}

const CAUGHT_UP: [Option<u64>; 3] = [Some(0), Some(0), Some(0)];

fn replaced(roll: &Roll) -> Option<u32> {
    match roll {
        Roll::Replace { ordinal, .. } => Some(*ordinal),
        _ => None,
    }
}

#[test]
fn followers_go_first_and_the_leader_last() {
    let behind = [Some(0), Some(7), Some(0)];
    let roll = |lags: &[Option<u64>], leader, letters| {
        plan_roll(&observation(lags, leader), &Step::Nothing, &pods(letters))
    };
    assert_eq!(roll(&CAUGHT_UP, 0, "nnn"), Roll::Nothing);
    assert_eq!(replaced(&roll(&behind, 0, "ooo")), Some(1), "who is furthest behind");
    assert_eq!(replaced(&roll(&CAUGHT_UP, 0, "ono")), Some(2), "not the leader");
    let Roll::HandOver { action, .. } = roll(&CAUGHT_UP, 0, "onn") else { panic!("the leader hands over") };
    let Action::TransferLeadership { leader, to } = *action else { panic!("{action:?}") };
    assert_eq!((leader, to), (node(0), MemberId(3)));
    let waits = roll(&CAUGHT_UP, 2, "nNo");
    assert!(matches!(waits, Roll::Wait(_)), "one that is not ready yet comes before the leader: {waits:?}");
}

#[test]
fn nothing_is_replaced_while_another_is_out() {
    let wait = |lags: &[Option<u64>], step: Step, letters| {
        let roll = plan_roll(&observation(lags, 0), &step, &pods(letters));
        assert!(matches!(roll, Roll::Wait(_)), "{letters}: {roll:?}");
    };
    wait(&CAUGHT_UP, Step::Nothing, "o-o");
    wait(&CAUGHT_UP, Step::Nothing, "oNo");
    wait(&CAUGHT_UP, Step::Wait("a member is missing".into()), "onn");
    wait(&[Some(0), Some(0), None], Step::Nothing, "oon");
    wait(&[Some(0), Some(0), Some(5_000)], Step::Nothing, "oon");
}

#[test]
fn a_pod_that_does_not_run_is_replaced_at_once() {
    let broken = Step::Wait("no majority".into());
    let roll = |lags: &[Option<u64>], letters| plan_roll(&observation(lags, 0), &broken, &pods(letters));
    assert_eq!(replaced(&roll(&[Some(0), None, Some(0)], "nOn")), Some(1));
    assert_eq!(replaced(&roll(&[None, None, None], "OOO")), Some(0), "also if nobody leads");
    assert_eq!(replaced(&roll(&[Some(0), None, Some(0)], "non")), None, "the cluster finds that it runs");
    assert_eq!(replaced(&roll(&CAUGHT_UP, "nOn")), None, "it runs, and is only not ready");
    assert_eq!(replaced(&roll(&[None, None, None], "-OO")), None, "one at a time");
}

fn found(places: &[(bool, Option<Pod>)], genesis: Option<Genesis>) -> Found {
    let place = |(ordinal, (desired, pod)): (u32, &(bool, Option<Pod>))| Place {
        ordinal,
        pod: pod.clone().map(Arc::new),
        claim: None,
        desired: *desired,
        complaint: None,
    };
    let set = StatefulSet {
        metadata: ObjectMeta { generation: Some(4), ..ObjectMeta::default() },
        status: Some(StatefulSetStatus {
            observed_generation: Some(4),
            update_revision: Some("new".into()),
            ..StatefulSetStatus::default()
        }),
        ..StatefulSet::default()
    };
    Found {
        id: PartitionId(0),
        set: Some(Arc::new(set)),
        places: (0..).zip(places).map(place).collect(),
        genesis: Ok(genesis),
    }
}

fn pod(revision: &str) -> Pod {
    let ready = PodCondition { type_: "Ready".into(), status: "True".into(), ..PodCondition::default() };
    Pod {
        metadata: ObjectMeta {
            labels: Some(BTreeMap::from([(REVISION.to_owned(), revision.to_owned())])),
            ..ObjectMeta::default()
        },
        status: Some(PodStatus { conditions: Some(vec![ready]), ..PodStatus::default() }),
        ..Pod::default()
    }
}

#[test]
fn a_pod_is_outdated_when_its_set_says_so_and_knows() {
    let mut found = found(&[(true, Some(pod("old"))), (true, Some(pod("new"))), (true, None)], None);
    let states: Vec<_> = found.places.iter().map(|place| pod_state(&scope(), &found, place)).collect();
    let outdated: Vec<_> = states.iter().map(|state| state.is_outdated).collect();
    assert_eq!(outdated, [true, false, false]);
    assert_eq!(states.iter().map(|state| state.is_there).collect::<Vec<_>>(), [true, true, false]);
    let set = Arc::make_mut(found.set.as_mut().unwrap());
    set.metadata.generation = Some(5);
    let state = pod_state(&scope(), &found, &found.places[0]);
    assert!(!state.is_outdated, "the set has not looked at the newest template yet");
}

#[test]
fn pods_go_from_the_last_once_nobody_counts_on_them() {
    let new = || Some(pod("new"));
    let genesis = Genesis::new(Vec::new(), 1, &Limits::default(), 1).unwrap();
    let places = [(true, new()), (true, new()), (true, new()), (false, new()), (false, new())];
    let pods = |lags: &[Option<u64>]| {
        let asked = Asked { bootstrapped: true, ..Asked::default() };
        plan(&scope(), &found(&places, Some(genesis.clone())), &observation(lags, 0), asked).pods
    };
    assert_eq!(pods(&[Some(0); 5]), 5, "all are members");
    assert_eq!(pods(&[Some(0); 4]), 4, "the last is none any more");
    assert_eq!(pods(&[Some(0); 3]), 3);
    assert_eq!(pods(&[None; 5]), 5, "nothing is known");
}

#[test]
fn a_partition_that_began_once_never_begins_again() {
    let waiting = |ordinal| Node {
        name: node(ordinal),
        peer_address: String::new(),
        client_address: String::new(),
        desired: true,
        replica: Replica::Waiting { member: MemberId(u64::from(ordinal) + 7), problem: String::new() },
    };
    let observation = Observation { nodes: (0..3).map(waiting).collect() };
    let places = [(true, Some(pod("new"))), (true, Some(pod("new"))), (true, Some(pod("new")))];
    let step = |bootstrapped| {
        let asked = Asked { bootstrapped, ..Asked::default() };
        plan(&scope(), &found(&places, None), &observation, asked).step
    };
    assert!(matches!(step(false), Step::Begin { .. }));
    assert!(matches!(step(true), Step::Stuck { .. }), "its data was there and is gone");
}

/// The pod of a place, if it has one, is on a machine; the claim has this phase.
fn place(ordinal: u32, on_a_machine: Option<bool>, claim: Option<&str>) -> Place {
    let pod = |is_on: bool| {
        let node = is_on.then_some("m");
        serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [], "nodeName": node}})).unwrap()
    };
    let claim = claim
        .map(|phase| serde_json::from_value(json!({"metadata": {}, "status": {"phase": phase}})).unwrap());
    Place {
        ordinal,
        pod: on_a_machine.map(pod).map(Arc::new),
        claim: claim.map(Arc::new),
        desired: true,
        complaint: None,
    }
}

#[test]
fn a_place_is_empty_when_no_pod_ever_ran_on_its_volume() {
    for (on_a_machine, claim, expected) in [
        (None, None, true),
        (Some(false), None, true),
        (Some(false), Some("Pending"), true),
        (Some(false), Some("Bound"), false),
        (None, Some("Bound"), false),
        (None, Some("Lost"), false),
        (Some(true), None, false),
        (Some(true), Some("Pending"), false),
    ] {
        let place = place(0, on_a_machine, claim);
        assert_eq!(place.is_empty(), expected, "{on_a_machine:?}, {claim:?}");
    }
}

#[test]
fn a_majority_is_given_up_only_if_the_spec_names_who_goes_on() {
    let genesis = Genesis::new(Vec::new(), 1, &Limits::default(), 1).unwrap();
    let step = |replicas: [Option<Replica>; 2], claims: &str, survivor: Option<u64>| {
        let mut observation = observation(&[None, None, Some(0)], 9);
        for (node, replica) in observation.nodes.iter_mut().zip(replicas) {
            node.replica = replica.unwrap_or(Replica::Unreachable);
        }
        let mut found = found(&[], Some(genesis.clone()));
        found.places = (0..3).map(|ordinal| place(ordinal, None, Some(claims))).collect();
        plan(&scope(), &found, &observation, Asked { survivor: survivor.map(MemberId), ..Asked::default() })
            .step
    };
    let blank = || [Some(Replica::Blank), Some(Replica::Blank)];
    let Step::Stuck { problem, next } = step(blank(), "Bound", None) else { panic!("nobody was asked") };
    assert!(problem.contains("survivor \"3\" on "), "{problem}");
    assert!(
        next.contains(
            "spec.recovery with the partition, its survivor and acceptDataLoss: AcknowledgedWritesMayBeLost"
        ),
        "{next}"
    );
    let goes_on =
        |step| matches!(step, Step::Act { action: Action::Recover { member: MemberId(3), .. }, .. });
    assert!(goes_on(step(blank(), "Bound", Some(3))));
    assert!(goes_on(step([None, None], "Pending", Some(3))), "the others never had a volume");
    assert!(!goes_on(step([None, None], "Bound", Some(3))), "the others may come back");
    assert!(!goes_on(step(blank(), "Bound", Some(2))), "who is named is gone");
    assert!(matches!(step([None, None], "Bound", None), Step::Wait(_)));
}
