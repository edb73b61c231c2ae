//! `cargo xtask mutants`: puts known bugs into a copy of the project, one at a time, and sees whether the tests find them.
//!
//! A mutant is a patch in `tests/mutants`. Its first line says why it is a bug, its second who is to catch it: `sim`, the
//! simulator, or the name of a crate with its own tests. A mutant that survives is a hole in the tests.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these, by the names of their files without `.patch`.
    names: Vec<String>,

    /// How many seeds the simulator has to catch each.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
}

/// A bug to be found.
struct Mutant {
    name: String,
    patch: PathBuf,
    /// `sim` or a crate.
    catcher: String,
}

/// How the tests took it.
enum Verdict {
    /// By the simulator, at this seed.
    CaughtAtSeed(u64),
    /// By this test.
    CaughtBy(String),
    Survived,
}

/// Tries mutants; fails if one survives.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mutants = mutants(&arguments.names)?;
    let scratch = Scratch::new()?;
    let mut survivors = Vec::new();
    say(format_args!("{:<40} {:<12} {:>9}  seeds until caught, or the test", "mutant", "by", "seconds"))?;
    for mutant in &mutants {
        let begin = Instant::now();
        let verdict = scratch.judge(mutant, arguments.seeds)?;
        let shown = match verdict {
            Verdict::CaughtAtSeed(seed) => (seed + 1).to_string(),
            Verdict::CaughtBy(test) => test,
            Verdict::Survived => {
                survivors.push(mutant.name.as_str());
                "SURVIVED".to_owned()
            }
        };
        let took: Duration = begin.elapsed();
        say(format_args!("{:<40} {:<12} {:>9.0}  {shown}", mutant.name, mutant.catcher, took.as_secs_f64()))?;
    }
    say(format_args!("{} of {} caught", mutants.len() - survivors.len(), mutants.len()))?;
    ensure!(survivors.is_empty(), "these survived: {}", survivors.join(", "));
    Ok(())
}

fn say(line: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn mutants(names: &[String]) -> anyhow::Result<Vec<Mutant>> {
    let dir = root().join("tests/mutants");
    let mut mutants = Vec::new();
    for file in fs::read_dir(&dir)? {
        let patch = file?.path();
        let Some(name) = patch.file_name().and_then(|name| name.to_str()?.strip_suffix(".patch")) else {
            continue;
        };
        let text = fs::read_to_string(&patch)?;
        let catcher = text.lines().find_map(|line| line.strip_prefix("Caught by: "));
        let catcher = catcher.with_context(|| format!("{name} does not say who catches it"))?.to_owned();
        mutants.push(Mutant { name: name.to_owned(), patch: patch.clone(), catcher });
    }
    let known: BTreeSet<_> = mutants.iter().map(|mutant| mutant.name.clone()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(*name)) {
        bail!("there is no mutant {unknown}");
    }
    mutants.retain(|mutant| names.is_empty() || names.contains(&mutant.name));
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

/// A copy of the project, and where it is built.
struct Scratch {
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// Copies what git knows of, as it is in the working tree.
    fn new() -> anyhow::Result<Self> {
        let base = root().canonicalize()?.join("target/mutants");
        let scratch = Self { tree: base.join("tree"), target: base.join("target") };
        fs::create_dir_all(&scratch.tree)?;
        let listed = checked(Command::new("git").args(["ls-files", "-z"]).current_dir(root()))?;
        for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
            scratch.copy(name)?;
        }
        // A repository of its own: otherwise git would look for the files in the one around it.
        checked(Command::new("git").args(["init", "--quiet"]).current_dir(&scratch.tree))?;
        Ok(scratch)
    }

    /// Brings one file up to date. One that is unchanged keeps its time, so that it is not built again.
    fn copy(&self, name: &str) -> anyhow::Result<()> {
        let (from, to) = (root().join(name), self.tree.join(name));
        let Ok(content) = fs::read(&from) else { return Ok(()) };
        if fs::read(&to).is_ok_and(|old| old == content) {
            return Ok(());
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&to, content).with_context(|| format!("cannot write {}", to.display()))
    }

    fn judge(&self, mutant: &Mutant, seeds: u64) -> anyhow::Result<Verdict> {
        let patch = mutant.patch.canonicalize()?;
        let apply = |how: &[&str]| {
            checked(Command::new("git").args(["apply", "-p0"]).args(how).arg(&patch).current_dir(&self.tree))
        };
        apply(&[])?;
        let verdict = self.test(mutant, seeds);
        // Taken back from the copy: the working tree may have moved on meanwhile.
        apply(&["--reverse"])?;
        verdict.with_context(|| format!("mutant {}", mutant.name))
    }

    fn test(&self, mutant: &Mutant, seeds: u64) -> anyhow::Result<Verdict> {
        let package = match mutant.catcher.as_str() {
            "sim" => ["--package", "synod-testkit", "--test", "sim"].map(str::to_owned).to_vec(),
            name => ["--package".to_owned(), format!("synod-{name}"), "--lib".to_owned()].to_vec(),
        };
        let cargo = |last: &[&str]| {
            let mut command = Command::new("cargo");
            command.arg("test").args(&package).args(last).current_dir(&self.tree);
            command.env("CARGO_TARGET_DIR", &self.target).env("SYNOD_SIM_SEEDS", seeds.to_string());
            command.env("SYNOD_SIM_FAILURES", "1");
            command
        };
        checked(&mut cargo(&["--no-run"])).context("it does not compile")?;
        let tested = cargo(&["--", "--test-threads=1"]).stdin(Stdio::null()).output()?;
        if tested.status.success() {
            return Ok(Verdict::Survived);
        }
        let text =
            String::from_utf8_lossy(&tested.stdout).into_owned() + &String::from_utf8_lossy(&tested.stderr);
        let seed = text.lines().filter_map(failed_seed).min();
        let test = || text.lines().find_map(failed_test).unwrap_or("the test process").to_owned();
        Ok(seed.map_or_else(|| Verdict::CaughtBy(test()), Verdict::CaughtAtSeed))
    }
}

/// From the simulator: "seed 7 (replay it with …".
fn failed_seed(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("seed ")?;
    let (seed, _) = rest.split_once(" (replay it with")?;
    seed.parse().ok()
}

/// From the test runner: "test name ... FAILED".
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

fn checked(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tests_say_is_understood() {
        assert_eq!(failed_seed("seed 17 (replay it with `make sim SEED=17`): election safety"), Some(17));
        assert_eq!(failed_seed("seed 17 is fine"), None);
        assert_eq!(failed_test("test lock::it_is_fair ... FAILED"), Some("lock::it_is_fair"));
        assert_eq!(failed_test("test lock::it_is_fair ... ok"), None);
    }
}
