//! The streams that programs read.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, SelectAll};
use futures::{FutureExt as _, Stream, StreamExt as _};
use synod_proto::primitive::v1::event::Event as WireEvent;
use synod_types::{ErrorCode, Index, PartitionId, Position};

use super::{Cursor, Filter, Follow, Followed, Start};
use crate::error::{Error, Result};
use crate::handle::Handle;

/// A change, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<C> {
    /// Where it happened.
    pub partition: PartitionId,
    /// Its place in the history of the partition.
    pub position: Position,
    /// The command that caused it.
    pub index: Index,
    /// What has changed.
    pub change: C,
}

/// The changes of a primitive, from all partitions that it lives on: of each in order, and between them in any order.
///
/// An item that is an error of [`ErrorCode::Compacted`] says that changes of one partition were missed. The stream goes
/// on: whoever reads the state after this item misses nothing that comes after that. Any other error is the last item.
pub struct EventStream<C> {
    partitions: SelectAll<BoxStream<'static, Item<C>>>,
    cursor: Cursor,
    has_failed: bool,
}

/// What comes of one partition: an event, or only how far it has come.
struct Item<C> {
    partition: PartitionId,
    position: Option<Position>,
    event: Option<Result<Event<C>>>,
}

impl<C> EventStream<C> {
    /// How far the stream has come: what a later stream has to begin after, to go on from the items that were taken out
    /// of this one.
    pub const fn cursor(&self) -> &Cursor {
        &self.cursor
    }
}

impl<C> fmt::Debug for EventStream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<C> Stream for EventStream<C> {
    type Item = Result<Event<C>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.has_failed {
                return Poll::Ready(None);
            }
            let item = match self.partitions.poll_next_unpin(context) {
                Poll::Ready(Some(item)) => item,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            if let Some(position) = item.position {
                self.cursor.set(item.partition, position);
            }
            if let Some(event) = item.event {
                self.has_failed =
                    event.as_ref().is_err_and(|error: &Error| error.code() != ErrorCode::Compacted);
                return Poll::Ready(Some(event));
            }
        }
    }
}

/// Makes a change of a kind from what the wire says; nothing if it is of another kind.
pub(crate) type Decode<C> = fn(WireEvent) -> Option<C>;

/// Begins to watch on the given partitions, and returns once every one of them has begun: what happens from then on is in
/// the stream.
async fn open<C: Send + 'static>(
    handle: Handle,
    partitions: Vec<PartitionId>,
    filter: Filter,
    after: Option<Cursor>,
    decode: Decode<C>,
) -> Result<EventStream<C>> {
    handle.ensure().await?;
    let mut follows = Vec::new();
    for partition in partitions {
        let position = after.as_ref().and_then(|cursor| cursor.position(partition));
        let start = position.map_or(Start::Now, Start::After);
        let partition = handle.group.partition(partition)?;
        follows.push(begin(Follow::new(partition, handle.id(), filter.clone(), start)));
    }
    let begun = tokio::time::timeout(handle.timeout, futures::future::try_join_all(follows)).await;
    let begun = begun.map_err(|_| {
        Error::new(ErrorCode::Timeout, "not every partition has begun to watch in time: try again")
    })??;
    let mut cursor = Cursor::default();
    let mut partitions = SelectAll::new();
    for (follow, position) in begun {
        cursor.set(follow.partition().id(), position);
        partitions.push(items(follow, decode));
    }
    Ok(EventStream { partitions, cursor, has_failed: false })
}

/// Asks for the changes of a primitive. Awaiting it begins to watch.
#[derive(Clone, Debug)]
#[must_use = "nothing is watched until it is awaited"]
pub struct Events<C> {
    handle: Handle,
    filter: Filter,
    is_keyed: bool,
    after: Option<Cursor>,
    decode: Decode<C>,
}

impl<C> Events<C> {
    pub(crate) fn new(handle: &Handle, decode: Decode<C>) -> Self {
        let is_keyed = handle.kind().is_keyed();
        Self { handle: handle.clone(), filter: Filter::All, is_keyed, after: None, decode }
    }

    pub(crate) fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Begin after a place at which an earlier stream has been, instead of now. Fails with [`ErrorCode::Compacted`] when
    /// the history does not reach back that far: then read the state again.
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    fn partitions(&self) -> Vec<PartitionId> {
        match &self.filter {
            Filter::Key(key) if self.is_keyed => vec![self.handle.partition_of(key)],
            _ if self.is_keyed => self.handle.group.partition_ids().collect(),
            _ => vec![self.handle.home()],
        }
    }
}

impl<C: Send + 'static> IntoFuture for Events<C> {
    type Output = Result<EventStream<C>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let partitions = self.partitions();
        let Self { handle, filter, after, decode, .. } = self;
        open(handle, partitions, filter, after, decode).boxed()
    }
}

async fn begin(mut follow: Follow) -> Result<(Follow, Position)> {
    loop {
        if let Followed::Started(position) = follow.next().await? {
            return Ok((follow, position));
        }
    }
}

fn items<C: Send + 'static>(follow: Follow, decode: Decode<C>) -> BoxStream<'static, Item<C>> {
    stream::unfold(follow, move |mut follow| async move {
        let followed = follow.next().await;
        let partition = follow.partition().id();
        let (position, event) = match followed {
            Ok(Followed::Started(position) | Followed::Progress(position)) => (Some(position), None),
            Ok(Followed::Event(event)) => {
                let (position, index) = (Position(event.position), Index(event.index));
                let change = event.event.and_then(decode);
                (Some(position), change.map(|change| Ok(Event { partition, position, index, change })))
            }
            Err(error) => (None, Some(Err(error))),
        };
        Some((Item { partition, position, event }, follow))
    })
    .boxed()
}
