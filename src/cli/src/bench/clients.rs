//! The run: connect, fill, warm up, measure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::task::JoinSet;

use super::connect::Connection;
use super::keys::{Keys, Values};
use super::operation::{Work, Worker};
use super::pace::Pace;
use super::processes::{self, Observed};
use super::recorder::Recorder;
use super::report::{Counts, Rate, Report};
use super::sessions::Sessions;
use super::settings::Settings;
use super::watchers::Watchers;

/// How often progress is said.
const PROGRESS: Duration = Duration::from_secs(1);

/// How many keys each client writes at the same time while the map is filled.
const FILL_AHEAD: usize = 256;

/// Does what the settings say.
pub(super) async fn run(settings: &Settings) -> anyhow::Result<Report<'_>> {
    let connections = settings.target.connect_all(settings.connections).await?;
    let work = Arc::new(Work {
        mix: settings.mix.clone(),
        keys: Keys::new(settings.keys, settings.key_bytes, settings.distribution)?,
        values: Values::new(settings.value_bytes, &mut SmallRng::seed_from_u64(settings.seed)),
        names: settings.names,
        seed: settings.seed,
    });
    let pids = servers(settings, &connections);
    // Before anything is measured: whoever cannot be reached says so here, and not as many errors.
    Observed::begin(&pids)?;
    if settings.fill {
        fill(settings, &work, &connections).await?;
    }
    let watchers = Watchers::begin(&connections, settings.watchers, &settings.watch_prefix).await?;
    let sessions = Sessions::begin(connections.first(), settings.sessions, settings.session_timeout).await?;
    let beside = Beside { watchers: &watchers, sessions: &sessions };
    let report = load(settings, &work, &connections, &pids, &beside).await?;
    drop(watchers);
    sessions.close().await;
    futures::future::join_all(connections.into_iter().map(Connection::close)).await;
    Ok(report)
}

fn servers(settings: &Settings, connections: &[Connection]) -> Vec<u32> {
    if !settings.pids.is_empty() {
        return settings.pids.clone();
    }
    connections.first().map(|connection| processes::listening_at(&connection.endpoints())).unwrap_or_default()
}

/// Writes every key once.
async fn fill(settings: &Settings, work: &Arc<Work>, connections: &[Connection]) -> anyhow::Result<()> {
    let done = Arc::new(AtomicU64::new(0));
    let fillers = connections.iter().enumerate().map(|(index, connection)| {
        let (first, step) = (u64::try_from(index)?, u64::try_from(connections.len())?);
        let numbers = (first..settings.keys).step_by(usize::try_from(step)?);
        let (work, done, group) = (work.clone(), done.clone(), connection.group.clone());
        anyhow::Ok(async move {
            let puts = stream::iter(numbers).map(|number| {
                let mut worker = Worker::new(&work, usize::try_from(number).unwrap_or(0), &group);
                let done = &done;
                async move {
                    worker.fill(number).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                    synod_client::Result::<()>::Ok(())
                }
            });
            puts.buffer_unordered(FILL_AHEAD).try_collect::<()>().await
        })
    });
    let fillers = fillers.collect::<anyhow::Result<Vec<_>>>()?;
    let fill = futures::future::try_join_all(fillers);
    tokio::pin!(fill);
    let mut ticks = tokio::time::interval(PROGRESS);
    loop {
        tokio::select! {
            filled = &mut fill => return filled.map(drop).context("cannot fill the map"),
            _ = ticks.tick() => settings.say(format_args!(
                "filling: {} of {} keys",
                done.load(Ordering::Relaxed),
                settings.keys
            )),
        }
    }
}

/// What goes on beside the operations.
struct Beside<'a> {
    watchers: &'a Watchers,
    sessions: &'a Sessions,
}

impl Beside<'_> {
    fn counts(&self) -> Counts {
        let (keep_alives, keep_alives_refused) = self.sessions.counts();
        Counts { events: self.watchers.seen(), keep_alives, keep_alives_refused }
    }
}

/// Warms up and measures.
async fn load<'a>(
    settings: &'a Settings,
    work: &Arc<Work>,
    connections: &[Connection],
    pids: &[u32],
    beside: &Beside<'_>,
) -> anyhow::Result<Report<'a>> {
    let recorder = Arc::new(Recorder::new(&work.mix)?);
    let pace = Pace::begin(settings.rate)?;
    let mut clients = JoinSet::new();
    for (number, connection) in connections.iter().cycle().take(settings.clients).enumerate() {
        let worker = Worker::new(work, number, &connection.group);
        clients.spawn(client(worker, pace.clone(), recorder.clone()));
    }
    let progress = Progress { settings, recorder: &recorder, pace: &pace };
    progress.follow("warm-up", settings.warmup).await;

    let servers = Observed::begin(pids)?;
    let generator = Observed::begin(&[std::process::id()])?;
    let (before, begin) = (beside.counts(), Instant::now());
    recorder.measure(true);
    let rates = progress.follow("measuring", settings.duration).await;
    recorder.measure(false);
    let took = begin.elapsed();
    let counts = beside.counts().since(before);
    let report = Report::new(settings, took, &recorder, servers.end())
        .with_generator(generator.end().pop())
        .with_counts(counts)
        .with_rates(rates);

    pace.end();
    clients.shutdown().await;
    Ok(report)
}

async fn client(mut worker: Worker, pace: Pace, recorder: Arc<Recorder>) {
    loop {
        let begin = pace.next().await;
        let kind = worker.choose();
        let outcome = worker.perform(kind).await;
        recorder.record(kind, begin.elapsed(), outcome.as_ref().map(|&()| ()));
    }
}

/// Says how it goes.
struct Progress<'a> {
    settings: &'a Settings,
    recorder: &'a Recorder,
    pace: &'a Pace,
}

impl Progress<'_> {
    /// Returns the rate at each time.
    async fn follow(&self, phase: &str, span: Duration) -> Vec<Rate> {
        let mut rates = Vec::new();
        let begin = Instant::now();
        let (mut before, mut failed_before) = self.recorder.totals();
        let mut last = begin;
        while let Some(left) = span.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left.min(PROGRESS)).await;
            let (done, failed) = self.recorder.totals();
            let seconds = last.elapsed().as_secs_f64();
            last = Instant::now();
            let per_second = super::report::per_second(done - before, seconds);
            rates.push(Rate { seconds: begin.elapsed().as_secs_f64(), per_second });
            self.settings.say(format_args!(
                "{phase}: {:3.0} s of {:.0} s, {} operations/s, {} failed, {} wait to begin",
                begin.elapsed().as_secs_f64(),
                span.as_secs_f64(),
                per_second,
                failed - failed_before,
                self.pace.waiting(),
            ));
            (before, failed_before) = (done, failed);
        }
        rates
    }
}
