//! What a tree that is kept looks like.

use std::path::Path;

use super::{files_below, root};

/// Lines of a source file. About 400 is where a file should be thought about; here is where it stops.
const SOURCE_LINES_MAX: usize = 450;

/// Lines of a file of tests, which may be a long list.
const TEST_LINES_MAX: usize = 900;

/// Lines of a function: one screen.
const FUNCTION_LINES_MAX: usize = 75;

fn rust_files() -> Vec<(String, String)> {
    let below = |dir: &str| files_below(&root().join(dir));
    let files = below("src").into_iter().chain(below("tests"));
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (relative(&path), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests") || path.contains("/benches/")
}

fn assert_none(what: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{what}:\n{}", problems.join("\n"));
}

#[test]
fn the_root_holds_what_it_should() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "crds",
        "charts",
        "config",
        "tests",
        "README.md",
        "LICENSE",
        "Makefile",
        "Dockerfile",
        "target",
    ];
    let strangers: Vec<_> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !allowed.contains(&name.as_str()))
        .collect();
    assert_none("these do not belong at the root", &strangers);
}

#[test]
fn files_are_of_a_size_that_can_be_read() {
    let too_long: Vec<_> = rust_files()
        .into_iter()
        .filter_map(|(path, text)| {
            let lines = text.lines().count();
            let max = if is_test(&path) { TEST_LINES_MAX } else { SOURCE_LINES_MAX };
            (lines > max).then(|| format!("{path}: {lines} lines, at most {max}"))
        })
        .collect();
    assert_none("these files hold more than one concern", &too_long);
}

#[test]
fn functions_fit_on_a_screen() {
    let mut too_long = Vec::new();
    for (path, text) in rust_files() {
        for (name, lines) in functions(&text) {
            if lines > FUNCTION_LINES_MAX && !is_test(&path) {
                too_long.push(format!("{path}: {name} has {lines} lines, at most {FUNCTION_LINES_MAX}"));
            }
        }
    }
    assert_none("these functions do not fit on a screen", &too_long);
}

/// The functions of a formatted file, with their lengths: from the line with `fn` to the brace below it.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some((before, after)) = line.split_once("fn ") else { continue };
        let is_declaration = before.split_whitespace().all(|word| {
            matches!(word, "pub" | "const" | "async" | "unsafe" | "extern") || word.starts_with("pub(")
        });
        if !is_declaration {
            continue;
        }
        let has_body = lines[start..]
            .iter()
            .find(|line| line.ends_with(['{', ';']))
            .is_some_and(|line| line.ends_with('{'));
        if !has_body {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| *line == closing);
        let name = after.split(['(', '<']).next().unwrap_or_default();
        found.extend(length.map(|length| (name.to_owned(), length + 1)));
    }
    found
}

#[test]
fn names_say_something() {
    let vague = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];
    let bad: Vec<_> = rust_files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.split(['/', '.']).any(|part| vague.contains(&part)))
        .collect();
    assert_none("these names say nothing", &bad);
}

#[test]
fn nothing_is_left_over() {
    // In two halves, so that this file does not find itself.
    let markers = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["dbg", "!("],
        ["#[ig", "nore"],
        ["allow(dead", "_code)"],
        ["assert!(t", "rue)"],
    ]
    .map(|halves| halves.concat());
    let mut found = Vec::new();
    for (path, text) in rust_files() {
        for (number, line) in text.lines().enumerate() {
            if markers.iter().any(|marker| line.contains(marker)) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none("these are left over", &found);
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> = rust_files()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!") && !text.starts_with("#![doc"))
        .map(|(path, _)| path)
        .collect();
    assert_none("these modules have no documentation", &silent);
}

#[test]
fn no_path_of_a_machine_is_in_the_tree() {
    let homes =
        [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"]].map(|halves| halves.concat());
    let mut found = Vec::new();
    for path in files_below(root()) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let name = relative(&path);
        if name == "Cargo.lock" || name.starts_with("target/") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if homes.iter().any(|home| line.contains(home)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none("these are paths of somebody's machine", &found);
}
