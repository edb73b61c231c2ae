//! The set.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, try_join_all};
use futures::stream::BoxStream;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::event::Event as WireEvent;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_proto::primitive::v1::scan::Operation as List;
use synod_proto::set::v1 as wire;
use synod_proto::set::v1::event::Event as WireChange;
use synod_types::Position;

use super::listing::{self, Listed};
use super::watch::{self, Watched};
use crate::clock::millis;
use crate::error::Result;
use crate::events::{Events, Filter};
use crate::handle::{Handle, decode, handle};

handle! {
    /// Distinct strings, spread over all partitions of the group. Elements are 1 to 4096 bytes.
    ///
    /// What concerns the whole set, its length, clearing it, listing it, is done partition by partition and not as of one
    /// moment.
    Set, Set
}

/// A change of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetChange {
    /// It was not in the set, and is now.
    Added {
        /// What.
        element: String,
    },
    /// It was in the set, and is not any more.
    Removed {
        /// What.
        element: String,
        /// It was its TTL that ended it.
        expired: bool,
    },
}

impl Set {
    /// Adds an element. Awaiting it tells whether it was not there before; one that was there stays as it is, TTL and
    /// all.
    pub fn add(&self, element: impl Into<String>) -> Add {
        let request = wire::AddRequest { element: element.into(), ..Default::default() };
        Add { handle: self.handle.clone(), request }
    }

    /// Removes an element, and tells whether it was there.
    ///
    /// # Errors
    /// When no answer can be had, or the set [must exist](Set::existing) and does not.
    pub async fn remove(&self, element: impl Into<String>) -> Result<bool> {
        let request = wire::RemoveRequest { primitive: None, element: element.into() };
        let partition = self.handle.partition_of(&request.element);
        let remove = Write::SetRemove(request);
        let response: Option<wire::RemoveResponse> = self.handle.write_if_there(partition, remove).await?;
        Ok(response.is_some_and(|response| response.removed))
    }

    /// Whether an element is there.
    ///
    /// # Errors
    /// As [`Set::remove`].
    pub async fn contains(&self, element: impl Into<String>) -> Result<bool> {
        let request = wire::ContainsRequest { primitive: None, element: element.into() };
        let partition = self.handle.partition_of(&request.element);
        let contains = Read::SetContains(request);
        let response: Option<wire::ContainsResponse> = self.handle.read(partition, contains).await?;
        Ok(response.is_some_and(|response| response.contains))
    }

    /// How many elements there are.
    ///
    /// # Errors
    /// As [`Set::remove`].
    pub async fn len(&self) -> Result<u64> {
        let lengths = self.handle.group.partition_ids().map(|partition| async move {
            let len = Read::SetLen(wire::LenRequest::default());
            let response: Option<wire::LenResponse> = self.handle.read(partition, len).await?;
            Ok::<_, crate::Error>(response.unwrap_or_default().elements)
        });
        Ok(try_join_all(lengths).await?.into_iter().sum())
    }

    /// Removes every element, and tells how many there were.
    ///
    /// # Errors
    /// As [`Set::remove`]. Some partitions may be cleared all the same.
    pub async fn clear(&self) -> Result<u64> {
        let cleared = self.handle.group.partition_ids().map(|partition| async move {
            let clear = Write::SetClear(wire::ClearRequest::default());
            let response: Option<wire::ClearResponse> = self.handle.write_if_there(partition, clear).await?;
            Ok::<_, crate::Error>(response.unwrap_or_default().removed)
        });
        Ok(try_join_all(cleared).await?.into_iter().sum())
    }

    /// Every element, in order. An error is the last item.
    pub fn elements(&self) -> BoxStream<'static, Result<String>> {
        self.elements_with_prefix("")
    }

    /// Every element that starts with a prefix, in order. An error is the last item.
    pub fn elements_with_prefix(&self, prefix: impl Into<String>) -> BoxStream<'static, Result<String>> {
        listing::list(&self.handle, prefix.into())
    }

    /// Every change from now on.
    pub fn events(&self) -> Events<SetChange> {
        Events::new(&self.handle, change)
    }

    /// What is there, and then everything that changes, without a gap. An error is the last item.
    pub fn watch(&self) -> BoxStream<'static, Result<Watched<String, SetChange>>> {
        watch::watch(&self.handle, "", change)
    }
}

impl Events<SetChange> {
    /// Only of this element.
    pub fn element(self, element: impl Into<String>) -> Self {
        self.filter(Filter::Key(element.into()))
    }

    /// Only of elements that start with this.
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        self.filter(Filter::Prefix(prefix.into()))
    }
}

fn change(event: WireEvent) -> Option<SetChange> {
    let WireEvent::Set(wire::Event { element, event: Some(change) }) = event else { return None };
    Some(match change {
        WireChange::Added(wire::event::Added {}) => SetChange::Added { element },
        WireChange::Removed(wire::event::Removed { expired }) => SetChange::Removed { element, expired },
    })
}

impl Listed for String {
    fn key(&self) -> &str {
        self
    }

    fn list(prefix: &str) -> List {
        List::SetList(wire::ListRequest { prefix: prefix.to_owned(), ..Default::default() })
    }

    fn read(chunk: Bytes) -> Result<(Vec<Self>, Position)> {
        let wire::ListResponse { elements, position } = decode(chunk)?;
        Ok((elements, Position(position)))
    }
}

/// Adds an element when it is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is added until it is awaited"]
pub struct Add {
    handle: Handle,
    request: wire::AddRequest,
}

impl Add {
    /// Remove it again after this long.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.request.ttl_ms = Some(millis(ttl));
        self
    }
}

impl IntoFuture for Add {
    type Output = Result<bool>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let partition = self.handle.partition_of(&self.request.element);
            let response: wire::AddResponse =
                self.handle.write(partition, Write::SetAdd(self.request)).await?;
            Ok(response.added)
        }
        .boxed()
    }
}
