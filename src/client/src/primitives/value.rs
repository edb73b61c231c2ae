//! The value.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::event::Event as WireEvent;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_proto::value::v1 as wire;
use synod_proto::value::v1::event::Event as WireChange;
use synod_types::Version;

use super::{Versioned, Written, expected};
use crate::clock::millis;
use crate::error::Result;
use crate::events::Events;
use crate::handle::{Handle, handle};

handle! {
    /// One byte string with a version, which may be not set.
    Value, Value
}

/// A change of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueChange {
    /// It was not set, and is now.
    Created {
        /// What it is now.
        value: Versioned,
    },
    /// It was set to something else.
    Updated {
        /// What it is now.
        value: Versioned,
        /// What it was before.
        previous: Versioned,
    },
    /// It is not set any more.
    Deleted {
        /// What it was before.
        value: Versioned,
        /// It was its TTL that ended it.
        expired: bool,
    },
}

impl Value {
    /// What it is, if it is set.
    ///
    /// # Errors
    /// When no answer can be had, or the value [must exist](Value::existing) and does not.
    pub async fn get(&self) -> Result<Option<Versioned>> {
        let get = Read::ValueGet(wire::GetRequest::default());
        let response = self.handle.read(self.handle.home(), get).await?;
        Ok(response
            .map(|wire::GetResponse { value, version }| Versioned { value, version: Version(version) }))
    }

    /// Sets it, whatever it was.
    pub fn set(&self, value: impl Into<Bytes>) -> SetValue {
        let request = wire::SetRequest { value: value.into(), ..Default::default() };
        SetValue { handle: self.handle.clone(), request }
    }

    /// Sets it if it is not set; fails with [`ErrorCode::AlreadyExists`](synod_types::ErrorCode::AlreadyExists) if it
    /// is.
    pub fn insert(&self, value: impl Into<Bytes>) -> InsertValue {
        let request = wire::InsertRequest { value: value.into(), ..Default::default() };
        InsertValue { handle: self.handle.clone(), request }
    }

    /// Sets it if it is set; fails with [`ErrorCode::NotFound`](synod_types::ErrorCode::NotFound) if it is not.
    pub fn update(&self, value: impl Into<Bytes>) -> UpdateValue {
        let request = wire::UpdateRequest { value: value.into(), ..Default::default() };
        UpdateValue { handle: self.handle.clone(), request, expected: None }
    }

    /// Unsets it.
    pub fn delete(&self) -> DeleteValue {
        DeleteValue { handle: self.handle.clone(), expected: None }
    }

    /// Every change from now on.
    pub fn events(&self) -> Events<ValueChange> {
        Events::new(&self.handle, |event| match event {
            WireEvent::Value(event) => event.event.map(change),
            _ => None,
        })
    }
}

fn change(change: WireChange) -> ValueChange {
    match change {
        WireChange::Created(wire::event::Created { value }) => {
            ValueChange::Created { value: value.unwrap_or_default().into() }
        }
        WireChange::Updated(wire::event::Updated { value, previous }) => ValueChange::Updated {
            value: value.unwrap_or_default().into(),
            previous: previous.unwrap_or_default().into(),
        },
        WireChange::Deleted(wire::event::Deleted { value, expired }) => {
            ValueChange::Deleted { value: value.unwrap_or_default().into(), expired }
        }
    }
}

impl From<wire::Versioned> for Versioned {
    fn from(versioned: wire::Versioned) -> Self {
        Self { value: versioned.value, version: Version(versioned.version) }
    }
}

fn written(version: u64, previous: Option<wire::Versioned>) -> Written {
    Written { version: Version(version), previous: previous.map(Versioned::from) }
}

/// Sets a value when it is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct SetValue {
    handle: Handle,
    request: wire::SetRequest,
}

impl SetValue {
    /// Unset it again after this long, unless it is written before.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.request.ttl_ms = Some(millis(ttl));
        self
    }
}

impl IntoFuture for SetValue {
    type Output = Result<Written>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let set = Write::ValueSet(self.request);
            let response: wire::SetResponse = self.handle.write(self.handle.home(), set).await?;
            Ok(written(response.version, response.previous))
        }
        .boxed()
    }
}

/// Sets a value that is not set, when it is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct InsertValue {
    handle: Handle,
    request: wire::InsertRequest,
}

impl InsertValue {
    /// Unset it again after this long, unless it is written before.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.request.ttl_ms = Some(millis(ttl));
        self
    }
}

impl IntoFuture for InsertValue {
    type Output = Result<Version>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let insert = Write::ValueInsert(self.request);
            let response: wire::InsertResponse = self.handle.write(self.handle.home(), insert).await?;
            Ok(Version(response.version))
        }
        .boxed()
    }
}

/// Sets a value that is set, when it is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is written until it is awaited"]
pub struct UpdateValue {
    handle: Handle,
    request: wire::UpdateRequest,
    expected: Option<Version>,
}

impl UpdateValue {
    /// Unset it again after this long, unless it is written before.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.request.ttl_ms = Some(millis(ttl));
        self
    }

    /// Only if it has this version; fails with [`ErrorCode::Conflict`](synod_types::ErrorCode::Conflict) otherwise.
    pub const fn if_version(mut self, version: Version) -> Self {
        self.expected = Some(version);
        self
    }
}

impl IntoFuture for UpdateValue {
    type Output = Result<Written>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let expected_version = expected(self.expected)?;
            let update = Write::ValueUpdate(wire::UpdateRequest { expected_version, ..self.request });
            let response: wire::UpdateResponse = self.handle.write(self.handle.home(), update).await?;
            Ok(written(response.version, response.previous))
        }
        .boxed()
    }
}

/// Unsets a value when it is awaited. Returns what it was; nothing if it was not set, which is an error only if a version
/// is expected.
#[derive(Clone, Debug)]
#[must_use = "nothing is deleted until it is awaited"]
pub struct DeleteValue {
    handle: Handle,
    expected: Option<Version>,
}

impl DeleteValue {
    /// Only if it has this version; fails with [`ErrorCode::Conflict`](synod_types::ErrorCode::Conflict) otherwise, and
    /// with [`ErrorCode::NotFound`](synod_types::ErrorCode::NotFound) if it is not set.
    pub const fn if_version(mut self, version: Version) -> Self {
        self.expected = Some(version);
        self
    }
}

impl IntoFuture for DeleteValue {
    type Output = Result<Option<Versioned>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let expected_version = expected(self.expected)?;
            let delete = Write::ValueDelete(wire::DeleteRequest { primitive: None, expected_version });
            let home = self.handle.home();
            let response: Option<wire::DeleteResponse> = match self.expected {
                Some(_) => Some(self.handle.write(home, delete).await?),
                None => self.handle.write_if_there(home, delete).await?,
            };
            Ok(response.and_then(|response| response.previous).map(Versioned::from))
        }
        .boxed()
    }
}
