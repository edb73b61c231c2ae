//! Groups that `synod dev` runs.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use synod_client::controller::Controller;
use synod_client::{Client, Credentials};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::binary;

/// How long anything may take before it counts as hanging. Many tests share a machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running `synod dev`. Dropped, it is killed, and its nodes end with it.
pub struct Dev {
    dir: PathBuf,
    child: Child,
    out: watch::Receiver<String>,
    err: watch::Receiver<String>,
}

/// What a process said, and how it ended.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

/// The part of `state.yaml` that tells what runs where.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub controller_port: u16,
    pub groups: Vec<Group>,
}

/// A group in it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Group {
    pub nodes: Vec<Node>,
}

/// A node in it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Node {
    pub name: String,
    pub ports: Ports,
}

/// The ports of a node.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Ports {
    pub client: u16,
    pub peer: u16,
    pub metrics: u16,
}

impl Dev {
    /// Starts `synod dev` with data in a directory, on ports that are free, or those that it had before.
    pub fn start(dir: &Path, arguments: &[&str]) -> Self {
        let ports: &[_] = if dir.join("state.yaml").exists() { &[] } else { &["--ports", "auto"] };
        Self::start_as_told(dir, &[ports, arguments].concat())
    }

    /// Starts `synod dev` with data in a directory.
    pub fn start_as_told(dir: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SYNOD_"))
        {
            command.env_remove(name);
        }
        command.arg("dev").arg("--data-dir").arg(dir).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (out, err) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        Self { dir: dir.to_owned(), child, out, err }
    }

    /// Starts it and waits until all groups are ready.
    pub async fn ready(dir: &Path, arguments: &[&str]) -> Self {
        let dev = Self::start(dir, arguments);
        dev.says("Ctrl-C stops it").await;
        dev
    }

    /// Waits until it says something on its standard output.
    pub async fn says(&self, text: &str) {
        self.hear(self.out.clone(), text).await;
    }

    /// Waits until it says something on its standard error.
    pub async fn warns(&self, text: &str) {
        self.hear(self.err.clone(), text).await;
    }

    async fn hear(&self, mut from: watch::Receiver<String>, text: &str) {
        let heard = timeout(PATIENCE, from.wait_for(|from| from.contains(text))).await;
        let is_heard = matches!(heard, Ok(Ok(_)));
        assert!(is_heard, "it never said \"{text}\":\n{}\n{}", *self.out.borrow(), *self.err.borrow());
    }

    /// What it said on its standard output until now.
    pub fn said(&self) -> String {
        self.out.borrow().clone()
    }

    /// The process of the supervisor.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> Output {
        let ended = timeout(PATIENCE, async {
            let status = self.child.wait().await.unwrap();
            // They end with the last process that holds the other end.
            while self.out.changed().await.is_ok() {}
            while self.err.changed().await.is_ok() {}
            status
        });
        let ended = ended.await;
        let (out, err) = (self.out.borrow().clone(), self.err.borrow().clone());
        match ended {
            Ok(status) => Output { status, out, err },
            Err(_) => panic!("it does not end:\n{out}\n{err}"),
        }
    }

    /// Ctrl-C: stops everything in order.
    pub async fn stop(mut self) -> Output {
        self.signal(Signal::INT);
        self.ended().await
    }

    /// What runs where.
    pub fn state(&self) -> State {
        let path = self.dir.join("state.yaml");
        serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// The host:port of the controller.
    pub fn controller_address(&self) -> String {
        format!("127.0.0.1:{}", self.state().controller_port)
    }

    /// The controller.
    pub fn controller(&self) -> Controller {
        Controller::new(&format!("http://{}", self.controller_address()), Credentials::None).unwrap()
    }

    /// A client of all groups.
    pub async fn client(&self) -> Client {
        let builder = Client::builder().controller(format!("http://{}", self.controller_address()));
        builder.request_timeout(PATIENCE).build().await.unwrap()
    }

    /// The directory of a group, in namespace "default".
    pub fn group_dir(&self, group: &str) -> PathBuf {
        self.dir.join("default").join(group)
    }

    /// The process of a node, if there is one now.
    pub fn node_pid(&self, group: &str, node: &str) -> Option<Pid> {
        let text = std::fs::read_to_string(self.group_dir(group).join(format!("{node}.pid"))).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// Kills the process of a node, and waits until another one runs in its place.
    pub async fn kill_node(&self, group: &str, node: &str) {
        let pid = self.node_pid(group, node).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        eventually("another process takes its place", || {
            self.node_pid(group, node).is_some_and(|other| other != pid)
        })
        .await;
    }

    /// Waits until a group is ready, as the controller says.
    pub async fn group_is_ready(&self, group: &str) -> synod_client::controller::Group {
        let controller = self.controller();
        let begin = Instant::now();
        loop {
            let now = controller.group("default", group).await.unwrap();
            if now.ready {
                return now;
            }
            assert!(begin.elapsed() < PATIENCE, "it is not ready: {}", now.message);
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until something is so.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process lives. One that has ended does not, also if nobody has asked how yet.
pub fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

/// What a process says, line by line, as it comes.
fn collect(source: impl AsyncRead + Send + Unpin + 'static) -> watch::Receiver<String> {
    let (said, hears) = watch::channel(String::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(source).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.send_modify(|text| {
                text.push_str(&line);
                text.push('\n');
            });
        }
    });
    hears
}
