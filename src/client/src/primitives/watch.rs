//! What is there, and then everything that changes: enough to keep a copy of a primitive.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream, SelectAll};
use synod_proto::primitive::v1::event::Event as WireEvent;
use synod_types::{ErrorCode, Index, PartitionId, Position};

use super::listing::{Listed, PartitionListing};
use crate::backoff::Backoff;
use crate::clock;
use crate::error::{Error, Result};
use crate::events::{Event, Filter, Follow, Followed, Start};
use crate::handle::Handle;

/// A step in keeping a copy of a primitive. For each partition: `Reset`, what is `Present`, `Complete`, then what has
/// `Changed`; and from the start again when changes were missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched<T, C> {
    /// Forget what is known of the items of this partition.
    Reset {
        /// Which one.
        partition: PartitionId,
    },
    /// This is there.
    Present(T),
    /// Everything that is there on this partition was said.
    Complete {
        /// Which one.
        partition: PartitionId,
    },
    /// This has changed, since the last that was said of the partition.
    Changed(Event<C>),
}

type Decode<C> = fn(WireEvent) -> Option<C>;

/// All partitions, merged. An error is the last item.
pub(crate) fn watch<T: Listed, C: Send + 'static>(
    handle: &Handle,
    prefix: &str,
    decode: Decode<C>,
) -> BoxStream<'static, Result<Watched<T, C>>> {
    let mut partitions = SelectAll::new();
    for partition in handle.group.partition_ids() {
        partitions.push(watch_partition(handle.clone(), partition, prefix.to_owned(), decode));
    }
    let until_error = |has_failed: &mut bool, step: Result<_>| {
        let item = (!*has_failed).then_some(step);
        *has_failed |= item.as_ref().is_some_and(Result::is_err);
        std::future::ready(item)
    };
    partitions.scan(false, until_error).boxed()
}

fn watch_partition<T: Listed, C: Send + 'static>(
    handle: Handle,
    partition: PartitionId,
    prefix: String,
    decode: Decode<C>,
) -> BoxStream<'static, Result<Watched<T, C>>> {
    let backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1), clock::random());
    let watcher = Watcher { handle, partition, prefix, decode, backoff, stage: Stage::Begin };
    stream::try_unfold(watcher, |mut watcher| async move {
        let step = watcher.next().await?;
        Ok(Some((step, watcher)))
    })
    .boxed()
}

struct Watcher<T, C> {
    handle: Handle,
    partition: PartitionId,
    prefix: String,
    decode: Decode<C>,
    backoff: Backoff,
    stage: Stage<T>,
}

enum Stage<T> {
    Begin,
    Listing {
        listing: PartitionListing<T>,
        /// What happens after the listing, if that was begun before it.
        follow: Option<Follow>,
    },
    Following(Follow),
}

impl<T: Listed, C> Watcher<T, C> {
    /// The next step. Goes back to the beginning when changes were missed or a listing broke.
    async fn next(&mut self) -> Result<Watched<T, C>> {
        let partition = self.partition;
        loop {
            match &mut self.stage {
                Stage::Begin => {
                    let (listing, follow) = self.begin().await?;
                    self.stage = Stage::Listing { listing, follow };
                    return Ok(Watched::Reset { partition });
                }
                Stage::Listing { listing, follow } => match listing.next().await {
                    Ok(Some(item)) => return Ok(Watched::Present(item)),
                    Ok(None) => {
                        let position = listing.position().map_or(Start::Now, Start::After);
                        let follow = follow.take();
                        let follow = follow.map_or_else(|| self.follow(position), Ok)?;
                        self.stage = Stage::Following(follow);
                        return Ok(Watched::Complete { partition });
                    }
                    Err(error) if error.is_retryable() => {
                        self.stage = Stage::Begin;
                        tokio::time::sleep(self.backoff.next()).await;
                    }
                    Err(error) => return Err(error),
                },
                Stage::Following(follow) => match follow.next().await {
                    Ok(Followed::Event(event)) => {
                        self.backoff.reset();
                        let (position, index) = (Position(event.position), Index(event.index));
                        if let Some(change) = event.event.and_then(self.decode) {
                            return Ok(Watched::Changed(Event { partition, position, index, change }));
                        }
                    }
                    Ok(Followed::Started(_) | Followed::Progress(_)) => {}
                    Err(error) if error.code() == ErrorCode::Compacted => self.stage = Stage::Begin,
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Begins the listing. Where the primitive is not there yet the listing has no place in the history, so the watch is
    /// begun before it.
    async fn begin(&mut self) -> Result<(PartitionListing<T>, Option<Follow>)> {
        self.handle.ensure().await?;
        let listing = self.list().await?;
        if listing.position().is_some() {
            return Ok((listing, None));
        }
        let mut follow = self.follow(Start::Now)?;
        while !matches!(follow.next().await?, Followed::Started(_)) {}
        let listing = self.list().await?;
        let follow = listing.position().is_none().then_some(follow);
        Ok((listing, follow))
    }

    async fn list(&mut self) -> Result<PartitionListing<T>> {
        loop {
            match PartitionListing::begin(&self.handle, self.partition, &self.prefix).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(self.backoff.next()).await,
                outcome => return outcome,
            }
        }
    }

    fn follow(&self, start: Start) -> Result<Follow, Error> {
        let filter = match self.prefix.as_str() {
            "" => Filter::All,
            prefix => Filter::Prefix(prefix.to_owned()),
        };
        let partition = self.handle.group.partition(self.partition)?;
        Ok(Follow::new(partition, self.handle.id(), filter, start))
    }
}
