//! Listings over all partitions, in the order of keys.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use synod_proto::primitive::v1::scan::Operation as List;
use synod_types::{PartitionId, Position};

use crate::error::Result;
use crate::handle::Handle;
use crate::partition::Chunks;

/// What a keyed primitive is a collection of.
pub(crate) trait Listed: Sized + Send + 'static {
    /// The key by which it is ordered.
    fn key(&self) -> &str;

    /// The listing of those that start with a prefix.
    fn list(prefix: &str) -> List;

    /// Reads a chunk of the listing: the items, and where the history stood when it was taken.
    fn read(chunk: Bytes) -> Result<(Vec<Self>, Position)>;
}

/// The listing of one partition: all of it as of one moment.
#[derive(Debug)]
pub(crate) struct PartitionListing<T> {
    chunks: Option<Chunks>,
    items: VecDeque<T>,
    /// Where the history stood; none if the primitive is not there.
    position: Option<Position>,
}

impl<T: Listed> PartitionListing<T> {
    /// Begins the listing.
    pub(crate) async fn begin(handle: &Handle, partition: PartitionId, prefix: &str) -> Result<Self> {
        let chunks = handle.list(partition, T::list(prefix)).await?;
        let mut listing = Self { chunks, items: VecDeque::new(), position: None };
        listing.read().await?;
        Ok(listing)
    }

    /// Where the history stood when the listing was taken; none if the primitive is not there.
    pub(crate) const fn position(&self) -> Option<Position> {
        self.position
    }

    /// The next item; none after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<T>> {
        self.fill().await?;
        Ok(self.items.pop_front())
    }

    /// Makes sure that the next item is here, if there is one.
    async fn fill(&mut self) -> Result<()> {
        while self.items.is_empty() && self.chunks.is_some() {
            self.read().await?;
        }
        Ok(())
    }

    fn first_key(&self) -> Option<&str> {
        self.items.front().map(Listed::key)
    }

    async fn read(&mut self) -> Result<()> {
        let Some(chunks) = &mut self.chunks else { return Ok(()) };
        match chunks.next().await? {
            Some(chunk) => {
                let (items, position) = T::read(chunk)?;
                self.items.extend(items);
                self.position.get_or_insert(position);
            }
            None => self.chunks = None,
        }
        Ok(())
    }
}

/// Everything that starts with a prefix, in the order of the keys. Each partition is as of one moment; an error is the
/// last item.
pub(crate) fn list<T: Listed>(handle: &Handle, prefix: String) -> BoxStream<'static, Result<T>> {
    let handle = handle.clone();
    let begun = async move {
        let partitions = handle.group.partition_ids();
        let begin = partitions.map(|partition| PartitionListing::<T>::begin(&handle, partition, &prefix));
        let listings = futures::future::try_join_all(begin).await;
        stream::try_unfold(Merge { listings: Vec::new(), begun: Some(listings) }, |mut merge| async move {
            Ok(merge.next().await?.map(|item| (item, merge)))
        })
    };
    stream::once(begun).flatten().boxed()
}

struct Merge<T> {
    listings: Vec<PartitionListing<T>>,
    begun: Option<Result<Vec<PartitionListing<T>>>>,
}

impl<T: Listed> Merge<T> {
    /// The item with the least key.
    async fn next(&mut self) -> Result<Option<T>> {
        if let Some(begun) = self.begun.take() {
            self.listings = begun?;
        }
        for listing in &mut self.listings {
            listing.fill().await?;
        }
        self.listings.retain(|listing| !listing.items.is_empty());
        let least = self.listings.iter_mut().min_by(|a, b| a.first_key().cmp(&b.first_key()));
        Ok(least.and_then(|listing| listing.items.pop_front()))
    }
}
