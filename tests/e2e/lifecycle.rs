//! What becomes of members: pods that die, volumes that are lost, rolls, machines that are drained, groups that go and come.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use crate::kubectl::{Namespace, condition, is_ready, leader, members};
use crate::workload::under_load;
use crate::{SAMPLE, SMALL};

fn uids(namespace: &Namespace) -> BTreeSet<String> {
    let selector = ["get", "pods", "--selector=synod.dev/group", "--output=json"];
    let pods: Value = serde_json::from_str(&namespace.kubectl(&selector)).unwrap();
    let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    pods["items"].as_array().unwrap().iter().map(uid).collect()
}

#[test]
fn a_leader_that_is_killed_is_replaced_and_nothing_is_lost() {
    let namespace = Namespace::new("kill");
    namespace.apply(SAMPLE);
    namespace.wait_ready("sample", 60);
    let before = members(&namespace.get("partitiongroup/sample"), 0);
    under_load(&namespace, "killing a leader", 30, || {
        let pod = leader(&namespace.get("partitiongroup/sample"), 0).unwrap();
        namespace.kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
        namespace.wait("partitiongroup/sample", 20, |group| !is_ready(group));
        let back = namespace.wait_ready("sample", 60);
        println!("ready again after {:.1} s", back.as_secs_f64());
    });
    let after = members(&namespace.get("partitiongroup/sample"), 0);
    let ids = |members: &[(String, String)]| members.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after), "the members are the same, because their volumes are");
}

#[test]
fn a_member_that_loses_its_volume_is_replaced_by_another() {
    let namespace = Namespace::new("wipe");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    let before = members(&namespace.get("partitiongroup/small"), 0);
    under_load(&namespace, "wiping a volume", 30, || {
        namespace.kubectl(&["delete", "persistentvolumeclaim", "data-small-p0-1", "--wait=false"]);
        namespace.kubectl(&["delete", "pod", "small-p0-1"]);
        let is_replaced = |group: &Value| {
            let now = members(group, 0);
            is_ready(group)
                && now.len() == 3
                && now.get(1).map(|member| &member.0) != before.get(1).map(|it| &it.0)
        };
        let took = namespace.wait("partitiongroup/small", 60, is_replaced);
        println!("replaced after {:.1} s", took.as_secs_f64());
    });
    let after = members(&namespace.get("partitiongroup/small"), 0);
    assert_eq!((&before[0].0, &before[2].0), (&after[0].0, &after[2].0), "the others stay");
}

#[test]
fn a_change_of_the_pods_reaches_all_of_them_and_no_write_is_lost() {
    let namespace = Namespace::new("roll");
    namespace.apply(SAMPLE);
    namespace.wait_ready("sample", 60);
    let before = uids(&namespace);
    let outcome = under_load(&namespace, "rolling nine pods", 90, || {
        let started = Instant::now();
        let patch = r#"{"spec": {"pod": {"annotations": {"changed": "yes"}}}}"#;
        namespace.kubectl(&["patch", "partitiongroup/sample", "--type=merge", "--patch", patch]);
        namespace.wait("partitiongroup/sample", 85, |group| {
            is_ready(group)
                && condition(group, "Progressing").0 == "False"
                && uids(&namespace).is_disjoint(&before)
        });
        println!("rolled in {:.1} s", started.elapsed().as_secs_f64());
    });
    println!("the longest pause of a roll: {} ms", outcome.longest_pause_ms);
    assert_eq!(uids(&namespace).len(), 9);
}

#[test]
fn a_machine_is_drained_one_replica_of_a_partition_at_a_time() {
    let namespace = Namespace::new("drain");
    namespace.apply(SAMPLE);
    namespace.wait_ready("sample", 60);
    let pods = |node: &str| {
        let selector = format!("--field-selector=spec.nodeName={node}");
        let listed =
            namespace.kubectl(&["get", "pods", "--selector=synod.dev/group", &selector, "--output=name"]);
        listed.lines().count()
    };
    under_load(&namespace, "draining a machine", 60, || {
        let pod = leader(&namespace.get("partitiongroup/sample"), 0).unwrap();
        let node = namespace.get(&format!("pod/{pod}"))["spec"]["nodeName"].as_str().unwrap().to_owned();
        assert!(pods(&node) > 0);
        // Only the replicas: the workload is to go on, and volumes are bound to their machines, so that pods wait there.
        let (drained, said) = namespace.try_kubectl(
            &["drain", &node, "--pod-selector=synod.dev/group", "--delete-emptydir-data", "--timeout=40s"],
            None,
        );
        namespace.kubectl(&["uncordon", &node]);
        assert!(drained, "{said}");
        namespace.wait_ready("sample", 60);
    });
}

#[test]
fn a_group_that_is_created_anew_begins_anew() {
    let namespace = Namespace::new("again");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    let before = members(&namespace.get("partitiongroup/small"), 0);
    namespace.kubectl(&["delete", "partitiongroup", "small", "--timeout=60s"]);
    namespace.apply(SMALL);
    namespace.wait_ready("small", 90);
    let after = members(&namespace.get("partitiongroup/small"), 0);
    assert_eq!(
        namespace.names("persistentvolumeclaims").len(),
        3,
        "the volumes were kept, and are used again"
    );
    let is_new = |(id, _): &(String, String)| before.iter().all(|(old, _)| old != id);
    assert!(after.len() == 3 && after.iter().all(is_new), "no old member came back: {before:?} {after:?}");
}
