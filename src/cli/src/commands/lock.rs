//! `synod lock`.

use std::time::Duration;

use futures::FutureExt as _;
use serde::Serialize;
use synod_client::{Acquire, ErrorCode, Fence, Group, Guard, Lock, LockMode, LockStatus};

use super::held::{Ended, Held, Program, Signals};
use super::lock_events;
use super::watching::{self, Since};
use crate::exit::{Exit, Failure};
use crate::input;
use crate::output::{self, Encoding, Printing, Row};
use crate::progress;
use crate::target::{Access, Target, whoami};

/// Locks: read-write locks with fences, first come, first served.
///
/// Every grant has a fence, a number greater than that of every grant before it. Hand it to whatever the lock protects,
/// and let that refuse smaller ones than it has seen: that is what protects it also from a holder that was paused.
#[derive(clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    printing: Printing,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Run a command while holding the lock: synod lock run deploy -- ./script
    ///
    /// The command finds the fence in SYNOD_FENCE and the name of the lock in SYNOD_LOCK. If the lock is lost, the command
    /// gets SIGTERM, is killed after a grace, and the exit code is 8. Signals are passed on to it. The exit code is that of
    /// the command; if the lock is not free in time the command is not run, and the exit code is 4.
    Run {
        /// The name of the lock.
        name: String,
        #[command(flatten)]
        wish: Wish,
        #[command(flatten)]
        program: Program,
    },
    /// Print who holds the lock and who waits.
    Status {
        /// The name of the lock.
        name: String,
    },
    /// Print whether a fence is that of a grant that holds now: "true", or "false" with exit code 4.
    Check {
        /// The name of the lock.
        name: String,
        /// The fence.
        fence: u64,
    },
    /// End the grant that has this fence, whoever it belongs to; exit code 4 if none has.
    Release {
        /// The name of the lock.
        name: String,
        /// The fence.
        fence: u64,
    },
    /// Print everything that happens to requests for the lock, until Ctrl-C.
    Watch {
        /// The name of the lock.
        name: String,
        #[command(flatten)]
        from: Since,
    },
}

/// How to hold a lock, and how long to wait for it.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
struct Wish {
    /// Wait no longer than this; for ever, if nothing is said.
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    wait: Option<Duration>,

    /// Do not wait.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,

    /// Hold it together with other readers.
    #[arg(long)]
    shared: bool,

    /// If it is lost rather than released, keep it from everybody for this long, at most 10 minutes.
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    lock_delay: Option<Duration>,

    /// What to tell people who look at the lock; at most 1 KiB.
    #[arg(long, value_name = "TEXT")]
    metadata: Option<String>,
}

impl Wish {
    fn apply(&self, acquire: Acquire) -> Acquire {
        let mut acquire = acquire.metadata(self.metadata.clone().unwrap_or_else(whoami));
        if self.shared {
            acquire = acquire.mode(LockMode::Read);
        }
        if let Some(delay) = self.lock_delay {
            acquire = acquire.lock_delay(delay);
        }
        match self.wait {
            _ if self.no_wait => acquire.no_wait(),
            Some(wait) => acquire.wait(wait),
            None => acquire,
        }
    }
}

impl Verb {
    const fn name(&self) -> &String {
        match self {
            Self::Run { name, .. }
            | Self::Status { name }
            | Self::Check { name, .. }
            | Self::Release { name, .. }
            | Self::Watch { name, .. } => name,
        }
    }

    fn session_timeout(&self) -> Option<Duration> {
        match self {
            Self::Run { program, .. } => Some(program.session_timeout),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct Current {
    current: bool,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { target, access, printing, verb } = self;
        let session_timeout = verb.session_timeout();
        let run = async |group: Group| {
            let lock = access.lock(&group, verb.name().clone());
            run(lock, verb, printing).await
        };
        target.using(&access.owner, session_timeout, run).await
    }
}

async fn run(lock: Lock, verb: Verb, printing: Printing) -> Result<Exit, Failure> {
    let mut printer = printing.printer();
    match verb {
        Verb::Run { wish, program, .. } => return run_holding(&lock, &wish, program).await,
        Verb::Status { .. } => {
            let status = lock.status().await?;
            let record = Status::from(&status);
            printer.table(&record, &record.rows())?;
        }
        Verb::Check { fence, .. } => {
            let current = lock.is_current(Fence(fence)).await?;
            printer.answer(&Current { current }, &current.to_string())?;
            return Ok(if current { Exit::SUCCESS } else { Exit::CONDITION });
        }
        Verb::Release { fence, .. } => lock.force_release(Fence(fence)).await?,
        Verb::Watch { from, .. } => {
            watching::changes(from.apply(lock.events()), printing, lock_events::report).await?;
        }
    }
    Ok(Exit::SUCCESS)
}

async fn run_holding(lock: &Lock, wish: &Wish, program: Program) -> Result<Exit, Failure> {
    let mut signals = Signals::new()?;
    let guard = match acquire(lock, wish, &mut signals).await? {
        Ok(guard) => guard,
        Err(interrupted) => return Ok(interrupted),
    };
    let lost = guard.lost().map(|loss| format!("the lock {:?} is lost ({loss:?})", lock.name()));
    let held = Held { fence: guard.fence(), variable: "SYNOD_LOCK", name: lock.name(), is_guarded: true };
    let ended = program.run(held, &mut signals, lost).await;
    let released = guard.release().await;
    match (ended?, released) {
        (Ended::Lost(_), _) => Ok(Exit::LOST),
        (Ended::Itself(_), Err(error)) if error.code() == ErrorCode::NotHeld => {
            Err(Failure::new(Exit::LOST, error.message()))
        }
        (Ended::Itself(exit), Err(error)) => {
            progress::say(&format!("the lock {:?} is released later: {error}", lock.name()));
            Ok(exit)
        }
        (Ended::Itself(exit), Ok(())) => Ok(exit),
    }
}

/// The lock, or how to end because a signal has come first.
async fn acquire(lock: &Lock, wish: &Wish, signals: &mut Signals) -> Result<Result<Guard, Exit>, Failure> {
    let waiting = async || waiting_for(lock).await;
    tokio::select! {
        biased;
        exit = signals.end() => Ok(Err(exit)),
        guard = progress::telling(waiting, wish.apply(lock.acquire()).into_future()) => match guard {
            Ok(guard) => Ok(Ok(guard)),
            Err(error) if error.code() == ErrorCode::Expired => {
                let message = format!("the lock {:?} was not free in time", lock.name());
                Err(Failure::new(Exit::CONDITION, message).hint(waiting_for(lock).await))
            }
            Err(error) => Err(error.into()),
        },
    }
}

/// Who stands in front.
async fn waiting_for(lock: &Lock) -> String {
    let name = lock.name();
    let Ok(LockStatus { holders, queue, unavailable, .. }) = lock.status().await else {
        return format!("waiting for the lock {name:?}");
    };
    let holder = holders.first().map(|holder| {
        let metadata = Encoding::default().word(holder.metadata.as_bytes());
        format!("{metadata} holds it with the fence {}", holder.fence)
    });
    let why = holder.unwrap_or_else(|| match unavailable {
        Duration::ZERO => "nobody holds it now".to_owned(),
        left => format!("it was lost, and stays unavailable for {}", output::duration(left)),
    });
    format!("waiting for the lock {name:?}: {why}, and {} wait", queue.len())
}

/// A lock, for output.
#[derive(Serialize)]
struct Status {
    holders: Vec<Request>,
    queue: Vec<Request>,
    last_fence: u64,
    unavailable_ms: u64,
}

/// Who holds a lock or waits for it.
#[derive(Clone, Serialize)]
struct Request {
    #[serde(skip)]
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fence: Option<u64>,
    mode: &'static str,
    session: u64,
    request_id: String,
    metadata: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_left_ms: Option<u64>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) const fn mode(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Write => "write",
        LockMode::Read => "read",
    }
}

impl From<&LockStatus> for Status {
    fn from(status: &LockStatus) -> Self {
        let holders = status.holders.iter().map(|holder| Request {
            place: "holds".to_owned(),
            fence: Some(holder.fence.get()),
            mode: mode(holder.mode),
            session: holder.session.get(),
            request_id: holder.request_id.clone(),
            metadata: holder.metadata.clone(),
            lease_left_ms: holder.lease_left.map(millis),
        });
        let queue = status.queue.iter().zip(1..).map(|(waiter, place)| Request {
            place: format!("waits {place}"),
            fence: None,
            mode: mode(waiter.mode),
            session: waiter.session.get(),
            request_id: waiter.request_id.clone(),
            metadata: waiter.metadata.clone(),
            lease_left_ms: None,
        });
        Self {
            holders: holders.collect(),
            queue: queue.collect(),
            last_fence: status.last_fence.get(),
            unavailable_ms: millis(status.unavailable),
        }
    }
}

impl Status {
    fn rows(&self) -> Vec<Request> {
        self.holders.iter().chain(&self.queue).cloned().collect()
    }
}

impl Row for Request {
    const HEAD: &'static [&'static str] = &["PLACE", "MODE", "FENCE", "SESSION", "METADATA"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.place.clone(),
            self.mode.to_owned(),
            self.fence.map_or_else(|| "-".to_owned(), |fence| fence.to_string()),
            self.session.to_string(),
            Encoding::default().text(self.metadata.as_bytes()),
        ]
    }
}
