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

/// What the operator says of a majority that is lost.
fn majority_lost(site: &Site) -> Option<String> {
    let group = site.plane.find("partitiongroup/sample")?;
    let is_lost =
        |it: &&Value| it["type"] == "QuorumLost" && it["status"] == "True" && it["reason"] == "MajorityLost";
    let lost = group["status"]["conditions"].as_array()?.iter().find(is_lost)?;
    Some(lost["message"].as_str()?.to_owned())
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
    site.eventually("the operator says what can be done", || majority_lost(&site).is_some());
    let message = majority_lost(&site).unwrap();
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
