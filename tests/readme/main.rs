//! What the README tells people to type, typed: every command block runs against one group, from top to bottom.
//!
//! - In a `console` block the lines after `$ ` are commands, and the others are exactly what the command before prints.
//! - In a `sh` block every line is a command.
//! - A `bash` block is for a Kubernetes cluster: `tests/e2e/run` types what is in it.
//! - What cargo would build for release is built for these tests already, in their own profile. The command that runs the
//!   tests is not run by them.
//! - The Rust program in it is an example of the client, which `cargo test` compiles.

use std::path::Path;
use std::time::Duration;

use synod_tests::running::{Dev, binary, example};
use tokio::process::Command;
use tokio::time::timeout;

const README: &str = include_str!("../../README.md");
const EXAMPLE: &str = include_str!("../../src/client/examples/readme.rs");

const START: &str = "cargo run --release -- dev ";
const EXAMPLES: &str = "cargo run --release --package synod-client --example ";
const TESTS: &str = "cargo test --workspace";

const PATIENCE: Duration = Duration::from_secs(600);

/// A fenced block.
struct Block {
    language: String,
    lines: Vec<&'static str>,
}

/// A command, and what it is to print, if that is said.
struct Typed {
    command: &'static str,
    prints: Option<String>,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_open = false;
    for line in README.lines() {
        match line.strip_prefix("```") {
            Some(language) if !is_open => {
                blocks.push(Block { language: language.to_owned(), lines: Vec::new() });
                is_open = true;
            }
            Some(_) => is_open = false,
            None if is_open => blocks.last_mut().unwrap().lines.push(line),
            None => {}
        }
    }
    assert!(!is_open, "the last block does not end");
    blocks
}

fn commands() -> Vec<Typed> {
    let mut commands: Vec<Typed> = Vec::new();
    for block in blocks() {
        match block.language.as_str() {
            "sh" => commands.extend(block.lines.into_iter().map(|command| Typed { command, prints: None })),
            "console" => {
                for line in block.lines {
                    match line.strip_prefix("$ ") {
                        Some(command) => commands.push(Typed { command, prints: Some(String::new()) }),
                        None => {
                            let prints = commands.last_mut().and_then(|typed| typed.prints.as_mut());
                            prints.expect("a console block begins with a command").extend([line, "\n"]);
                        }
                    }
                }
            }
            "rust" | "text" | "bash" => {}
            other => panic!("what is a block of \"{other}\"?"),
        }
    }
    commands
}

/// Runs a command as somebody would who has followed the README so far.
async fn run(root: &Path, command: &str, controller: &str) -> String {
    let path = format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(root).kill_on_drop(true);
    shell.env("PATH", path).env("SYNOD_CONTROLLER", controller);
    let output = timeout(PATIENCE, shell.output()).await;
    let output = output.unwrap_or_else(|_| panic!("`{command}` does not end")).unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{command}`: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

#[tokio::test]
async fn every_command_does_what_the_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let data = tempfile::tempdir().unwrap();
    let (mut group, mut ran) = (None, 0);
    for Typed { command, prints } in commands() {
        if let Some(files) = command.strip_prefix(START) {
            let files: Vec<_> = files.split(' ').map(|file| root.join(file)).collect();
            let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
            group = Some(Dev::ready(data.path(), &files).await);
        } else if command != TESTS {
            let group = group.as_ref().expect("the README starts a group first");
            let controller = format!("http://{}", group.controller_address());
            let built = command.strip_prefix(EXAMPLES).map(|name| example(name).display().to_string());
            let printed = run(root, built.as_deref().unwrap_or(command), &controller).await;
            if let Some(prints) = prints {
                assert_eq!(printed, prints, "`{command}`");
            }
            ran += 1;
        }
    }
    assert!(ran > 10, "the README has {ran} commands");
    let output = group.unwrap().stop().await;
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_readme_names_the_tests() {
    assert!(commands().iter().any(|typed| typed.command == TESTS));
}

#[test]
fn the_program_in_the_readme_is_the_example() {
    let program = blocks().into_iter().find(|block| block.language == "rust").unwrap();
    let example: Vec<_> = EXAMPLE.lines().map(str::trim).collect();
    let program: Vec<_> = program.lines.into_iter().map(str::trim).collect();
    let (uses, body) = program.split_at(program.iter().position(|line| line.is_empty()).unwrap());
    for part in [uses, &body[1..]] {
        assert!(example.windows(part.len()).any(|window| window == part), "{part:#?}");
    }
}
