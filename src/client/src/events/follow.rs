//! Following one partition.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use synod_proto::primitive::v1 as wire;
use synod_proto::session::v1::Watch;
use synod_types::{ErrorCode, Position, PrimitiveId};

use super::Filter;
use crate::backoff::Backoff;
use crate::clock;
use crate::error::{Error, Result};
use crate::partition::pipeline::WatchItem;
use crate::partition::{Partition, Watching};

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With what happens from now on.
    Now,
    /// With what happened after a position.
    After(Position),
}

/// What comes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Followed {
    /// Everything after this position comes. Said once at the beginning, and again after a gap was reported.
    Started(Position),
    /// Something changed.
    Event(wire::Event),
    /// Nothing, up to this position.
    Progress(Position),
}

/// Follows what changes of one primitive on one partition.
#[derive(Debug)]
pub(crate) struct Follow {
    partition: Arc<Partition>,
    primitive: PrimitiveId,
    filter: Filter,
    /// Everything up to here was handed out.
    at: Start,
    /// The start was said.
    is_started: bool,
    /// Changes were missed, and that was not said yet.
    has_gap: bool,
    /// The start that is to be said next.
    start: Option<Position>,
    watching: Option<Watching>,
    received: VecDeque<Bytes>,
    /// Everything up to here was received.
    received_to: Position,
    backoff: Backoff,
}

impl Follow {
    pub(crate) fn new(
        partition: Arc<Partition>,
        primitive: PrimitiveId,
        filter: Filter,
        start: Start,
    ) -> Self {
        Self {
            partition,
            primitive,
            filter,
            at: start,
            is_started: false,
            has_gap: false,
            start: None,
            watching: None,
            received: VecDeque::new(),
            received_to: Position(0),
            backoff: Backoff::new(Duration::from_millis(20), Duration::from_secs(1), clock::random()),
        }
    }

    /// The partition that it follows.
    pub(crate) fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// What comes next. Waits through lost connections and leader changes. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`ErrorCode::Compacted`] when changes may have been missed. This is said once the watch has begun anew: whoever
    /// reads the state then misses nothing that comes after it. Another error is the end: nothing comes after it.
    pub(crate) async fn next(&mut self) -> Result<Followed> {
        loop {
            if let Some(start) = self.start.take() {
                return Ok(Followed::Started(start));
            }
            if let Some(event) = self.received.pop_front() {
                return self.event(event);
            }
            if let Some(progress) = self.caught_up() {
                return Ok(progress);
            }
            let watching = match &mut self.watching {
                Some(watching) => watching,
                None => {
                    let watching = self.partition.watch(self.request())?;
                    self.watching.insert(watching)
                }
            };
            match watching.next().await {
                Some(Ok(WatchItem::Started(position))) => {
                    self.backoff.reset();
                    self.started(position);
                    if self.start.is_some() && std::mem::take(&mut self.has_gap) {
                        return Err(missed());
                    }
                }
                Some(Ok(WatchItem::Events(events, position))) => {
                    self.received.extend(events);
                    self.received_to = position;
                }
                Some(Err(error)) => {
                    self.watching = None;
                    self.failed(error).await?;
                }
                None => self.watching = None,
            }
        }
    }

    fn request(&self) -> Watch {
        let after = match self.at {
            Start::Now => Position(0),
            Start::After(position) => position,
        };
        Watch {
            primitive: self.primitive.get(),
            after_position: after.get(),
            filter: self.filter.to_wire(),
            seen_index: 0,
        }
    }

    /// The server has begun to watch after `position`.
    fn started(&mut self, position: Position) {
        if let Start::After(wanted) = self.at
            && wanted != position
        {
            // On the wire "after 0" means "from now on", so whoever had seen an empty history may have missed something.
            self.has_gap = true;
            self.is_started = false;
        }
        self.at = Start::After(position);
        self.received_to = position;
        if !std::mem::replace(&mut self.is_started, true) {
            self.start = Some(position);
        }
    }

    fn event(&mut self, event: Bytes) -> Result<Followed> {
        let event = wire::Event::decode(event).map_err(|_| {
            Error::new(ErrorCode::Internal, "an event cannot be read: the server may be of another version")
        })?;
        self.at = Start::After(Position(event.position));
        self.partition.note_seen(event.index);
        Ok(Followed::Event(event))
    }

    /// When everything that was received is handed out, the position may be further than the last event.
    fn caught_up(&mut self) -> Option<Followed> {
        let Start::After(at) = self.at else { return None };
        (self.received_to > at).then(|| {
            self.at = Start::After(self.received_to);
            Followed::Progress(self.received_to)
        })
    }

    /// A watch ended with an error.
    async fn failed(&mut self, error: Error) -> Result<()> {
        if error.code() == ErrorCode::Compacted {
            self.at = Start::Now;
            self.is_started = false;
            self.has_gap = true;
            return Ok(());
        }
        if !error.is_retryable() {
            return Err(error);
        }
        tokio::time::sleep(self.backoff.next()).await;
        Ok(())
    }
}

fn missed() -> Error {
    let message = "changes were missed, because the history does not reach back to what was seen last";
    Error::new(ErrorCode::Compacted, message)
}
