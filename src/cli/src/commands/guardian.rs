//! Stops a command whose keeper was killed.
//!
//! The keeper, `lock run` or `election run`, holds the other end of the guardian's standard input. If that ends without a
//! word, the keeper is gone, and the command runs under what nobody keeps any more.

use std::io::{self, Read as _};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, kill_process, kill_process_group, test_kill_process, test_kill_process_group,
};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::exit::{Exit, Failure};
use crate::progress::say;

/// What the keeper says when the command has ended.
const DISMISSED: &[u8] = b"dismissed";

/// How often it is looked whether processes are gone.
const INTERVAL: Duration = Duration::from_millis(20);

/// Stop a command when standard input ends.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    pid: i32,
    grace_ms: u64,
    #[arg(long)]
    alone: bool,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|pid| !pid.is_init()) else {
            return Err(Failure::usage(format!("{} is no process that can be stopped", self.pid)));
        };
        let mut said = Vec::new();
        // Whatever ends standard input, an error too: nobody is there any more.
        let _ = io::stdin().lock().take(64).read_to_end(&mut said);
        if said == DISMISSED {
            return Ok(Exit::SUCCESS);
        }
        say("the process that kept the lock or the leadership is gone: its command is stopped");
        Processes { pid, is_alone: self.alone }.stop(Duration::from_millis(self.grace_ms)).await;
        Ok(Exit::LOST)
    }
}

/// The processes of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processes {
    pid: Pid,
    /// Only the one that was started, not its whole process group.
    is_alone: bool,
}

impl Processes {
    /// Those of a command that was started under this id.
    pub(super) fn of(id: Option<u32>, is_alone: bool) -> Option<Self> {
        let pid = i32::try_from(id?).ok().and_then(Pid::from_raw)?;
        Some(Self { pid, is_alone })
    }

    pub(super) fn send(self, signal: Signal) {
        // A process that is gone needs no signal any more.
        let _ = match self.is_alone {
            true => kill_process(self.pid, signal),
            false => kill_process_group(self.pid, signal),
        };
    }

    fn exist(self) -> bool {
        match self.is_alone {
            true => test_kill_process(self.pid).is_ok(),
            false => test_kill_process_group(self.pid).is_ok(),
        }
    }

    /// Tells them to stop, and kills those that do not within the grace. Whoever started them collects them meanwhile.
    pub(super) async fn stop(self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.send(Signal::TERM);
        // One that is suspended would not notice.
        self.send(Signal::CONT);
        while self.exist() {
            if Instant::now() >= deadline {
                say("it has not stopped in time, and is killed");
                self.send(Signal::KILL);
                return;
            }
            sleep(INTERVAL).await;
        }
    }
}

/// A guardian, as its keeper knows it.
pub(super) struct Guardian {
    child: Child,
}

impl Guardian {
    /// Starts one for a command that has just begun: if this process is killed before the guardian runs, a few
    /// milliseconds, the command goes on. So it does if there can be no guardian.
    pub(super) fn start(processes: Processes, grace: Duration) -> Option<Self> {
        let started = std::env::current_exe().and_then(|program| {
            let mut command = Command::new(program);
            command.arg("guardian");
            if processes.is_alone {
                command.arg("--alone");
            }
            command.arg(processes.pid.as_raw_nonzero().to_string()).arg(grace.as_millis().to_string());
            // In a group of its own, so that no signal of a terminal ends it before it is needed.
            command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
        });
        let why = |error| say(&format!("if this process is killed, the command goes on: {error}"));
        started.map_err(why).ok().map(|child| Self { child })
    }

    /// It is not needed any more.
    pub(super) async fn dismiss(mut self) {
        if let Some(mut keeper) = self.child.stdin.take() {
            // One that is gone needs no dismissal.
            let _ = keeper.write_all(DISMISSED).await;
        }
        let _ = self.child.wait().await;
    }
}
