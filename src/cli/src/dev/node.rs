//! One node: its process is kept running, and asked how things are.
//!
//! Two tasks do that. The keeper starts the process, and starts it again when it ends, later each time. The poller asks
//! its admin service for the status, several times a second.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use synod_operator::membership::AdminChannel;
use synod_proto::admin::v1::{Phase, StatusResponse};
use tokio::process::Child;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};

use super::console;
use super::launch::{Launch, Process, terminate};

/// How long to wait before a process that ended is started again: at first, and at most.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// A process that ran for so long was fine.
const STABLE: Duration = Duration::from_secs(60);

/// How often a node is asked how things are: this is how soon a change of leader is seen.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How often one that does not answer yet is asked.
const POLL_INTERVAL_STARTING: Duration = Duration::from_millis(20);

/// How long it has for the answer.
const POLL_PATIENCE: Duration = Duration::from_secs(1);

/// How often to look whether somebody deleted its data.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long a process may take to stop in order.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// What is to become of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Run,
    /// Stop in order.
    Stop,
    /// Stop now.
    Kill,
}

/// What a node said last.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// When it was asked: what happened after that may not show.
    pub(super) asked_at: Instant,
    /// None if it did not answer.
    pub(super) status: Option<StatusResponse>,
}

/// A node that is kept.
#[derive(Debug)]
pub(super) struct Node {
    view: watch::Receiver<View>,
    order: watch::Sender<Order>,
    ask_now: Arc<Notify>,
    keeper: JoinHandle<()>,
    poller: JoinHandle<()>,
}

impl Node {
    /// Starts to keep a node. `label` names it in messages; `group` is "namespace/name"; `wake` is told whenever there
    /// is a new view.
    pub(super) fn start(
        name: &str,
        group: &str,
        launch: Launch,
        dir: PathBuf,
        channel: AdminChannel,
        wake: Arc<Notify>,
    ) -> Self {
        let order = watch::Sender::new(Order::Run);
        let views = watch::Sender::new(View { asked_at: Instant::now(), status: None });
        let process = watch::Sender::new(None);
        let ask_now = Arc::new(Notify::new());
        let poller = Poller { channel, process: process.subscribe(), views, ask_now: ask_now.clone(), wake };
        let view = poller.views.subscribe();
        let keeper = Keeper {
            label: format!("{name} of {group}"),
            group: group.to_owned(),
            launch,
            dir,
            order: order.subscribe(),
            view: view.clone(),
            process,
        };
        let (keeper, poller) = (tokio::spawn(keeper.run()), tokio::spawn(poller.run()));
        Self { view, order, ask_now, keeper, poller }
    }

    /// What it said last.
    pub(super) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Asks it again, now.
    pub(super) fn ask_now(&self) {
        self.ask_now.notify_one();
    }

    /// It is of interest no more, but for its end: how to tell it to stop, and the task that ends when it has.
    pub(super) fn dismiss(self) -> (watch::Sender<Order>, JoinHandle<()>) {
        self.poller.abort();
        (self.order, self.keeper)
    }
}

/// Passes an order on to tasks, and every later one, until they have ended.
pub(super) async fn forward(
    tasks: impl Iterator<Item = (watch::Sender<Order>, JoinHandle<()>)>,
    mut order: watch::Receiver<Order>,
) {
    let (orders, tasks): (Vec<_>, Vec<_>) = tasks.unzip();
    let mut ended = join_all(tasks);
    loop {
        let now = *order.borrow_and_update();
        for each in &orders {
            each.send_replace(now);
        }
        tokio::select! {
            ended = &mut ended => {
                if ended.iter().any(Result::is_err) {
                    console::warn("not everything was stopped in order");
                }
                return;
            }
            Ok(()) = order.changed() => {}
        }
    }
}

struct Poller {
    channel: AdminChannel,
    process: watch::Receiver<Option<u32>>,
    views: watch::Sender<View>,
    ask_now: Arc<Notify>,
    wake: Arc<Notify>,
}

impl Poller {
    async fn run(mut self) {
        loop {
            let runs = self.process.borrow_and_update().is_some();
            let asked_at = Instant::now();
            let status = if runs { self.channel.status(POLL_PATIENCE).await.ok() } else { None };
            let pause = if status.is_none() && runs { POLL_INTERVAL_STARTING } else { POLL_INTERVAL };
            self.views.send_replace(View { asked_at, status });
            self.wake.notify_one();
            tokio::select! {
                () = sleep(pause) => {}
                () = self.ask_now.notified() => {}
                changed = self.process.changed() => if changed.is_err() { return },
            }
        }
    }
}

struct Keeper {
    label: String,
    group: String,
    launch: Launch,
    dir: PathBuf,
    order: watch::Receiver<Order>,
    view: watch::Receiver<View>,
    /// The process, while there is one.
    process: watch::Sender<Option<u32>>,
}

/// Why a process is no more.
enum End {
    Ordered,
    DataDeleted,
    Exited(String),
}

impl Keeper {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        let mut is_news = false;
        while *self.order.borrow() == Order::Run {
            let started = Instant::now();
            let why = match self.launch.start() {
                Err(error) => format!("cannot be started: {error}"),
                Ok(process) => match self.attend(process, is_news).await {
                    End::Ordered => return,
                    End::DataDeleted => {
                        console::say(format_args!(
                            "{} has lost its data: it starts again, blank",
                            self.label
                        ));
                        continue;
                    }
                    End::Exited(why) => why,
                },
            };
            is_news = true;
            if started.elapsed() > STABLE {
                backoff = BACKOFF_MIN;
            }
            console::warn(format_args!(
                "{} {why}; it starts again in {} ms",
                self.label,
                backoff.as_millis()
            ));
            tokio::select! {
                () = sleep(backoff) => {}
                _ = self.order.changed() => {}
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Stays with a process until its end. If it is news that it runs, that is said.
    async fn attend(&mut self, process: Process, mut is_news: bool) -> End {
        let Process { mut child, tail, lifeline, pid } = process;
        self.process.send_replace(child.id());
        let started = Instant::now();
        let mut look = interval(LOOK_INTERVAL);
        let end = loop {
            tokio::select! {
                exit = child.wait() => break End::Exited(how(exit)),
                _ = self.order.changed() => {
                    self.stop(&mut child).await;
                    break End::Ordered;
                }
                _ = look.tick() => {}
            }
            let view = self.view.borrow().clone();
            let Some(status) = view.status.filter(|_| view.asked_at > started) else { continue };
            if std::mem::take(&mut is_news) {
                console::say(format_args!("{} runs again", self.label));
            }
            if is_deleted(&self.dir, &self.group, &status) {
                // It still has the files open and goes on as if they were there: what it acknowledges is lost when it ends.
                // That it is gone already is just as well.
                let _ = child.kill().await;
                break End::DataDeleted;
            }
        };
        drop((lifeline, pid));
        self.process.send_replace(None);
        let last_line = match tail {
            Some(tail) => tokio::task::spawn_blocking(|| tail.last_line()).await.unwrap_or_default(),
            None => String::new(),
        };
        match end {
            End::Exited(how) if last_line.contains("error: ") => End::Exited(format!("{how} ({last_line})")),
            end => end,
        }
    }

    async fn stop(&mut self, child: &mut Child) {
        if *self.order.borrow() == Order::Stop {
            terminate(child);
            tokio::select! {
                exit = timeout(STOP_PATIENCE, child.wait()) => if exit.is_ok() { return },
                _ = self.order.changed() => {}
            }
        }
        // An error means that it has ended.
        let _ = child.kill().await;
    }
}

fn how(exit: std::io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match exit.map(|status| (status.code(), status.signal())) {
        Ok((Some(code), _)) => format!("stopped with exit code {code}"),
        Ok((None, Some(signal))) => format!("was killed by signal {signal}"),
        Ok((None, None)) => "stopped".to_owned(),
        Err(error) => format!("cannot be watched: {error}"),
    }
}

/// Whether somebody deleted the directory of a node that says it has one, or that of a replica which it says it has.
fn is_deleted(dir: &Path, group: &str, status: &StatusResponse) -> bool {
    let is_missing = |path: PathBuf| matches!(path.try_exists(), Ok(false));
    let replicas = dir.join("replicas").join(group);
    let kept = status.replicas.iter().filter(|replica| replica.phase() != Phase::Blank);
    let mut homes = kept.map(|replica| replicas.join(replica.partition.to_string()).join("identity"));
    is_missing(dir.join("lock")) || homes.any(is_missing)
}

#[cfg(test)]
mod tests {
    use synod_proto::admin::v1::Replica;

    use super::*;

    #[test]
    fn deleted_data_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let replica =
            |partition, phase: Phase| Replica { partition, phase: phase as i32, ..Replica::default() };
        let status = |replicas| StatusResponse { replicas, ..StatusResponse::default() };
        let nothing = status(Vec::new());
        assert!(is_deleted(dir, "default/sample", &nothing));
        std::fs::write(dir.join("lock"), "").unwrap();
        assert!(!is_deleted(dir, "default/sample", &nothing));
        let running = status(vec![replica(0, Phase::Blank), replica(1, Phase::Running)]);
        assert!(is_deleted(dir, "default/sample", &running));
        std::fs::create_dir_all(dir.join("replicas/default/sample/1")).unwrap();
        std::fs::write(dir.join("replicas/default/sample/1/identity"), "").unwrap();
        assert!(!is_deleted(dir, "default/sample", &running));
    }
}
