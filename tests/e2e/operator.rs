//! The operator itself dies in the middle of things.

use crate::SMALL;
use crate::kubectl::{Namespace, is_ready, kubectl, members};
use crate::workload::under_load;

const OPERATORS: [&str; 4] = [
    "--namespace=synod-system",
    "--selector=app.kubernetes.io/component=operator",
    "--grace-period=0",
    "--force",
];

fn kill_all() {
    kubectl(&[&["delete", "pods"][..], &OPERATORS].concat());
}

#[test]
fn an_operator_that_dies_while_a_group_is_born_leaves_it_to_the_next() {
    let namespace = Namespace::new("reborn");
    for _ in 0..3 {
        namespace.apply(SMALL);
        namespace.wait("statefulset/small-p0", 60, |set| set["spec"]["replicas"] == 3);
        kill_all();
        namespace.wait_ready("small", 90);
        assert_eq!(members(&namespace.get("partitiongroup/small"), 0).len(), 3);
        namespace.kubectl(&["delete", "partitiongroup", "small", "--timeout=60s"]);
    }
}

#[test]
fn an_operator_that_dies_while_members_change_leaves_it_to_the_next() {
    let namespace = Namespace::new("handed");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    under_load(&namespace, "killing operators while scaling", 80, || {
        for replicas in [5, 3] {
            namespace.kubectl(&["scale", "partitiongroup/small", &format!("--replicas={replicas}")]);
            kill_all();
            namespace.wait("partitiongroup/small", 60, |group| {
                is_ready(group) && members(group, 0).len() == replicas
            });
        }
    });
}
