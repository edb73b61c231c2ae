//! What the binary says of itself. (That there is a test here makes `cargo test` build the binary, which the tests of
//! the whole run.)

use std::io;
use std::process::{Command, Output};

fn synod(arguments: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_synod")).args(arguments).output()
}

#[test]
fn it_tells_its_version_and_its_commands() {
    let version = synod(&["--version"]).unwrap();
    let expected = format!("synod {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
    let help = String::from_utf8(synod(&["--help"]).unwrap().stdout).unwrap();
    for command in ["dev", "node"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
    }
}

#[test]
fn what_it_does_not_know_it_refuses() {
    let refused = synod(&["dev", "--nothing"]).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("--nothing") && told.contains("--help"), "{told}");
}
