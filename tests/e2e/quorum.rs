//! A majority that is lost for good: nothing is served and nothing is made up, until the spec says with whom to go on.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::SMALL;
use crate::kubectl::{Namespace, condition, is_ready, kubectl, members};
use crate::workload::under_load;

const KEYS: usize = 20;

fn ids(group: &Value) -> BTreeSet<String> {
    members(group, 0).into_iter().map(|(id, _)| id).collect()
}

/// Takes the volumes of members away for good, and their pods with them.
fn lose(namespace: &Namespace, ordinals: [u32; 2]) {
    for ordinal in ordinals {
        let claim = format!("data-small-p0-{ordinal}");
        namespace.kubectl(&["delete", "persistentvolumeclaim", &claim, "--wait=false"]);
    }
    let pods = ordinals.map(|ordinal| format!("small-p0-{ordinal}"));
    namespace.kubectl(&["delete", "pod", &pods[0], &pods[1], "--grace-period=0", "--force"]);
}

fn recover(namespace: &Namespace, survivor: &str) {
    let recovery = json!({
        "partition": 0, "survivor": survivor, "acceptDataLoss": "AcknowledgedWritesMayBeLost",
    });
    namespace.patch("partitiongroup/small", &json!({"spec": {"recovery": [recovery]}}));
}

#[test]
fn a_majority_that_is_lost_for_good_is_given_up_only_when_the_spec_names_the_survivor() {
    let namespace = Namespace::new("recovery");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    for key in 0..KEYS {
        namespace.synod(&["map", "put", "kept", &key.to_string(), &format!("value {key}")]);
    }
    let before = ids(&namespace.get("partitiongroup/small"));
    lose(&namespace, [1, 2]);
    // The message says with whom, and what it has.
    namespace.wait_said(
        "small",
        "QuorumLost",
        "True",
        "lose what was acknowledged after that: spec.recovery with",
        60,
    );
    println!("{}", namespace.kubectl(&["describe", "partitiongroup/small"]));
    let (_, reason, said) = condition(&namespace.get("partitiongroup/small"), "QuorumLost");
    assert_eq!(reason, "MajorityLost");
    let survivor = said.split("survivor \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(before.contains(survivor), "{said}");
    assert!(said.contains("/small-p0-0 has"), "it says where: {said}");

    // Somebody who never had anything is not gone on with.
    recover(&namespace, "1");
    namespace.wait("partitiongroup/small", 20, |group| {
        let said = condition(group, "QuorumLost").2;
        said.contains("member 1, with which the partition is to go on, does not answer: name one that does")
    });
    recover(&namespace, survivor);
    let took = namespace.wait_ready("small", 60);
    println!("three members again {:.1} s after the spec named the survivor", took.as_secs_f64());
    namespace.wait_told("small", &format!("gone on alone with what member {survivor} had"), 10);

    let group = namespace.get("partitiongroup/small");
    assert_eq!(group["status"]["partitions"][0]["recoveredFrom"], *survivor);
    assert_eq!(condition(&group, "QuorumLost").0, "False");
    let after = ids(&group);
    assert!(
        after.len() == 3 && after.is_disjoint(&before),
        "nobody is taken for who he was: {before:?} {after:?}"
    );
    for key in 0..KEYS {
        let value = namespace.synod(&["map", "get", "kept", &key.to_string()]);
        assert!(value.contains(&format!("value {key}")), "{key}: {value}");
    }
    // Left in the spec, the name means nobody: the next loss of one member is borne as any other.
    under_load(&namespace, "losing a member after a recovery", 30, || {
        namespace.kubectl(&["delete", "persistentvolumeclaim", "data-small-p0-0", "--wait=false"]);
        namespace.kubectl(&["delete", "pod", "small-p0-0"]);
        namespace.wait("partitiongroup/small", 25, |group| is_ready(group) && ids(group) != after);
    });
    let last = namespace.get("partitiongroup/small");
    assert_eq!(ids(&last).intersection(&after).count(), 2, "the other two stay");
}

/// Machines that take no more pods, until the end.
struct Cordoned(String);

impl Cordoned {
    fn all() -> Self {
        let nodes = kubectl(&["get", "nodes", "--output=name"]);
        kubectl(&[&["cordon"][..], &nodes.split_whitespace().collect::<Vec<_>>()].concat());
        Self(nodes)
    }
}

impl Drop for Cordoned {
    fn drop(&mut self) {
        kubectl(&[&["uncordon"][..], &self.0.split_whitespace().collect::<Vec<_>>()].concat());
    }
}

#[test]
fn a_majority_that_comes_back_is_not_given_up_although_the_spec_says_so() {
    let namespace = Namespace::new("spared");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    namespace.synod(&["map", "put", "kept", "key", "value"]);
    let before = namespace.get("partitiongroup/small");
    let survivor = members(&before, 0)[0].0.clone();
    // Their volumes stay, and no machine takes their pods: they may come back.
    let cordoned = Cordoned::all();
    namespace.kubectl(&["delete", "pod", "small-p0-1", "small-p0-2", "--grace-period=0", "--force"]);
    namespace.wait_said("small", "QuorumLost", "True", "waiting for", 30);
    recover(&namespace, &survivor);
    namespace.wait_said(
        "small",
        "QuorumLost",
        "True",
        "may hold what was acknowledged, and does not serve",
        20,
    );
    drop(cordoned);
    namespace.wait_ready("small", 60);
    let after = namespace.get("partitiongroup/small");
    assert_eq!(ids(&before), ids(&after), "the members are who they were");
    assert!(after["status"]["partitions"][0]["recoveredFrom"].is_null());
    assert!(namespace.synod(&["map", "get", "kept", "key"]).contains("value"));
}
