//! Runs a command for as long as something is held: a lock, the leadership of an election.
//!
//! The command must not outlive what it runs under. When that is lost, the command is told to stop (SIGTERM), and after a
//! grace it is killed, with everything that it started: it is the leader of a process group of its own. So this process
//! passes on the signals that it gets, which a terminal would otherwise send to the command as well. When this process
//! itself is killed, a guardian stops the command in its place: a process of this binary that does nothing else.
//!
//! What no process can promise is in the fence: hand it to whatever the lock protects.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream, SelectAll};
use rustix::process::Signal;
use synod_client::Fence;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::guardian::{Guardian, Processes};
use crate::exit::{Exit, Failure};
use crate::input;
use crate::progress::say;

/// The signals that are passed on to the command.
const PASSED_ON: [Signal; 6] =
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// The command, and how it is treated.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Program {
    /// How long the command may take to stop after what it runs under was lost: a tenth of the session timeout, at most
    /// 1 second, if nothing is said. With more than a tenth it may go on while somebody else holds it.
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    grace: Option<Duration>,

    /// Leave the terminal to the command. If it has to be stopped, what it started is not.
    #[arg(long, short)]
    interactive: bool,

    /// How soon it is free for others when this process dies or is cut off: 1 second to 24 hours.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = input::duration)]
    pub(super) session_timeout: Duration,

    /// The command and its arguments, after "--".
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// How a command has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, or by a signal that was passed on.
    Itself(Exit),
    /// It was stopped, because of this.
    Lost(String),
}

/// What a command runs under.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) fence: Fence,
    /// In which variable the command finds the name.
    pub(super) variable: &'static str,
    pub(super) name: &'a str,
    /// Whether a guardian stops the command if this process cannot.
    pub(super) is_guarded: bool,
}

/// A command that runs.
struct Run {
    child: Child,
    processes: Option<Processes>,
    is_interactive: bool,
}

/// The longest that a command may take to stop if nothing is said.
const GRACE_MAX: Duration = Duration::from_secs(1);

impl Program {
    /// What is lost for want of a confirmation counts as lost a tenth of the session timeout before anybody else can get
    /// it.
    fn grace(&self) -> Duration {
        self.grace.unwrap_or_else(|| (self.session_timeout / 10).min(GRACE_MAX))
    }

    /// Runs the command until it ends, or `lost` says why it has to.
    pub(super) async fn run(
        self,
        held: Held<'_>,
        signals: &mut Signals,
        lost: impl Future<Output = String>,
    ) -> Result<Ended, Failure> {
        let child = self.start(held)?;
        let processes = Processes::of(child.id(), self.interactive);
        let guardian =
            processes.filter(|_| held.is_guarded).and_then(|them| Guardian::start(them, self.grace()));
        let mut run = Run { child, processes, is_interactive: self.interactive };
        let mut lost = std::pin::pin!(lost);
        let ended = loop {
            tokio::select! {
                biased;
                why = &mut lost => {
                    run.stop(&why, self.grace()).await?;
                    break Ended::Lost(why);
                }
                status = run.child.wait() => break Ended::Itself(exit_of(status.map_err(unwaitable)?)),
                signal = signals.next() => run.pass_on(signal),
            }
        };
        if let Some(guardian) = guardian {
            guardian.dismiss().await;
        }
        Ok(ended)
    }

    fn start(&self, held: Held<'_>) -> Result<Child, Failure> {
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(Failure::usage("there is no command: say one after \"--\""));
        };
        let mut command = Command::new(program);
        command.args(arguments).env("SYNOD_FENCE", held.fence.to_string()).env(held.variable, held.name);
        command.kill_on_drop(true);
        if !self.interactive {
            command.process_group(0);
            // Outside the group that the terminal belongs to, reading from it would stop the command for ever.
            if io::IsTerminal::is_terminal(&io::stdin()) {
                command.stdin(Stdio::null());
            }
        }
        command.spawn().map_err(|error| {
            let exit = match error.kind() {
                io::ErrorKind::NotFound => Exit::NO_PROGRAM,
                _ => Exit::NOT_EXECUTABLE,
            };
            Failure::new(exit, format!("cannot run the command {program:?}: {error}"))
        })
    }
}

impl Run {
    fn pass_on(&self, signal: Option<Signal>) {
        match (signal, self.processes) {
            // The terminal sends these to the command, too.
            (Some(Signal::INT | Signal::QUIT), _) if self.is_interactive => {}
            (Some(signal), Some(processes)) => processes.send(signal),
            (Some(_), None) => {}
            // Stopped, this process could not keep what it holds, and would not see that it is lost.
            (None, _) => say("cannot be suspended while the command runs"),
        }
    }

    /// Makes sure that nothing of the command runs any more.
    async fn stop(&mut self, why: &str, grace: Duration) -> Result<(), Failure> {
        say(&format!("{why}: the command is stopped"));
        let stop = async {
            if let Some(processes) = self.processes {
                processes.stop(grace).await;
            }
        };
        let ((), ended) = tokio::join!(stop, self.child.wait());
        ended.map_err(unwaitable)?;
        Ok(())
    }
}

fn unwaitable(error: io::Error) -> Failure {
    Failure::new(Exit::FAULT, format!("cannot wait for the command: {error}"))
}

fn exit_of(status: ExitStatus) -> Exit {
    let by_signal = || Exit::signalled(status.signal().unwrap_or_default());
    status.code().map_or_else(by_signal, |code| Exit(u8::try_from(code & 0xff).unwrap_or(u8::MAX)))
}

/// The signals of this process. None of them ends it any more.
pub(super) struct Signals {
    arriving: SelectAll<BoxStream<'static, Option<Signal>>>,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        let mut arriving = SelectAll::new();
        let suspend = (Signal::TSTP, None);
        for (caught, told) in PASSED_ON.map(|signal| (signal, Some(signal))).into_iter().chain([suspend]) {
            let caught = signal(SignalKind::from_raw(caught.as_raw()))
                .map_err(|error| Failure::new(Exit::FAULT, format!("cannot wait for signals: {error}")))?;
            let each = stream::unfold(caught, move |mut caught| async move {
                caught.recv().await.map(|()| (told, caught))
            });
            arriving.push(each.boxed());
        }
        Ok(Self { arriving })
    }

    /// The next signal; none for the one that would suspend this process.
    async fn next(&mut self) -> Option<Signal> {
        self.arriving.next().await.flatten()
    }

    /// The next signal that is to end what goes on.
    pub(super) async fn end(&mut self) -> Exit {
        loop {
            if let Some(signal @ (Signal::INT | Signal::TERM | Signal::HUP | Signal::QUIT)) =
                self.next().await
            {
                return Exit::signalled(signal.as_raw());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use rustix::process::Pid;
    use tokio::time::sleep;

    use super::*;

    fn program(script: &str, grace: Duration) -> Program {
        Program {
            grace: Some(grace),
            interactive: false,
            session_timeout: Duration::from_secs(15),
            command: ["sh", "-c", script].map(OsString::from).to_vec(),
        }
    }

    async fn run(program: Program, lost: impl Future<Output = String>) -> Result<Ended, Failure> {
        let held = Held { fence: Fence(7), variable: "SYNOD_LOCK", name: "deploy", is_guarded: false };
        program.run(held, &mut Signals::new()?, lost).await
    }

    /// Waits until a command has written something into the file.
    async fn written(file: &std::path::Path) -> String {
        let text = async {
            loop {
                match std::fs::read_to_string(file) {
                    Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                    _ => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, text).await.expect("the command writes into the file")
    }

    #[test]
    fn a_command_is_gone_before_somebody_else_can_hold_the_lock() {
        let unsaid =
            |session_timeout| Program { grace: None, session_timeout, ..program("", Duration::ZERO) };
        assert_eq!(unsaid(Duration::from_secs(1)).grace(), Duration::from_millis(100));
        assert_eq!(unsaid(Duration::from_secs(15)).grace(), Duration::from_secs(1));
        assert_eq!(program("", Duration::from_secs(60)).grace(), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn it_ends_as_its_command_does() {
        let minute = Duration::from_secs(60);
        let script = r#"test "$SYNOD_FENCE" = 7 && test "$SYNOD_LOCK" = deploy && exit 42"#;
        assert_eq!(run(program(script, minute), pending()).await, Ok(Ended::Itself(Exit(42))));
        let killed = run(program("kill -KILL $$", minute), pending()).await;
        assert_eq!(killed, Ok(Ended::Itself(Exit(137))));
    }

    #[tokio::test]
    async fn what_cannot_be_run_is_told_as_shells_do() {
        let mut nothing = program("", Duration::ZERO);
        nothing.command = vec!["/no/such/program".into()];
        assert_eq!(run(nothing, pending()).await.unwrap_err().exit, Exit::NO_PROGRAM);
        let mut directory = program("", Duration::ZERO);
        directory.command = vec!["/".into()];
        assert_eq!(run(directory, pending()).await.unwrap_err().exit, Exit::NOT_EXECUTABLE);
    }

    #[tokio::test]
    async fn a_command_that_lost_its_lock_is_asked_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let (ready, asked) = (dir.path().join("ready"), dir.path().join("asked"));
        let script = format!(
            "trap 'echo yes > {}; exit 0' TERM; echo yes > {}; while :; do sleep 0.01; done",
            asked.display(),
            ready.display()
        );
        let lost = async {
            written(&ready).await;
            "the lock is lost".to_owned()
        };
        let ended = run(program(&script, Duration::from_secs(60)), lost).await;
        assert_eq!(ended, Ok(Ended::Lost("the lock is lost".to_owned())));
        assert_eq!(written(&asked).await, "yes");
    }

    #[tokio::test]
    async fn what_does_not_stop_is_killed_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let started = dir.path().join("started");
        // Both ignore SIGTERM: the shell, and the one that it has started.
        let script = format!(
            "trap '' TERM; sh -c 'echo $$ > {}; while :; do sleep 0.01; done' & wait",
            started.display()
        );
        let lost = async {
            written(&started).await;
            "the lock is lost".to_owned()
        };
        let ended = run(program(&script, Duration::from_millis(50)), lost).await;
        assert!(matches!(ended, Ok(Ended::Lost(_))), "{ended:?}");
        let pid = Pid::from_raw(written(&started).await.parse().unwrap()).unwrap();
        let is_gone = async {
            // Gone, or a zombie that its new parent has not collected yet.
            let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), is_gone).await.expect("it runs on");
    }
}
