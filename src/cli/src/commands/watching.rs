//! What all `watch` verbs share: one line for each change, until Ctrl-C, and where to go on from.

use futures::{Stream, StreamExt as _};
use serde::Serialize;
use synod_client::{Cursor, ErrorCode, Event, Events, Watched};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Failure};
use crate::output::Printing;
use crate::progress;

/// Where a watch begins.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Since {
    /// Begin after this place, as an earlier watch has printed it, instead of now.
    #[arg(long, value_name = "CURSOR")]
    from: Option<Cursor>,
}

impl Since {
    pub(crate) fn apply<C>(self, events: Events<C>) -> Events<C> {
        match self.from {
            Some(cursor) => events.after(cursor),
            None => events,
        }
    }
}

/// How a change is told: in a line, and as a record.
pub(crate) struct Reported<R> {
    pub(crate) text: String,
    pub(crate) record: R,
}

/// A record with where it happened.
#[derive(Serialize)]
struct Placed<R> {
    #[serde(flatten)]
    record: R,
    partition: u32,
    position: u64,
    /// What a later watch goes on from, where there is one for all partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl<R> Placed<R> {
    fn new<C>(event: Event<C>, cursor: Option<String>, report: impl Fn(C) -> Reported<R>) -> Reported<Self> {
        let Event { partition, position, change, .. } = event;
        let Reported { text, record } = report(change);
        let record = Self { record, partition: partition.get(), position: position.get(), cursor };
        Reported { text, record }
    }
}

/// Changes that were missed.
#[derive(Serialize)]
struct Gap {
    event: &'static str,
    message: String,
}

/// What is known of a partition begins anew, or is complete.
#[derive(Serialize)]
struct Stage {
    event: &'static str,
    partition: u32,
}

/// The signals that end a watch.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(crate) fn new() -> Result<Self, Failure> {
        let wait = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(Exit::FAULT, format!("cannot wait for signals: {error}")))
        };
        Ok(Self { interrupt: wait(SignalKind::interrupt())?, terminate: wait(SignalKind::terminate())? })
    }

    /// Resolves when it is to stop.
    pub(crate) async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The next item; none at the end, or when it is to stop.
    async fn or_next<T>(&mut self, items: &mut (impl Stream<Item = T> + Unpin)) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wanted() => None,
            item = items.next() => item,
        }
    }
}

/// Prints each change, until Ctrl-C or SIGTERM.
pub(crate) async fn changes<C: Send + 'static, R: Serialize>(
    events: Events<C>,
    printing: Printing,
    report: impl Fn(C) -> Reported<R>,
) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    let mut events = events.await?;
    let mut printer = printing.printer();
    while let Some(event) = stop.or_next(&mut events).await {
        match event {
            Ok(event) => {
                let cursor = events.cursor().to_string();
                let Reported { text, record } = Placed::new(event, Some(cursor), &report);
                printer.event(&record, &text)?;
            }
            // The stream goes on behind the gap.
            Err(error) if error.code() == ErrorCode::Compacted => {
                let message = error.message().to_owned();
                let text = format!("gap: changes were missed: {message}");
                printer.event(&Gap { event: "gap", message }, &text)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if printing.is_for_people() {
        progress::say(&format!("to go on from here: --from {}", events.cursor()));
    }
    Ok(())
}

/// Prints what is there and then each change, until Ctrl-C or SIGTERM.
pub(crate) async fn state<T, C, R: Serialize>(
    mut watched: impl Stream<Item = synod_client::Result<Watched<T, C>>> + Unpin,
    printing: Printing,
    present: impl Fn(T) -> Reported<R>,
    report: impl Fn(C) -> Reported<R>,
) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    let mut printer = printing.printer();
    while let Some(step) = stop.or_next(&mut watched).await {
        let (event, partition) = match step? {
            Watched::Present(item) => {
                let Reported { text, record } = present(item);
                printer.event(&record, &text)?;
                continue;
            }
            Watched::Changed(event) => {
                let Reported { text, record } = Placed::new(event, None, &report);
                printer.event(&record, &text)?;
                continue;
            }
            Watched::Reset { partition } => ("reset", partition.get()),
            Watched::Complete { partition } => ("complete", partition.get()),
        };
        printer.event(&Stage { event, partition }, &format!("{event} partition {partition}"))?;
    }
    Ok(())
}
