//! What the README promises: the sample, ready soon, used from a pod that is told no address.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kubectl::{Namespace, is_ready, kubectl};
use crate::{PRIMITIVES, SAMPLE};

#[test]
fn the_sample_is_ready_in_half_a_minute_and_serves_pods_by_namespace() {
    let namespace = Namespace::new("sample");
    let started = Instant::now();
    namespace.apply(SAMPLE);
    namespace.apply(PRIMITIVES);
    let ready = namespace.wait_ready("sample", 120);
    println!("applied to ready: {:.1} s", started.elapsed().as_secs_f64());
    assert!(ready < Duration::from_secs(30), "it took {ready:?}");
    for primitive in ["users", "hits", "shop-deploy"] {
        namespace.wait(&format!("primitive/{primitive}"), 30, is_ready);
    }
    let log = namespace.run_pod("tour", "localhost/tour:e2e", &[]);
    println!("{log}");
    assert!(log.contains("100 increments at once make 100"), "{log}");
    println!("{}", namespace.kubectl(&["get", "partitiongroups,primitives", "--output=wide"]));
    println!("{}", namespace.kubectl(&["describe", "partitiongroup/sample"]));
    nothing_is_written_when_nothing_changes();
}

/// Twenty seconds are two looks at each group.
fn nothing_is_written_when_nothing_changes() {
    wait_for_namespaces_that_end();
    // What was just done settles: sets report, and readiness follows.
    sleep(Duration::from_secs(10));
    let before = writes();
    sleep(Duration::from_secs(25));
    let after = writes();
    let written: Vec<_> = after
        .iter()
        .filter(|(what, count)| before.get(*what) != Some(*count))
        .map(|(what, count)| format!("{what}: {} writes", count - before.get(what).unwrap_or(&0.0)))
        .collect();
    assert!(written.is_empty(), "a settled group is written to: {written:?}");
}

/// What earlier scenarios have left is deleted behind their backs, and would be counted.
fn wait_for_namespaces_that_end() {
    let ending = ["get", "namespaces", "--field-selector=status.phase=Terminating", "--output=name"];
    let started = Instant::now();
    loop {
        let left = kubectl(&ending);
        if left.trim().is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "namespaces do not end: {left}");
        sleep(Duration::from_millis(500));
    }
}

/// How often the API server has been asked to write something that belongs to groups.
fn writes() -> BTreeMap<String, f64> {
    const RESOURCES: [&str; 10] = [
        "partitiongroups",
        "primitives",
        "statefulsets",
        "services",
        "serviceaccounts",
        "poddisruptionbudgets",
        "networkpolicies",
        "configmaps",
        "pods",
        "persistentvolumeclaims",
    ];
    const VERBS: [&str; 6] = ["APPLY", "PATCH", "POST", "PUT", "DELETE", "UPDATE"];
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        rest.split('"').next().map(str::to_owned)
    };
    let mut counts = BTreeMap::new();
    for line in kubectl(&["get", "--raw", "/metrics"]).lines() {
        if !line.starts_with("apiserver_request_total{") {
            continue;
        }
        let (Some(resource), Some(verb)) = (label(line, "resource"), label(line, "verb")) else { continue };
        if RESOURCES.contains(&resource.as_str()) && VERBS.contains(&verb.as_str()) {
            let count: f64 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0.0);
            *counts.entry(format!("{verb} {resource}")).or_insert(0.0) += count;
        }
    }
    assert!(!counts.is_empty(), "the API server counts its requests");
    counts
}

#[test]
fn the_kinds_explain_themselves() {
    let explained = kubectl(&["explain", "partitiongroup.spec.storage.size"]);
    assert!(explained.contains("never shrink"), "{explained}");
}

#[test]
fn two_namespaces_may_have_groups_of_one_name() {
    let namespace = Namespace::new("twins");
    let other = "e2e-twins-other";
    kubectl(&["delete", "namespace", other, "--ignore-not-found"]);
    kubectl(&["create", "namespace", other]);
    namespace.apply(crate::SMALL);
    let manifest = crate::SMALL.replace("{name: small}", &format!("{{name: small, namespace: {other}}}"));
    let (applied, said) = namespace.try_kubectl(&["--namespace", other, "apply", "-f", "-"], Some(&manifest));
    assert!(applied, "{said}");
    namespace.wait_ready("small", 60);
    namespace.kubectl(&[
        "--namespace",
        other,
        "wait",
        "--for=condition=Ready",
        "partitiongroup/small",
        "--timeout=60s",
    ]);
    let ids = |namespace: &str| {
        let text = kubectl(&["--namespace", namespace, "get", "partitiongroup/small", "--output=json"]);
        let group: Value = serde_json::from_str(&text).unwrap();
        crate::kubectl::members(&group, 0)
    };
    let (ours, theirs) = (ids(&namespace.name), ids(other));
    assert_eq!((ours.len(), theirs.len()), (3, 3));
    assert!(ours.iter().all(|(id, _)| theirs.iter().all(|(other, _)| other != id)), "{ours:?} {theirs:?}");
    kubectl(&["delete", "namespace", other, "--wait=false"]);
}
