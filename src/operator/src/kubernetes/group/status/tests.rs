//! What is said of a group.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting, ContainerStatus, Pod, PodStatus};
use kube::api::ObjectMeta;
use synod_api::manifest::{self, Object};
use synod_types::{Limits, LogIndex, MemberId, PartitionId, Term};

use super::*;
use crate::kubernetes::group::dereference::Place;
use crate::membership::{Genesis, Member, Node, Observation, Replica, Role, Running};

fn scope() -> Scope {
    Scope { namespace: "default".into(), name: "sample".into(), uid: "uid".into() }
}

fn group(spec: &str) -> PartitionGroup {
    let text = format!(
        "apiVersion: synod.dev/v1alpha1\nkind: PartitionGroup\nmetadata: {{name: sample}}\nspec: {spec}\n"
    );
    let manifest = manifest::read("test", text.as_bytes()).unwrap().pop().unwrap();
    let Object::PartitionGroup(mut group) = manifest.object else { panic!("not a group") };
    group.metadata.generation = Some(4);
    *group
}

/// One partition of three voters, of which these answer; the first of them leads, if `led`.
fn seen(answer: &[u32], led: bool, lag: u64) -> Seen {
    let commit = 100_000;
    let name = |ordinal| scope().node(PartitionId(0), ordinal);
    let members: Vec<_> = (0..3_u32)
        .map(|ordinal| Member {
            id: MemberId(u64::from(ordinal) + 1),
            node: name(ordinal),
            client_address: format!("host-{ordinal}:5678"),
            votes: true,
            matched: LogIndex(commit - lag),
            active: true,
        })
        .collect();
    let running = |ordinal: u32| Running {
        member: MemberId(u64::from(ordinal) + 1),
        role: if led && answer.first() == Some(&ordinal) { Role::Leader } else { Role::Follower },
        term: Term(7),
        applied: LogIndex(commit - lag),
        commit: LogIndex(commit),
        members: members.clone(),
        ..Running::default()
    };
    let node = |ordinal: u32| Node {
        name: name(ordinal),
        peer_address: String::new(),
        client_address: format!("host-{ordinal}:5678"),
        desired: true,
        replica: if answer.contains(&ordinal) {
            Replica::Running(running(ordinal))
        } else {
            Replica::Unreachable
        },
    };
    Seen { observation: Observation { nodes: (0..3).map(node).collect() }, ..Seen::default() }
}

fn found(has_begun: bool) -> Found {
    let genesis = Genesis::new(Vec::new(), 1, &Limits::default(), 1_700_000_000_123).unwrap();
    let place = |ordinal| Place { ordinal, pod: None, claim: None, desired: true, complaint: None };
    Found {
        id: PartitionId(0),
        set: None,
        places: (0..3).map(place).collect(),
        genesis: Ok(has_begun.then_some(genesis)),
    }
}

fn plan(step: Step, roll: Roll) -> Plan {
    Plan { step, roll, pods: 3 }
}

fn status_of(group: &PartitionGroup, found: &Found, seen: &Seen, plan: &Plan) -> PartitionGroupStatus {
    status_of_all(group, std::slice::from_ref(found), std::slice::from_ref(seen), std::slice::from_ref(plan))
}

fn status_of_all(
    group: &PartitionGroup,
    found: &[Found],
    seen: &[Seen],
    plans: &[Plan],
) -> PartitionGroupStatus {
    let report = Report {
        scope: &scope(),
        group,
        found,
        seen,
        plans,
        certificates: &certificates(),
        rejected: None,
        refused: None,
        now: Timestamp::from_second(1_800_000_000).unwrap(),
    };
    report.status()
}

fn certificates() -> Certificates {
    Certificates { ca_pem: Some("CA".into()), ..Certificates::default() }
}

/// The answer to a question and the reason for it, as in "False NoLeader".
fn answer(status: &PartitionGroupStatus, question: &str) -> String {
    let found = status.conditions.iter().find(|condition| condition.type_ == question).unwrap();
    format!("{} {}", found.status, found.reason)
}

fn message(status: &PartitionGroupStatus, question: &str) -> String {
    status.conditions.iter().find(|condition| condition.type_ == question).unwrap().message.clone()
}

#[test]
fn a_group_that_is_as_declared_says_so_and_nothing_else() {
    let group = group("{partitions: 1}");
    let (found, seen) = (found(true), seen(&[0, 1, 2], true, 0));
    let quiet = plan(Step::Nothing, Roll::Nothing);
    let status = status_of(&group, &found, &seen, &quiet);
    assert_eq!(answer(&status, "Ready"), "True AsDeclared");
    for question in ["Progressing", "Degraded", "QuorumLost", "SpecRejected", "Paused"] {
        assert_eq!(answer(&status, question), "False AsDeclared");
    }
    assert_eq!((status.observed_generation, status.replicas, status.ready_members), (Some(4), 3, 3));
    assert_eq!(status.summary.members, "3/3");
    let partition = &status.partitions[0];
    assert_eq!((partition.phase, partition.leader.as_deref()), (PartitionPhase::Serving, Some("1")));
    assert_eq!(partition.members[1].node, "sample-p0-1");
    assert_eq!(partition.members[1].endpoint.as_deref(), Some("host-1:5678"));
    assert_eq!(partition.bootstrapped_at.as_ref().unwrap().0.as_second(), 1_700_000_000);
    let mut later = group.clone();
    later.status = Some(status.clone());
    let same_lag = status_of(&later, &found, &super::tests::seen(&[0, 1, 2], true, 900), &quiet);
    assert_eq!(same_lag, status, "what changes under load is no reason to write");
    assert!(news(Some(&status), &same_lag).is_empty());
}

#[test]
fn each_trouble_has_its_name() {
    let wait = || plan(Step::Wait("waiting".into()), Roll::Nothing);
    let cases = [
        (
            seen(&[], false, 0),
            false,
            wait(),
            PartitionPhase::Pending,
            "False Bootstrapping",
            "False AsDeclared",
        ),
        (
            seen(&[0, 1], true, 0),
            true,
            wait(),
            PartitionPhase::Serving,
            "False MembersMissing",
            "False AsDeclared",
        ),
        (
            seen(&[0, 1], true, 0),
            true,
            plan(Step::Nothing, Roll::Wait("x".into())),
            PartitionPhase::Serving,
            "False Rolling",
            "False AsDeclared",
        ),
        (
            seen(&[1, 2], false, 0),
            true,
            wait(),
            PartitionPhase::Electing,
            "False NoLeader",
            "False AsDeclared",
        ),
        (seen(&[2], false, 0), true, wait(), PartitionPhase::QuorumLost, "False NoQuorum", "True NoQuorum"),
        (seen(&[], false, 0), true, wait(), PartitionPhase::QuorumLost, "False NoQuorum", "True NoQuorum"),
        (
            seen(&[2], false, 0),
            true,
            plan(Step::Stuck { problem: "lost".into(), next: "recover".into() }, Roll::Nothing),
            PartitionPhase::QuorumLost,
            "False MajorityLost",
            "True MajorityLost",
        ),
    ];
    for (seen, has_begun, plan, phase, ready, quorum_lost) in cases {
        let mut group = group("{partitions: 1}");
        if has_begun {
            let serving = super::tests::seen(&[0, 1, 2], true, 0);
            let quiet = super::tests::plan(Step::Nothing, Roll::Nothing);
            group.status = Some(status_of(&group, &found(true), &serving, &quiet));
        }
        let status = status_of(&group, &found(has_begun), &seen, &plan);
        assert_eq!(status.partitions[0].phase, phase);
        assert_eq!(answer(&status, "Ready"), ready, "{phase:?}");
        assert_eq!(answer(&status, "QuorumLost"), quorum_lost, "{phase:?}");
    }
}

#[test]
fn a_partition_that_begins_has_not_lost_anything() {
    let group = group("{partitions: 1}");
    let status = status_of(&group, &found(true), &seen(&[], false, 0), &plan(Step::Nothing, Roll::Nothing));
    assert_eq!(status.partitions[0].phase, PartitionPhase::Bootstrapping);
    assert_eq!(answer(&status, "QuorumLost"), "False AsDeclared");
    assert_eq!(answer(&status, "Progressing"), "True Bootstrapping");
}

#[test]
fn the_message_tells_what_the_cluster_says_of_a_pod() {
    let waiting = ContainerStateWaiting {
        reason: Some("ImagePullBackOff".into()),
        message: Some("no such image: mine:2".into()),
    };
    let container = ContainerStatus {
        state: Some(ContainerState { waiting: Some(waiting), ..ContainerState::default() }),
        ..ContainerStatus::default()
    };
    let pod = Pod {
        metadata: ObjectMeta { name: Some("sample-p0-2".into()), ..ObjectMeta::default() },
        status: Some(PodStatus { container_statuses: Some(vec![container]), ..PodStatus::default() }),
        ..Pod::default()
    };
    let mut found = found(true);
    found.places[2].pod = Some(std::sync::Arc::new(pod));
    let wait = plan(Step::Wait("sample-p0-2 does not answer".into()), Roll::Nothing);
    let status = status_of(&group("{partitions: 1}"), &found, &seen(&[0, 1], true, 0), &wait);
    let expected = "sample-p0-2: ImagePullBackOff: no such image: mine:2";
    assert_eq!(status.partitions[0].members[2].message.as_deref(), Some(expected));
    assert!(message(&status, "Ready").starts_with(expected), "{}", message(&status, "Ready"));
    assert_eq!(answer(&status, "Ready"), "False PodsBlocked", "a reason of its own, so that an event tells");
}

#[test]
fn what_is_refused_or_paused_shows_while_the_group_serves() {
    let group = group("{partitions: 1, paused: true}");
    let (found, seen) = (found(true), seen(&[0, 1, 2], true, 0));
    let quiet = plan(Step::Nothing, Roll::Nothing);
    let report = Report {
        scope: &scope(),
        group: &group,
        found: std::slice::from_ref(&found),
        seen: std::slice::from_ref(&seen),
        plans: std::slice::from_ref(&quiet),
        certificates: &certificates(),
        rejected: Some("spec.replicas: use 3".into()),
        refused: Some("Service \"sample\" exists".into()),
        now: Timestamp::from_second(1_800_000_000).unwrap(),
    };
    let status = report.status();
    assert_eq!(answer(&status, "Ready"), "True AsDeclared");
    assert_eq!(answer(&status, "SpecRejected"), "True InvalidSpec");
    assert_eq!(answer(&status, "Degraded"), "True CannotWrite");
    assert_eq!(answer(&status, "Paused"), "True PausedBySpec");
    let told: Vec<_> = news(None, &status).into_iter().map(|condition| condition.type_).collect();
    assert_eq!(told, ["Ready", "Degraded", "CertificatesReady", "SpecRejected", "Paused"]);
}

#[test]
fn certificates_that_are_not_fit_are_said_with_what_to_do() {
    let (found, seen, quiet) = (found(true), seen(&[0, 1, 2], true, 0), plan(Step::Nothing, Roll::Nothing));
    let answers = |text: &str, certificates: Certificates| {
        let group = group(text);
        let report = Report {
            scope: &scope(),
            group: &group,
            found: std::slice::from_ref(&found),
            seen: std::slice::from_ref(&seen),
            plans: std::slice::from_ref(&quiet),
            certificates: &certificates,
            rejected: None,
            refused: None,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
        };
        let status = report.status();
        let said = status.conditions.iter().find(|said| said.type_ == "CertificatesReady").unwrap().clone();
        (answer(&status, "CertificatesReady"), answer(&status, "Ready"), said.message, status.ca_pem)
    };
    let (certified, ready, _, ca_pem) = answers("{partitions: 1}", certificates());
    assert_eq!((certified.as_str(), ready.as_str()), ("True AsDeclared", "True AsDeclared"));
    assert_eq!(ca_pem.as_deref(), Some("CA"));

    let expired = || Certificates { problem: Some("Secret \"a\": renew it".into()), ..certificates() };
    let (certified, ready, message, _) = answers("{partitions: 1}", expired());
    assert_eq!((certified.as_str(), ready.as_str()), ("False CertificateRefused", "True AsDeclared"));
    assert_eq!(message, "Secret \"a\": renew it; the last fit one serves on");

    let none = Certificates { uncertified: [PartitionId(0)].into(), ca_pem: None, ..expired() };
    let (certified, ready, message, _) = answers("{partitions: 1}", none);
    assert_eq!(
        (certified.as_str(), ready.as_str()),
        ("False CertificateRefused", "False CertificateRefused")
    );
    assert_eq!(message, "Secret \"a\": renew it");

    let plain = "{partitions: 1, security: {tls: {type: PlainText}}}";
    assert_eq!(answers(plain, Certificates::default()).0, "True PlainText");
}

#[test]
fn who_a_partition_has_gone_on_with_is_told_once_and_kept() {
    let (found, quiet) = (found(true), plan(Step::Nothing, Roll::Nothing));
    let recovery = "{partition: 0, survivor: \"3\", acceptDataLoss: AcknowledgedWritesMayBeLost}";
    let mut group = group(&format!("{{partitions: 1, recovery: [{recovery}]}}"));
    group.status = Some(status_of(&group, &found, &seen(&[0, 1, 2], true, 0), &quiet));
    let lost =
        status_of(&group, &found, &seen(&[2], false, 0), &plan(Step::Wait("why".into()), Roll::Nothing));
    assert_eq!(lost.partitions[0].recovered_from, None);
    assert!(message(&lost, "QuorumLost").contains("why"));

    // It has gone on, and nobody leads yet.
    let mut alone = seen(&[2], false, 0);
    let Replica::Running(running) = &mut alone.observation.nodes[2].replica else { panic!("it runs") };
    running.member = MemberId(77);
    running.members.retain(|member| member.id == MemberId(3));
    running.members[0].id = MemberId(77);
    group.status = Some(lost);
    let done = status_of(&group, &found, &alone, &quiet);
    assert_eq!(done.partitions[0].recovered_from.as_deref(), Some("3"));
    assert_eq!(recovered(group.status.as_ref(), &done), [(0, "3".to_owned())]);

    group.spec.recovery.clear();
    group.status = Some(done.clone());
    let later = status_of(&group, &found, &alone, &quiet);
    assert_eq!(later.partitions[0].recovered_from.as_deref(), Some("3"));
    assert_eq!(recovered(Some(&done), &later), []);
}

#[test]
fn who_is_replaced_while_the_spec_names_him_has_not_been_gone_on_with() {
    let (found, quiet) = (found(true), plan(Step::Nothing, Roll::Nothing));
    let recovery = "{partition: 0, survivor: \"3\", acceptDataLoss: AcknowledgedWritesMayBeLost}";
    let mut group = group(&format!("{{partitions: 1, recovery: [{recovery}]}}"));
    group.status = Some(status_of(&group, &found, &seen(&[0, 1, 2], true, 0), &quiet));
    let mut replaced = seen(&[0, 1, 2], true, 0);
    for node in &mut replaced.observation.nodes {
        let Replica::Running(running) = &mut node.replica else { panic!("it runs") };
        running.members[2].id = MemberId(77);
    }
    let status = status_of(&group, &found, &replaced, &quiet);
    assert_eq!(status.partitions[0].recovered_from, None);
}

#[test]
fn what_to_do_about_members_that_stopped_is_said_once_and_whole() {
    let problem = format!("the disk failed: sync of \"{}\": Input/output error", "deep/".repeat(60));
    let failed = &Replica::Failed { member: Some(MemberId(1)), problem: problem.clone() };
    let stalled = &Replica::Stalled { member: Some(MemberId(1)), problem: problem.clone() };
    let stopped = |replica: &Replica, stopped: &[usize], seen: Seen| {
        let mut seen = seen;
        stopped.iter().for_each(|ordinal| seen.observation.nodes[*ordinal].replica = replica.clone());
        seen
    };
    let cases = [
        (1, &[2][..], failed, "Degraded", "let it start without the data of this partition"),
        (1, &[1, 2], failed, "QuorumLost", "delete the group and create it again, empty"),
        (1, &[0, 1, 2], failed, "QuorumLost", "delete the group and create it again, empty"),
        (8, &[0, 1, 2], failed, "QuorumLost", "delete the group and create it again, empty"),
        (8, &[2], stalled, "Degraded", "raise spec.storage.size"),
        (1, &[1, 2], stalled, "QuorumLost", "raise spec.storage.size"),
    ];
    for (partitions, which, replica, question, advice) in cases {
        let answer: Vec<_> = (0..3).filter(|ordinal| !which.contains(&(*ordinal as usize))).collect();
        let ids = || (0..partitions).map(PartitionId);
        let founds: Vec<_> = ids().map(|id| Found { id, ..found(true) }).collect();
        let statuses = |group: &PartitionGroup, one: &dyn Fn() -> Seen| {
            let all: Vec<_> = ids().map(|_| one()).collect();
            let genesis = founds[0].genesis.as_ref().unwrap().as_ref();
            let step = |seen: &Seen| crate::membership::plan(&seen.observation, genesis);
            let plans: Vec<_> = all.iter().map(|seen| plan(step(seen), Roll::Nothing)).collect();
            status_of_all(group, &founds, &all, &plans)
        };
        let mut group = group(&format!("{{partitions: {partitions}}}"));
        group.status = Some(statuses(&group, &|| seen(&[0, 1, 2], true, 0)));
        let status = statuses(&group, &|| stopped(replica, which, seen(&answer, answer.len() > 1, 0)));
        let said = message(&status, question);
        assert!(said.len() <= 1_000, "{} bytes: {said}", said.len());
        assert_eq!(said.matches(advice).count(), 1, "{said}");
    }
}

#[test]
fn a_member_that_cannot_receive_a_snapshot_is_told_of_with_what_helps() {
    let why = "a snapshot could not be received: the disk is full";
    let behind = |replica: &mut Replica| {
        let Replica::Running(running) = replica else { panic!("it runs") };
        running.problem = why.to_owned();
    };
    let newcomer = |replica: &mut Replica| {
        let Replica::Running(running) = replica else { panic!("it runs") };
        *replica = Replica::Waiting { member: running.member, problem: why.to_owned() };
    };
    for ails in [&behind as &dyn Fn(&mut Replica), &newcomer] {
        let (found, mut seen) = (found(true), seen(&[0, 1, 2], true, 5_000));
        ails(&mut seen.observation.nodes[1].replica);
        let wait = plan(Step::Wait("it catches up".into()), Roll::Nothing);
        let status = status_of(&group("{partitions: 1}"), &found, &seen, &wait);
        assert_eq!(answer(&status, "Ready"), "False SnapshotsFailed");
        assert_eq!(answer(&status, "Degraded"), "True SnapshotsFailed");
        let said = message(&status, "Degraded");
        assert!(said.contains(&format!("sample-p0-1: {why}: it tries again until it can")), "{said}");
        assert!(said.contains("raise spec.storage.size"), "{said}");
        let member = &status.partitions[0].members[1];
        assert_eq!((member.ready, member.message.as_deref()), (false, Some(why)));
    }
}

#[test]
fn a_member_that_cannot_save_a_snapshot_serves_and_is_told_of() {
    let (found, mut seen) = (found(true), seen(&[0, 1, 2], true, 0));
    let Replica::Running(running) = &mut seen.observation.nodes[1].replica else { panic!("it runs") };
    running.problem = "the snapshot could not be saved: the disk is full".into();
    let quiet = plan(Step::Nothing, Roll::Nothing);
    let status = status_of(&group("{partitions: 1}"), &found, &seen, &quiet);
    assert_eq!(answer(&status, "Ready"), "True AsDeclared");
    assert_eq!(answer(&status, "Degraded"), "True SnapshotsFailed");
    let said = message(&status, "Degraded");
    assert!(said.contains("sample-p0-1: the snapshot could not be saved"), "{said}");
    assert!(said.ends_with("or make room on the volume"), "{said}");
    let member = &status.partitions[0].members[1];
    assert_eq!(
        (member.ready, member.message.as_deref()),
        (true, Some("the snapshot could not be saved: the disk is full"))
    );
}
