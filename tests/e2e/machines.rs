//! Machines that are cut off, or lose their kubelet, and come back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::SMALL;
use crate::kubectl::{Namespace, condition, is_ready, kubectl, leader, members};
use crate::workload::under_load;

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

/// The kubelet of a machine that has crashed. It is started again at the end.
struct Crashed(String);

impl Crashed {
    /// Nothing where the nodes of the cluster are not on this machine.
    fn kubelet(node: &str) -> Option<Self> {
        let number = node.strip_prefix("node-")?.to_owned();
        let cluster = PathBuf::from(std::env::var_os("CLUSTER")?);
        let pid = std::fs::read_to_string(cluster.join(format!("pid/kubelet-{number}"))).ok()?;
        let killed = Command::new("kill").args(["-KILL", pid.trim()]).status();
        killed.is_ok_and(|killed| killed.success()).then_some(Self(number))
    }
}

impl Drop for Crashed {
    fn drop(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/cluster/kubelet");
        assert!(Command::new(script).arg(&self.0).status().is_ok_and(|started| started.success()));
    }
}

fn node_is(node: &Value, answer: &str) -> bool {
    condition(node, "Ready").0 == answer
}

#[test]
fn a_kubelet_that_crashes_takes_no_replica_with_it_and_does_its_work_when_it_is_back() {
    let namespace = Namespace::new("kubelet");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    let before = namespace.get("partitiongroup/small");
    let leads = leader(&before, 0).unwrap();
    let pod = namespace.names("pods").into_iter().find(|pod| *pod != leads).unwrap();
    let uid = || namespace.get(&format!("pod/{pod}"))["metadata"]["uid"].clone();
    let node = namespace.get(&format!("pod/{pod}"))["spec"]["nodeName"].as_str().unwrap().to_owned();
    let (node, old) = (format!("node/{node}"), uid());
    // The workload must not end with it.
    kubectl(&["cordon", &node]);
    under_load(&namespace, "crashing a kubelet", 120, || {
        let Some(crashed) = Crashed::kubelet(node.trim_start_matches("node/")) else {
            println!("left out: the nodes of this cluster are not on this machine");
            return;
        };
        let missed = namespace.wait(&node, 80, |node| node_is(node, "Unknown"));
        println!("the cluster misses the machine after {:.1} s", missed.as_secs_f64());
        // Its replica runs on, and counts.
        assert!(is_ready(&namespace.get("partitiongroup/small")));
        namespace.kubectl(&["delete", "pod", &pod, "--wait=false"]);
        drop(crashed);
        namespace.wait(&node, 60, |node| node_is(node, "True"));
        kubectl(&["uncordon", &node]);
        let replaced = namespace.wait("partitiongroup/small", 60, |group| is_ready(group) && uid() != old);
        println!("its pod is replaced {:.1} s later", replaced.as_secs_f64());
    });
    kubectl(&["uncordon", &node]);
    let ids = |group: &Value| members(group, 0).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&namespace.get("partitiongroup/small")), "the members are who they were");
}
