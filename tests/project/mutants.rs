//! The mutants of `tests/mutants`: product bugs as patches, for `make mutants`. Here only that each still fits the code.

use std::fs;
use std::process::Command;

use super::root;

/// Fewer would not cover the known classes of bugs.
const MUTANTS_MIN: usize = 30;

#[test]
fn every_mutant_says_why_and_fits_the_code() {
    let mut problems = Vec::new();
    let dir = root().join("tests/mutants");
    let mut patches: Vec<_> = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
    patches.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    assert!(patches.len() >= MUTANTS_MIN, "there are {} mutants", patches.len());
    for patch in patches {
        let text = fs::read_to_string(&patch).unwrap();
        let mut lines = text.lines();
        let why = lines.next().unwrap_or_default();
        let by = lines.next().unwrap_or_default();
        if !why.ends_with('.') || !by.starts_with("Caught by: ") {
            problems.push(format!("{}: begin with why, then \"Caught by: …\"", patch.display()));
        }
        let checked = Command::new("git")
            .args(["apply", "--check", "-p0"])
            .arg(&patch)
            .current_dir(root())
            .output()
            .expect("this test needs git");
        if !checked.status.success() {
            problems.push(format!(
                "{}: {}",
                patch.display(),
                String::from_utf8_lossy(&checked.stderr).trim()
            ));
        }
    }
    assert!(problems.is_empty(), "write these anew:\n{}", problems.join("\n"));
}
