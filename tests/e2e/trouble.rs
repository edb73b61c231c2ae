//! What goes wrong is said where people look, and mends itself when its cause is gone.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::SMALL;
use crate::kubectl::{Namespace, condition, is_ready, kubectl, leader};
use crate::workload::under_load;

#[test]
fn a_spec_that_cannot_be_is_refused_with_what_to_write_instead() {
    let namespace = Namespace::new("refused");
    for (wrong, right, said) in [
        ("partitions: 1", "partitions: 1, replicas: 2", "use 1 or 3"),
        ("{name: small}", "{name: small-p0}", "use another name"),
        ("partitions: 1", "partitions: 1, protocol: {type: Paxos}", "use Raft"),
        ("whenDeleted: Retain", "size: 10Mi", "use at least 1Gi"),
    ] {
        let manifest = SMALL.replace(
            "spec:\n  partitions: 1\n  storage: {whenDeleted: Retain}",
            "spec: {partitions: 1, storage: {whenDeleted: Retain}}",
        );
        let manifest = manifest.replace(wrong, right);
        let (applied, text) = namespace.try_kubectl(&["apply", "-f", "-"], Some(&manifest));
        assert!(!applied && text.contains(said), "{right}: {text}");
    }
    namespace.apply(SMALL);
    let (patched, text) = namespace.try_kubectl(
        &["patch", "partitiongroup/small", "--type=merge", "--patch", r#"{"spec": {"partitions": 2}}"#],
        None,
    );
    assert!(!patched && text.contains("cannot be changed: leave it at 1"), "{text}");
    namespace.wait_ready("small", 60);
}

#[test]
fn an_image_that_cannot_be_had_is_named_and_mended() {
    let namespace = Namespace::new("image");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    let image = |image: &str| {
        let patch = format!(r#"{{"spec": {{"pod": {{"image": {image}}}}}}}"#);
        namespace.kubectl(&["patch", "partitiongroup/small", "--type=merge", "--patch", &patch]);
    };
    image("\"localhost/nothing:1\"");
    namespace.wait("partitiongroup/small", 60, |group| {
        let (status, _, message) = condition(group, "Ready");
        status == "False" && message.contains("localhost/nothing:1")
    });
    assert_eq!(
        condition(&namespace.get("partitiongroup/small"), "QuorumLost").0,
        "False",
        "one pod, no more"
    );
    image("null");
    let mended = namespace.wait("partitiongroup/small", 90, |group| {
        is_ready(group) && condition(group, "Progressing").0 == "False"
    });
    println!("mended after {:.1} s", mended.as_secs_f64());
}

#[test]
fn somebody_elses_service_is_not_taken_over() {
    let namespace = Namespace::new("foreign");
    namespace.kubectl(&["create", "service", "clusterip", "small-p0", "--tcp=80"]);
    namespace.apply(SMALL);
    namespace.wait("partitiongroup/small", 30, |group| {
        let (status, reason, message) = condition(group, "Degraded");
        status == "True" && reason == "CannotWrite" && message.contains("Service \"small-p0\" exists")
    });
    namespace.kubectl(&["delete", "service", "small-p0"]);
    namespace.wait_ready("small", 120);
    assert_eq!(condition(&namespace.get("partitiongroup/small"), "Degraded").0, "False");
}

#[test]
fn what_is_deleted_or_changed_by_hand_comes_back() {
    let namespace = Namespace::new("drift");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    namespace.kubectl(&["delete", "service/small", "statefulset/small-p0", "--cascade=orphan"]);
    namespace.wait("service/small", 30, |service| service["spec"]["ports"][0]["port"] == 5678);
    namespace.wait("statefulset/small-p0", 30, |set| set["spec"]["replicas"] == 3);
    namespace.kubectl(&["scale", "statefulset/small-p0", "--replicas=5"]);
    namespace.wait("statefulset/small-p0", 30, |set| set["spec"]["replicas"] == 3);
    namespace.wait_ready("small", 60);
}

#[test]
fn a_group_that_is_paused_is_left_alone() {
    let namespace = Namespace::new("paused");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    let pause = |paused: bool| {
        let patch = format!(r#"{{"spec": {{"paused": {paused}}}}}"#);
        namespace.kubectl(&["patch", "partitiongroup/small", "--type=merge", "--patch", &patch]);
    };
    pause(true);
    namespace.wait("partitiongroup/small", 30, |group| condition(group, "Paused").0 == "True");
    namespace.kubectl(&["delete", "service", "small"]);
    namespace.kubectl(&["delete", "pod", "small-p0-2"]);
    namespace.wait("partitiongroup/small", 60, is_ready);
    let (found, _) = namespace.try_kubectl(&["get", "service", "small"], None);
    assert!(!found, "nobody made it again");
    pause(false);
    namespace.wait("service/small", 30, |service| service["metadata"]["name"] == "small");
}

/// The cable of a machine, where the cluster is the one that `tests/e2e/cluster` brings up: its nodes are on this machine.
fn pull_cable(node: &str, is_pulled: bool) -> bool {
    let done = Command::new("ip").args(["link", "set", node, if is_pulled { "down" } else { "up" }]).status();
    done.is_ok_and(|done| done.success())
}

#[test]
fn a_machine_that_is_cut_off_is_missed_and_welcome_when_it_is_back() {
    if !pull_cable("node-1", false) {
        println!("left out: the nodes of this cluster are not on this machine");
        return;
    }
    let namespace = Namespace::new("lost");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    let replicas = namespace.names("pods");
    let node_of =
        |pod: &str| namespace.get(&format!("pod/{pod}"))["spec"]["nodeName"].as_str().unwrap().to_owned();
    let nodes: std::collections::BTreeSet<_> = replicas.iter().map(|pod| node_of(pod)).collect();
    assert_eq!(nodes.len(), 3, "each replica has a machine of its own: {nodes:?}");
    // The machine of a follower that does not run the workload, and so no operator that is needed to tell of it.
    let lost = (|| {
        let leads = leader(&namespace.get("partitiongroup/small"), 0)?;
        replicas.iter().find(|pod| **pod != leads).map(|pod| node_of(pod))
    })()
    .unwrap();
    kubectl(&["cordon", &lost]);
    under_load(&namespace, "cutting a machine off", 60, || {
        let started = Instant::now();
        assert!(pull_cable(&lost, true));
        namespace.wait("partitiongroup/small", 50, |group: &Value| {
            let (status, _, message) = condition(group, "Degraded");
            status == "True" && message.contains("does not answer")
        });
        println!("missed after {:.1} s", started.elapsed().as_secs_f64());
        assert_eq!(condition(&namespace.get("partitiongroup/small"), "QuorumLost").0, "False");
        assert!(pull_cable(&lost, false));
        kubectl(&["uncordon", &lost]);
    });
    let back = namespace.wait_ready("small", 90);
    println!("ready again after {:.1} s", back.as_secs_f64());
}
