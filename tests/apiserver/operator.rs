//! What the operator writes, and that it writes nothing else.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, Operator};

const GROUP: &str = "
apiVersion: synod.dev/v1alpha1
kind: PartitionGroup
metadata: {name: sample}
spec: {partitions: 2}
";

/// The objects of the group, in the order in which pods need them.
const CHILDREN: [&str; 15] = [
    "secret/sample-ca",
    "secret/sample-p0-tls",
    "secret/sample-p1-tls",
    "serviceaccount/sample",
    "service/sample",
    "service/sample-p0",
    "service/sample-p0-peers",
    "service/sample-p1",
    "service/sample-p1-peers",
    "poddisruptionbudget/sample-p0",
    "poddisruptionbudget/sample-p1",
    "networkpolicy/sample-p0",
    "networkpolicy/sample-p1",
    "statefulset/sample-p0",
    "statefulset/sample-p1",
];

fn is_complete(plane: &ControlPlane) -> bool {
    let observed = |group: &Value| group["status"]["observedGeneration"] == group["metadata"]["generation"];
    CHILDREN.iter().all(|child| plane.find(child).is_some())
        && plane.find("partitiongroup/sample").is_some_and(|group| observed(&group))
}

/// Looks for a while. The operator does, too, twice a second: nobody starts the pods for which it waits.
fn nothing_is_written(plane: &ControlPlane) {
    // The last status may still be on its way.
    sleep(Duration::from_secs(2));
    let (before, _) = plane.counts();
    sleep(Duration::from_secs(6));
    let (after, forbidden) = plane.counts();
    assert!(!before.is_empty());
    assert_eq!(before, after, "{}", plane.log());
    assert!((forbidden - 0.0).abs() < 0.5, "the operator may not do what it has to: {}", plane.log());
}

#[test]
fn a_group_is_written_once_kept_as_declared_and_handed_to_the_next_operator() {
    let plane = ControlPlane::start();
    let first = plane.start_operator("first");
    plane.apply(GROUP);
    plane.eventually("all objects are there", || is_complete(&plane));
    every_child_is_owned_and_applied(&plane);
    nothing_is_written(&plane);
    every_write_is_counted(&plane, &first);

    plane.kubectl(&["scale", "statefulset/sample-p1", "--replicas=5"]);
    let deleted = ["service/sample-p0", "poddisruptionbudget/sample-p1", "networkpolicy/sample-p0"];
    plane.kubectl(&[&["delete"], &deleted[..]].concat());
    plane.wait("statefulset/sample-p1", |set| set["spec"]["replicas"] == 3);
    plane.eventually("what was deleted is back", || is_complete(&plane));

    drop(first);
    plane.kubectl(&["scale", "partitiongroup/sample", "--replicas=5"]);
    plane.kubectl(&["delete", "service/sample-p1"]);
    let _second = plane.start_operator("second");
    plane.wait("statefulset/sample-p0", |set| set["spec"]["replicas"] == 5);
    plane.eventually("the next operator goes on", || is_complete(&plane));
    nothing_is_written(&plane);
}

/// The operator counts what the API server counts. Only the operator writes these, and it is done.
fn every_write_is_counted(plane: &ControlPlane, operator: &Operator) {
    let (by_server, metrics) = (plane.counts().0, operator.metrics());
    for (resource, objects) in
        [("statefulsets", 2.0), ("services", 5.0), ("networkpolicies", 2.0), ("poddisruptionbudgets", 2.0)]
    {
        let series = format!("synod_operator_api_writes_total{{verb=\"patch\",resource=\"{resource}\"}}");
        let counted = metrics.get(&series).copied().unwrap_or_default();
        assert!(counted >= objects, "{series} is {counted}");
        assert_eq!(Some(&counted), by_server.get(&format!("APPLY {resource}")), "{resource}");
    }
    let shows = |series: &str| metrics.get(&format!("synod_operator_{series}")).copied();
    assert_eq!(shows("leader"), Some(1.0));
    let states: f64 =
        metrics.iter().filter(|(name, _)| name.starts_with("synod_operator_groups{")).map(|it| it.1).sum();
    assert_eq!(states, 1.0, "one group, counted once: {metrics:?}");
    assert!(shows("reconcile_seconds_count{controller=\"PartitionGroup\"}") >= Some(2.0), "{metrics:?}");
    assert_eq!(shows("reconcile_errors_total{controller=\"PartitionGroup\"}"), Some(0.0));
}

fn every_child_is_owned_and_applied(plane: &ControlPlane) {
    let group = plane.find("partitiongroup/sample").unwrap();
    for name in CHILDREN {
        let child = plane.find(name).unwrap();
        let metadata = &child["metadata"];
        assert_eq!(metadata["ownerReferences"][0]["uid"], group["metadata"]["uid"], "{name}");
        assert_eq!(metadata["ownerReferences"][0]["controller"], json!(true), "{name}");
        let managers = metadata["managedFields"].as_array().unwrap();
        let ours: Vec<_> = managers.iter().filter(|it| it["manager"] == "synod-partition-group").collect();
        // What is drawn by chance cannot be applied twice: a Secret is created once, and replaced as it was seen.
        let how = if name.starts_with("secret/") { "Update" } else { "Apply" };
        assert_eq!((ours.len(), &ours[0]["operation"]), (1, &json!(how)), "{name}");
    }
}

#[test]
fn of_two_operators_one_acts_and_the_other_goes_on_when_it_dies() {
    let plane = ControlPlane::start();
    let acting = || {
        let lease = plane.run(
            &[
                "--namespace=synod-system",
                "get",
                "lease/synod-operator",
                "--output=jsonpath={.spec.holderIdentity}",
            ],
            None,
        );
        String::from_utf8_lossy(&lease.stdout).into_owned()
    };
    let first = plane.start_operator("first");
    plane.eventually("the first acts", || acting() == "first");
    let _second = plane.start_operator("second");
    plane.apply(GROUP);
    plane.eventually("all objects are there", || is_complete(&plane));
    assert_eq!(acting(), "first");
    drop(first);
    plane.kubectl(&["delete", "service/sample"]);
    plane.eventually("the second acts", || acting() == "second");
    plane.eventually("it goes on", || is_complete(&plane));
}
