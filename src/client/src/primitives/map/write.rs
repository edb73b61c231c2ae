//! The writes of one key.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use synod_proto::map::v1 as wire;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_types::Version;

use super::written;
use crate::clock::millis;
use crate::error::Result;
use crate::handle::Handle;
use crate::primitives::{Versioned, Written, expected};

/// Sets an entry when it is awaited.
///
/// Without a TTL, the bytes that are there already change nothing: the version stays, and nobody is told.
#[derive(Clone, Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct Put {
    handle: Handle,
    request: wire::PutRequest,
    expected: Option<Version>,
}

impl Put {
    pub(super) fn new(handle: Handle, key: String, value: Bytes) -> Self {
        Self { handle, request: wire::PutRequest { key, value, ..Default::default() }, expected: None }
    }

    /// Only if the entry is there and has this version; fails with
    /// [`ErrorCode::Conflict`](synod_types::ErrorCode::Conflict) otherwise.
    pub const fn if_version(mut self, version: Version) -> Self {
        self.expected = Some(version);
        self
    }

    /// Remove it again after this long, unless it is written before.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.request.ttl_ms = Some(millis(ttl));
        self
    }
}

impl IntoFuture for Put {
    type Output = Result<Written>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let expected_version = expected(self.expected)?;
            let partition = self.handle.partition_of(&self.request.key);
            let put = Write::MapPut(wire::PutRequest { expected_version, ..self.request });
            let response: wire::PutResponse = self.handle.write(partition, put).await?;
            Ok(written(response.version, response.previous))
        }
        .boxed()
    }
}

/// Sets an entry that is not there, when it is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct Insert {
    handle: Handle,
    request: wire::InsertRequest,
}

impl Insert {
    pub(super) fn new(handle: Handle, key: String, value: Bytes) -> Self {
        Self { handle, request: wire::InsertRequest { key, value, ..Default::default() } }
    }

    /// Remove it again after this long, unless it is written before.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.request.ttl_ms = Some(millis(ttl));
        self
    }
}

impl IntoFuture for Insert {
    type Output = Result<Version>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let partition = self.handle.partition_of(&self.request.key);
            let insert = Write::MapInsert(self.request);
            let response: wire::InsertResponse = self.handle.write(partition, insert).await?;
            Ok(Version(response.version))
        }
        .boxed()
    }
}

/// Sets an entry that is there, when it is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct Update {
    handle: Handle,
    request: wire::UpdateRequest,
    expected: Option<Version>,
}

impl Update {
    pub(super) fn new(handle: Handle, key: String, value: Bytes) -> Self {
        Self { handle, request: wire::UpdateRequest { key, value, ..Default::default() }, expected: None }
    }

    /// Only if the entry has this version; fails with [`ErrorCode::Conflict`](synod_types::ErrorCode::Conflict)
    /// otherwise.
    pub const fn if_version(mut self, version: Version) -> Self {
        self.expected = Some(version);
        self
    }

    /// Remove it again after this long, unless it is written before.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.request.ttl_ms = Some(millis(ttl));
        self
    }
}

impl IntoFuture for Update {
    type Output = Result<Written>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let expected_version = expected(self.expected)?;
            let partition = self.handle.partition_of(&self.request.key);
            let update = Write::MapUpdate(wire::UpdateRequest { expected_version, ..self.request });
            let response: wire::UpdateResponse = self.handle.write(partition, update).await?;
            Ok(written(response.version, response.previous))
        }
        .boxed()
    }
}

/// Removes an entry when it is awaited. Returns what was there; nothing if nothing was, which is an error only if a
/// version is expected.
#[derive(Clone, Debug)]
#[must_use = "nothing is removed until it is awaited"]
pub struct Remove {
    handle: Handle,
    key: String,
    expected: Option<Version>,
}

impl Remove {
    pub(super) const fn new(handle: Handle, key: String) -> Self {
        Self { handle, key, expected: None }
    }

    /// Only if the entry has this version; fails with [`ErrorCode::Conflict`](synod_types::ErrorCode::Conflict)
    /// otherwise, and with [`ErrorCode::NotFound`](synod_types::ErrorCode::NotFound) if nothing is there.
    pub const fn if_version(mut self, version: Version) -> Self {
        self.expected = Some(version);
        self
    }
}

impl IntoFuture for Remove {
    type Output = Result<Option<Versioned>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let expected_version = expected(self.expected)?;
            let partition = self.handle.partition_of(&self.key);
            let request = wire::RemoveRequest { primitive: None, key: self.key, expected_version };
            let remove = Write::MapRemove(request);
            let response: Option<wire::RemoveResponse> = match self.expected {
                Some(_) => Some(self.handle.write(partition, remove).await?),
                None => self.handle.write_if_there(partition, remove).await?,
            };
            Ok(response.and_then(|response| response.removed).map(Versioned::from))
        }
        .boxed()
    }
}
