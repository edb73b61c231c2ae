//! What the operator and the page about what it says tell people to do can be done as it is typed there, and helps.

use serde_json::{Value, json};

use crate::page::PAGE;
use crate::site::Site;

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text:?}"));
    rest.split_once(after).map_or(rest, |(between, _)| between)
}

/// A text in which every number is as good as another.
fn without_numbers(text: &str) -> String {
    let parts = text.split(|character: char| character.is_ascii_digit());
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
}

/// Waits until the operator says that something is so, for this reason, and returns what it says of it.
fn said(site: &Site, what: &str, reason: &str, beginning: &str) -> String {
    let find = || {
        let group = site.plane.find("partitiongroup/sample")?;
        let is_so = |it: &&Value| it["type"] == what && it["status"] == "True" && it["reason"] == reason;
        let condition = group["status"]["conditions"].as_array()?.iter().find(is_so)?;
        let message = condition["message"].as_str().filter(|message| message.starts_with(beginning));
        message.map(str::to_owned)
    };
    site.eventually(beginning, || find().is_some());
    find().unwrap()
}

/// A change of the spec, as who reads the message writes it.
fn recovery_by(message: &str) -> String {
    let recovery = json!({
        "partition": between(message, "; partition ", ":").parse::<u32>().unwrap(),
        "survivor": between(message, "survivor \"", "\""),
        "acceptDataLoss": between(message, "acceptDataLoss: ", ";"),
    });
    assert!(
        message.contains("spec.recovery with the partition, its survivor and acceptDataLoss: "),
        "{message}"
    );
    let patch = json!({"spec": {"recovery": [recovery]}});
    format!("kubectl patch partitiongroup sample --type=merge --patch '{patch}'")
}

#[test]
fn a_group_goes_on_after_what_the_page_and_the_operator_say_to_do_about_a_lost_majority() {
    let site = Site::start();
    site.declare_group();
    site.eventually("the group is ready", || site.group_has(3));
    site.simulation.members.lose(&["default/sample-p0-1", "default/sample-p0-2"]);
    let message = said(&site, "QuorumLost", "MajorityLost", "partitions without a majority: 0; ");
    let shown = PAGE.lines().find_map(|line| line.trim_start().strip_prefix("Message:")).unwrap().trim();
    assert_eq!(without_numbers(shown), without_numbers(&message));

    let command = PAGE.lines().find(|line| line.starts_with("kubectl patch ")).unwrap();
    let dry = |command: &str| site.plane.shell(&format!("{command} --dry-run=server"));
    dry(command).unwrap();
    dry(&recovery_by(&message)).unwrap();
    let switched = dry(&command.replace("\"AcknowledgedWritesMayBeLost\"", "true"));
    assert!(switched.is_err_and(|why| why.contains("acceptDataLoss")), "{command}");

    let survivor = between(&message, "survivor \"", "\"");
    let meant = command.replace(between(command, "\"survivor\": \"", "\""), survivor);
    site.plane.shell(&meant).unwrap();
    site.eventually("the group goes on with new members", || site.group_has(3));
    let group = site.plane.find("partitiongroup/sample").unwrap();
    assert_eq!(group["status"]["partitions"][0]["recoveredFrom"], survivor);
}

#[test]
fn a_machine_that_is_off_is_given_up_as_the_operator_says() {
    let site = Site::start();
    site.declare_group();
    site.eventually("the group is ready", || site.group_has(3));
    site.simulation.members.cut_off("default/sample-p0-2");
    // What the cluster says of the pods of a machine from which it hears nothing.
    let conditions =
        json!([{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]);
    let patch = json!({"status": {"conditions": conditions}}).to_string();
    site.plane.kubectl(&["patch", "pod", "sample-p0-2", "--subresource=status", "--patch", &patch]);
    let message =
        said(&site, "Degraded", "PodsBlocked", "sample-p0-2 is on machine-2, which does not answer: ");
    assert!(
        message.contains("if it is off, and only then (two pods must never write to one volume)"),
        "{message}"
    );
    let command = PAGE.lines().find(|line| line.starts_with("kubectl taint ")).unwrap();
    assert_eq!(command, format!("kubectl taint {}", between(&message, "kubectl taint ", ";")));
    site.eventually("an event says it, too", || site.plane.kubectl(&["get", "events"]).contains(command));
    site.plane.apply(r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "machine-2"}}"#);
    site.plane.shell(command).unwrap();
    let machine = site.plane.find("node/machine-2").unwrap();
    let mut taints = machine["spec"]["taints"].as_array().unwrap().iter();
    let is_meant =
        |it: &Value| it["key"] == "node.kubernetes.io/out-of-service" && it["effect"] == "NoExecute";
    assert!(taints.any(is_meant), "{machine}");

    // Nobody who hears of the taint is here, and no kubelet who would end what is evicted.
    site.plane.kubectl(&["delete", "pod/sample-p0-2", "--grace-period=1", "--wait=false"]);
    let message =
        said(&site, "Degraded", "PodsBlocked", "sample-p0-2 cannot end, because machine-2 does not answer: ");
    let command = message.split_once("; or kubectl ").unwrap().1.split_once(" --force").unwrap().0;
    site.plane.shell(&format!("kubectl {command} --force")).unwrap();
    site.eventually("the pod is made anew and the group ready", || site.group_has(3));
}
