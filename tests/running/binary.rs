//! Where the binary is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The binary `synod` as the tree is now, in the profile of the test that asks.
///
/// `cargo test --workspace` has built it before any test runs. Where less was asked for, it may be missing or older than
/// its sources; then it is built here.
///
/// # Panics
/// When it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("synod", &["--package", "synod-cli"]))
}

/// The binary of an example of the client, alike.
///
/// # Panics
/// When it cannot be built.
pub fn example(name: &str) -> PathBuf {
    built(&format!("examples/{name}"), &["--package", "synod-client", "--example", name])
}

fn built(name: &str, package: &[&str]) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let binary = profile.join(name);
    if !is_fresh(&binary) {
        build(profile, package);
    }
    assert!(binary.exists(), "\"{}\" is missing: run cargo build {}", binary.display(), package.join(" "));
    binary
}

fn build(profile: &Path, package: &[&str]) {
    let name = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--profile", name, "--target-dir"])
        .arg(profile.parent().unwrap())
        .args(package)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = command.status().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    assert!(status.success(), "{command:?} failed: {status}");
}

/// Whether the binary is newer than everything that it was built from, which cargo lists beside it.
fn is_fresh(binary: &Path) -> bool {
    let Some(built) = modified(binary) else { return false };
    let Ok(sources) = std::fs::read_to_string(binary.with_extension("d")) else { return false };
    let Some((_, sources)) = sources.split_once(": ") else { return false };
    // Spaces in a path are escaped.
    let sources = sources.trim().replace("\\ ", "\0");
    let mut sources = sources.split(' ').map(|source| PathBuf::from(source.replace('\0', " ")));
    sources.all(|source| modified(&source).is_some_and(|modified| modified <= built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
