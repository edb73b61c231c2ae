//! A group, and the binary to use it with.

use std::process::Stdio;
use std::time::Duration;

use synod_tests::running::{Dev, binary};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// How long anything may take before it counts as hanging. Many tests share a machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A group of `synod dev`.
pub struct Synod {
    pub dir: TempDir,
    controller: String,
    dev: Dev,
}

/// What the binary printed, and how it ended.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Synod {
    /// A group "sample" that is ready.
    pub async fn start(partitions: u32, replicas: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("group.yaml");
        let group = format!(
            "apiVersion: synod.dev/v1alpha1\nkind: PartitionGroup\nmetadata: {{name: sample}}\n\
             spec: {{partitions: {partitions}, replicas: {replicas}}}\n"
        );
        std::fs::write(&file, group).unwrap();
        let dev = Dev::ready(&dir.path().join("data"), &[file.to_str().unwrap()]).await;
        Self { dir, controller: dev.controller_address(), dev }
    }

    /// Kills it, and all nodes with it.
    pub fn kill(self) {
        drop(self.dev);
    }

    /// The binary with these arguments, in an environment that tells where the group is and nothing else.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SYNOD_") {
                command.env_remove(name);
            }
        }
        command.env("SYNOD_CONTROLLER", &self.controller).args(arguments).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary.
    pub async fn run(&self, arguments: &[&str]) -> Answer {
        self.run_with_input(arguments, b"").await
    }

    /// Runs the binary with something on standard input.
    pub async fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Answer {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (written, output) = tokio::join!(
            async {
                // Whoever does not want it does not read it.
                let _ = stdin.write_all(input).await;
                drop(stdin);
            },
            timeout(PATIENCE, child.wait_with_output())
        );
        let ((), output) = (written, output.expect("it hangs").unwrap());
        Answer {
            code: output.status.code().expect("it was killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the binary, which must succeed and complain about nothing, and returns what it printed.
    pub async fn ok(&self, arguments: &[&str]) -> String {
        let answer = self.run(arguments).await;
        assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{arguments:?}: {answer:?}");
        answer.out
    }

    /// As [`Synod::ok`], for output in JSON.
    pub async fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(&[arguments, &["-o", "json"]].concat()).await).unwrap()
    }
}
