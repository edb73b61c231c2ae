//! What goes wrong is said where people look, and mends itself when its cause is gone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::SMALL;
use crate::kubectl::{Namespace, condition, is_ready};
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
fn an_edit_that_cannot_be_done_is_refused_while_the_group_serves_on() {
    let namespace = Namespace::new("edits");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    let generation = || namespace.get("partitiongroup/small")["metadata"]["generation"].clone();
    let before = generation();
    under_load(&namespace, "edits that are refused", 15, || {
        for (spec, said) in [
            (json!({"storage": {"size": "5Gi"}}), "volumes cannot shrink: use 10Gi or more"),
            (json!({"storage": {"storageClassName": "other"}}), "the storage class cannot be changed"),
            (json!({"protocol": {"type": "Log"}}), "the protocol cannot be changed: leave it at Raft"),
            (json!({"partitions": 2}), "the number of partitions cannot be changed: leave it at 1"),
            (json!({"replicas": 4}), "use 3 or 5"),
            (
                json!({"security": {"tls": {"type": "PlainText"}}}),
                "how connections are encrypted cannot be changed",
            ),
        ] {
            let patch = json!({"spec": spec}).to_string();
            let arguments = ["patch", "partitiongroup/small", "--type=merge", "--patch", &patch];
            let (patched, text) = namespace.try_kubectl(&arguments, None);
            assert!(!patched && text.contains(said), "{patch}: {text}");
        }
    });
    assert_eq!(generation(), before, "nothing was changed");
    assert!(is_ready(&namespace.get("partitiongroup/small")));
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
    namespace.wait_said("small", "Ready", "False", "localhost/nothing:1", 60);
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

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_object_that_is_deleted_or_edited_by_hand_is_put_back_under_load() {
    let namespace = Namespace::new("children");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    let pods = || -> BTreeMap<_, _> {
        ["small-p0-0", "small-p0-1", "small-p0-2"]
            .map(|pod| (pod, uid(&namespace.get(&format!("pod/{pod}")))))
            .into()
    };
    let before = pods();
    under_load(&namespace, "deleting and editing what belongs to a group", 60, || {
        for what in [
            "service/small-p0",
            "service/small-p0-peers",
            "poddisruptionbudget/small-p0",
            "networkpolicy/small-p0",
            "serviceaccount/small",
            "configmap/small-p0",
        ] {
            let old = uid(&namespace.get(what));
            namespace.kubectl(&["delete", what]);
            let back = namespace.wait(what, 20, |object| uid(object) != old);
            println!("{what}: back after {:.1} s", back.as_secs_f64());
        }
        for (what, path, spec) in [
            ("service/small", "/spec/selector", json!({"selector": {"synod.dev/group": "other"}})),
            ("poddisruptionbudget/small-p0", "/spec/maxUnavailable", json!({"maxUnavailable": 3})),
            ("networkpolicy/small-p0", "/spec/ingress", json!({"ingress": []})),
            (
                "statefulset/small-p0",
                "/spec/template/spec/terminationGracePeriodSeconds",
                json!({"template": {"spec": {"terminationGracePeriodSeconds": 1}}}),
            ),
        ] {
            let old = namespace.get(what).pointer(path).cloned();
            namespace.patch(what, &json!({"spec": spec}));
            let back = namespace.wait(what, 20, |object| object.pointer(path) == old.as_ref());
            println!("{what}: mended after {:.1} s", back.as_secs_f64());
        }
        namespace.kubectl(&["label", "service", "small-p0", "synod.dev/group-"]);
        namespace.wait("service/small-p0", 20, |service| {
            service["metadata"]["labels"]["synod.dev/group"] == "small"
        });
    });
    namespace.wait_ready("small", 20);
    assert_eq!(pods(), before, "no replica was restarted for it");
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
