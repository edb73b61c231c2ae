//! The table of allowed dependencies between crates.
//!
//! A crate that is not in the table, or that uses one that its row does not allow, fails here. Change the table
//! together with the picture in the README, and say why.

use std::collections::BTreeMap;
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use super::root;

/// What each crate may depend on. `client` may use `node` only to run a group inside the caller's process, which is an
/// optional feature.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("types", &[]),
    ("api", &["types"]),
    ("proto", &["types"]),
    ("protocol", &["types"]),
    ("storage", &["types"]),
    ("primitives", &["types", "proto", "storage"]),
    ("replica", &["types", "proto", "protocol", "storage", "primitives"]),
    ("node", &["types", "proto", "protocol", "storage", "primitives", "replica"]),
    ("client", &["types", "proto", "node?"]),
    ("operator", &["api", "client", "types", "proto"]),
    (
        "cli",
        &[
            "types",
            "api",
            "proto",
            "protocol",
            "storage",
            "primitives",
            "replica",
            "node",
            "client",
            "operator",
        ],
    ),
    ("testkit", &["types", "api", "proto", "protocol", "storage", "primitives", "replica", "node", "client"]),
    ("xtask", &["api"]),
    (
        "tests",
        &[
            "types",
            "api",
            "proto",
            "protocol",
            "storage",
            "primitives",
            "replica",
            "node",
            "client",
            "operator",
            "testkit",
        ],
    ),
];

/// What tests of a crate may use beside what the crate may.
const ALLOWED_IN_TESTS: [&str; 2] = ["testkit", "node"];

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    metadata.packages
}

fn short(name: &str) -> Option<&str> {
    name.strip_prefix("synod-")
}

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    let table: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    let mut problems = Vec::new();
    for package in packages() {
        let name = short(&package.name).unwrap();
        let Some(allowed) = table.get(name) else {
            problems.push(format!("{name} is not in the table"));
            continue;
        };
        for dependency in &package.dependencies {
            let Some(used) = short(&dependency.name) else { continue };
            let optional = format!("{used}?");
            let fits = match dependency.kind {
                DependencyKind::Development => ALLOWED_IN_TESTS.contains(&used) || allowed.contains(&used),
                _ if dependency.optional => allowed.contains(&optional.as_str()) || allowed.contains(&used),
                _ => allowed.contains(&used),
            };
            if !fits {
                problems.push(format!("{name} must not depend on {used}"));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn every_row_of_the_table_is_a_crate() {
    let packages = packages();
    let names: Vec<_> = packages.iter().filter_map(|package| short(&package.name)).collect();
    for (name, _) in ALLOWED {
        assert!(names.contains(&name), "{name} is in the table, and there is no such crate");
    }
}

/// The replicated core and all below it must run in the simulator: no runtime, no network, in what they pull in.
#[test]
fn the_core_pulls_in_no_runtime() {
    for package in ["synod-protocol", "synod-primitives", "synod-replica", "synod-storage"] {
        let listed = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", package])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let tree = String::from_utf8(listed.stdout).unwrap();
        assert!(tree.contains("synod-types"), "{tree}");
        for banned in ["tokio v", "tonic v", "hyper v", "mio v"] {
            assert!(!tree.contains(banned), "{package} pulls in {banned}:\n{tree}");
        }
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for package in packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        let own = short(&package.name) == Some("tests");
        assert!(own || manifest.contains("[lints]\nworkspace = true"), "{} has no [lints]", package.name);
    }
}
