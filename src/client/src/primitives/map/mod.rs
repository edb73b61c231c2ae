//! The map.

mod transaction;
mod write;

pub use transaction::{Transaction, TransactionResult};
pub use write::{Insert, Put, Remove, Update};

use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::BoxStream;
use synod_proto::map::v1 as wire;
use synod_proto::map::v1::event::Event as WireChange;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::event::Event as WireEvent;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_proto::primitive::v1::scan::Operation as List;
use synod_types::{PartitionId, Position, Version};

use super::listing::{self, Listed};
use super::watch::{self, Watched};
use super::{Versioned, Written};
use crate::error::Result;
use crate::events::{Events, Filter};
use crate::handle::{decode, handle};

handle! {
    /// Byte strings under string keys, each with a version, spread over all partitions of the group by key. Keys are 1 to
    /// 4096 bytes.
    ///
    /// What concerns several keys is atomic within one partition only, as in a [transaction](Map::transaction). What
    /// concerns the whole map, its length, clearing it, listing it, is done partition by partition and not as of one
    /// moment.
    Map, Map
}

/// An entry of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// What is stored under it.
    pub value: Bytes,
    /// The version that the last write gave it.
    pub version: Version,
}

/// A change of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapChange {
    /// There was nothing under the key, and now there is.
    Inserted {
        /// The key.
        key: String,
        /// What is there now.
        value: Versioned,
    },
    /// What is under the key has changed.
    Updated {
        /// The key.
        key: String,
        /// What is there now.
        value: Versioned,
        /// What was there before.
        previous: Versioned,
    },
    /// There is nothing under the key any more.
    Removed {
        /// The key.
        key: String,
        /// What was there before.
        value: Versioned,
        /// It was its TTL that ended it.
        expired: bool,
    },
}

impl MapChange {
    /// The key that it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Inserted { key, .. } | Self::Updated { key, .. } | Self::Removed { key, .. } => key,
        }
    }
}

impl Map {
    /// What is under a key.
    ///
    /// # Errors
    /// When no answer can be had, or the map [must exist](Map::existing) and does not.
    pub async fn get(&self, key: impl Into<String>) -> Result<Option<Versioned>> {
        let request = wire::GetRequest { primitive: None, key: key.into() };
        let partition = self.handle.partition_of(&request.key);
        let response = self.handle.read(partition, Read::MapGet(request)).await?;
        Ok(response
            .map(|wire::GetResponse { value, version }| Versioned { value, version: Version(version) }))
    }

    /// Sets what is under a key, whatever was there. Awaiting it does it.
    pub fn put(&self, key: impl Into<String>, value: impl Into<Bytes>) -> Put {
        Put::new(self.handle.clone(), key.into(), value.into())
    }

    /// Sets what is under a key under which nothing is; fails with
    /// [`ErrorCode::AlreadyExists`](synod_types::ErrorCode::AlreadyExists) if something is. Awaiting it does it.
    pub fn insert(&self, key: impl Into<String>, value: impl Into<Bytes>) -> Insert {
        Insert::new(self.handle.clone(), key.into(), value.into())
    }

    /// Sets what is under a key under which something is; fails with
    /// [`ErrorCode::NotFound`](synod_types::ErrorCode::NotFound) if nothing is. Awaiting it does it.
    pub fn update(&self, key: impl Into<String>, value: impl Into<Bytes>) -> Update {
        Update::new(self.handle.clone(), key.into(), value.into())
    }

    /// Removes what is under a key. Awaiting it does it.
    pub fn remove(&self, key: impl Into<String>) -> Remove {
        Remove::new(self.handle.clone(), key.into())
    }

    /// Several operations of which all are done or none, on keys of one partition.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.handle.clone())
    }

    /// The partition on which a key lives: a transaction is for keys of one.
    pub fn partition_of(&self, key: &str) -> PartitionId {
        self.handle.partition_of(key)
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub async fn len(&self) -> Result<u64> {
        let lengths = self.handle.group.partition_ids().map(|partition| async move {
            let len = Read::MapLen(wire::LenRequest::default());
            let response: Option<wire::LenResponse> = self.handle.read(partition, len).await?;
            Ok::<_, crate::Error>(response.unwrap_or_default().entries)
        });
        Ok(try_join_all(lengths).await?.into_iter().sum())
    }

    /// Removes every entry, and tells how many there were.
    ///
    /// # Errors
    /// As [`Map::get`]. Some partitions may be cleared all the same.
    pub async fn clear(&self) -> Result<u64> {
        let cleared = self.handle.group.partition_ids().map(|partition| async move {
            let clear = Write::MapClear(wire::ClearRequest::default());
            let response: Option<wire::ClearResponse> = self.handle.write_if_there(partition, clear).await?;
            Ok::<_, crate::Error>(response.unwrap_or_default().removed)
        });
        Ok(try_join_all(cleared).await?.into_iter().sum())
    }

    /// Every entry, in the order of the keys. An error is the last item.
    pub fn entries(&self) -> BoxStream<'static, Result<Entry>> {
        self.entries_with_prefix("")
    }

    /// Every entry whose key starts with a prefix, in the order of the keys. An error is the last item.
    pub fn entries_with_prefix(&self, prefix: impl Into<String>) -> BoxStream<'static, Result<Entry>> {
        listing::list(&self.handle, prefix.into())
    }

    /// Every change from now on.
    pub fn events(&self) -> Events<MapChange> {
        Events::new(&self.handle, change)
    }

    /// What is there, and then everything that changes, without a gap. An error is the last item.
    pub fn watch(&self) -> BoxStream<'static, Result<Watched<Entry, MapChange>>> {
        self.watch_prefix("")
    }

    /// As [`Map::watch`], of what starts with a prefix.
    pub fn watch_prefix(&self, prefix: &str) -> BoxStream<'static, Result<Watched<Entry, MapChange>>> {
        watch::watch(&self.handle, prefix, change)
    }
}

impl Events<MapChange> {
    /// Only of this key.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.filter(Filter::Key(key.into()))
    }

    /// Only of keys that start with this.
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        self.filter(Filter::Prefix(prefix.into()))
    }
}

fn change(event: WireEvent) -> Option<MapChange> {
    let WireEvent::Map(wire::Event { key, event: Some(change) }) = event else { return None };
    Some(match change {
        WireChange::Inserted(wire::event::Inserted { value }) => {
            MapChange::Inserted { key, value: value.unwrap_or_default().into() }
        }
        WireChange::Updated(wire::event::Updated { value, previous }) => MapChange::Updated {
            key,
            value: value.unwrap_or_default().into(),
            previous: previous.unwrap_or_default().into(),
        },
        WireChange::Removed(wire::event::Removed { value, expired }) => {
            MapChange::Removed { key, value: value.unwrap_or_default().into(), expired }
        }
    })
}

impl From<wire::Versioned> for Versioned {
    fn from(versioned: wire::Versioned) -> Self {
        Self { value: versioned.value, version: Version(versioned.version) }
    }
}

fn written(version: u64, previous: Option<wire::Versioned>) -> Written {
    Written { version: Version(version), previous: previous.map(Versioned::from) }
}

impl Listed for Entry {
    fn key(&self) -> &str {
        &self.key
    }

    fn list(prefix: &str) -> List {
        List::MapList(wire::ListRequest { prefix: prefix.to_owned(), ..Default::default() })
    }

    fn read(chunk: Bytes) -> Result<(Vec<Self>, Position)> {
        let wire::ListResponse { entries, position } = decode(chunk)?;
        let entry =
            |entry: wire::Entry| Self { key: entry.key, value: entry.value, version: Version(entry.version) };
        Ok((entries.into_iter().map(entry).collect(), Position(position)))
    }
}
