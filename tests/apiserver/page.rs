//! The page about what a cluster says of a group shows what a cluster says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::control_plane::ControlPlane;

pub(crate) const PAGE: &str = include_str!("../../config/samples/README.md");
const SAMPLE: &str = include_str!("../../config/samples/partitiongroup.yaml");
const PRIMITIVES: &str = include_str!("../../config/samples/primitive.yaml");

/// Each command of the page that asks a cluster something, with what it prints there.
fn shown() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut shown: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut is_console = false;
    for line in PAGE.lines() {
        match (line.strip_prefix("```"), line.strip_prefix("$ kubectl ")) {
            (Some(language), _) => is_console = language == "console",
            (None, Some(command)) => shown.push((command, Vec::new())),
            (None, None) if is_console => shown.last_mut().unwrap().1.push(line),
            (None, None) => {}
        }
    }
    shown
}

/// The first cells of the table with this head, each of which is a name.
fn table(head: &str) -> Vec<&'static str> {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with(&format!("| {head} |"))).skip(2);
    rows.map_while(|row| row.strip_prefix("| `")?.split('`').next()).collect()
}

/// The heads of the tables that kubectl prints.
fn heads<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    lines.filter(|line| line.starts_with("NAME ")).map(|line| line.split_whitespace().collect()).collect()
}

/// What stands before the colons of a description.
fn labels<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    lines.filter_map(|line| Some(line.split_once(": ")?.0.trim())).collect()
}

#[test]
fn the_page_shows_what_a_cluster_prints() {
    let plane = ControlPlane::start();
    let _operator = plane.start_operator("only");
    plane.apply(SAMPLE);
    plane.apply(PRIMITIVES);
    let conditions = |group: &Value| group["status"]["conditions"].as_array().cloned().unwrap_or_default();
    plane.wait("partitiongroup/sample", |group| !conditions(group).is_empty());

    let group = plane.find("partitiongroup/sample").unwrap();
    let types = conditions(&group).into_iter().map(|it| it["type"].as_str().unwrap().to_owned());
    assert_eq!(table("condition"), types.collect::<Vec<_>>());
    let mut verbs = BTreeSet::new();
    for (command, lines) in shown() {
        let arguments: Vec<_> = command.split_whitespace().collect();
        let printed = plane.kubectl(&arguments);
        match arguments[0] {
            "get" => assert_eq!(heads(lines.into_iter()), heads(printed.lines()), "{command}"),
            "describe" => {
                let (shown, printed) = (labels(lines.into_iter()), labels(printed.lines()));
                assert!(shown.len() > 3 && shown.is_subset(&printed), "{command}: {shown:?} {printed:?}");
            }
            "explain" => {
                let printed: Vec<_> = printed.trim_end().lines().map(str::trim_end).collect();
                assert_eq!(lines, printed, "{command}");
            }
            other => panic!("nobody knows what `kubectl {other}` is to print"),
        }
        verbs.insert(arguments[0]);
    }
    assert_eq!(verbs, BTreeSet::from(["describe", "explain", "get"]));
    let wide = plane.kubectl(&["get", "partitiongroups", "--output=wide"]);
    assert_eq!(table("column"), heads(wide.lines())[0][1..]);
}
