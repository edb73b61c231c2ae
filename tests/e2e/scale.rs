//! Members come and go, one at a time, while somebody writes.

use std::time::Instant;

use serde_json::Value;

use crate::kubectl::{Namespace, condition, is_ready, members};
use crate::workload::under_load;

const ONE: &str = "
apiVersion: synod.dev/v1alpha1
kind: PartitionGroup
metadata: {name: one}
spec:
  partitions: 1
  replicas: 1
  storage: {whenDeleted: Delete, whenScaled: Delete}
";

fn is_settled(group: &Value, replicas: usize) -> bool {
    let voters =
        members(group, 0).iter().filter(|(_, role)| ["Leader", "Follower"].contains(&role.as_str())).count();
    is_ready(group) && voters == replicas && members(group, 0).len() == replicas
}

#[test]
fn one_becomes_three_becomes_five_becomes_three_and_no_write_is_lost() {
    let namespace = Namespace::new("scale");
    namespace.apply(ONE);
    namespace.wait_ready("one", 60);
    under_load(&namespace, "scaling 1, 3, 5, 3", 90, || {
        for replicas in [3, 5, 3] {
            let started = Instant::now();
            let count = format!("--replicas={replicas}");
            namespace.kubectl(&["scale", "partitiongroup/one", &count]);
            namespace.wait("partitiongroup/one", 40, |group| is_settled(group, replicas));
            println!("{replicas} replicas after {:.1} s", started.elapsed().as_secs_f64());
        }
        namespace.wait("statefulset/one-p0", 20, |set| set["spec"]["replicas"] == 3);
    });
    namespace.wait("pods", 30, |pods| {
        let names = pods["items"].as_array().unwrap().iter();
        names.filter(|pod| pod["metadata"]["labels"]["synod.dev/group"] == "one").count() == 3
    });
}

#[test]
fn a_volume_that_was_kept_is_not_used_by_the_next_member_of_its_place() {
    let namespace = Namespace::new("kept");
    namespace.apply(&ONE.replace("whenScaled: Delete", "whenScaled: Retain"));
    namespace.wait_ready("one", 60);
    for replicas in [3, 1] {
        namespace.kubectl(&["scale", "partitiongroup/one", &format!("--replicas={replicas}")]);
        namespace.wait("partitiongroup/one", 60, |group| is_settled(group, replicas));
    }
    namespace.wait("statefulset/one-p0", 20, |set| set["status"]["replicas"] == 1);
    assert_eq!(namespace.names("persistentvolumeclaims").len(), 3);
    namespace.kubectl(&["scale", "partitiongroup/one", "--replicas=3"]);
    namespace.wait("partitiongroup/one", 60, |group| is_settled(group, 3));
    assert_eq!(condition(&namespace.get("partitiongroup/one"), "Degraded").0, "False");
}
