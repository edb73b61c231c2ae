//! The counter.

use synod_proto::counter::v1 as wire;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::event::Event as WireEvent;
use synod_proto::primitive::v1::query::Operation as Read;

use crate::error::Result;
use crate::events::Events;
use crate::handle::handle;

handle! {
    /// A 64-bit signed number, which is 0 until it is set. Arithmetic wraps around.
    ///
    /// Every change is executed exactly once if it returns a value. After an error that
    /// [may have happened](crate::Error::may_have_happened) it was executed once or not at all.
    Counter, Counter
}

/// A change of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterChange {
    /// What it is now.
    pub value: i64,
    /// What it was before.
    pub previous: i64,
}

impl Counter {
    /// The number.
    ///
    /// # Errors
    /// When no answer can be had, or the counter [must exist](Counter::existing) and does not.
    pub async fn get(&self) -> Result<i64> {
        let get = Read::CounterGet(wire::GetRequest::default());
        let response: Option<wire::GetResponse> = self.handle.read(self.handle.home(), get).await?;
        Ok(response.unwrap_or_default().value)
    }

    /// Sets the number, and returns what it was before.
    ///
    /// # Errors
    /// As [`Counter::get`].
    pub async fn set(&self, value: i64) -> Result<i64> {
        let set = Write::CounterSet(wire::SetRequest { primitive: None, value });
        let response: wire::SetResponse = self.handle.write(self.handle.home(), set).await?;
        Ok(response.previous)
    }

    /// Sets the number if it is the expected one.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`](synod_types::ErrorCode::Conflict) when it is another one; else as [`Counter::get`].
    pub async fn compare_and_set(&self, expected: i64, value: i64) -> Result<()> {
        let update = Write::CounterUpdate(wire::UpdateRequest { primitive: None, expected, value });
        let _: wire::UpdateResponse = self.handle.write(self.handle.home(), update).await?;
        Ok(())
    }

    /// Adds to the number, and returns what it is then.
    ///
    /// # Errors
    /// As [`Counter::get`].
    pub async fn increment(&self, delta: i64) -> Result<i64> {
        let increment = Write::CounterIncrement(wire::IncrementRequest { primitive: None, delta });
        let response: wire::IncrementResponse = self.handle.write(self.handle.home(), increment).await?;
        Ok(response.value)
    }

    /// Subtracts from the number, and returns what it is then.
    ///
    /// # Errors
    /// As [`Counter::get`].
    pub async fn decrement(&self, delta: i64) -> Result<i64> {
        let decrement = Write::CounterDecrement(wire::DecrementRequest { primitive: None, delta });
        let response: wire::DecrementResponse = self.handle.write(self.handle.home(), decrement).await?;
        Ok(response.value)
    }

    /// Every change from now on.
    pub fn events(&self) -> Events<CounterChange> {
        Events::new(&self.handle, |event| match event {
            WireEvent::Counter(wire::Event { value, previous }) => Some(CounterChange { value, previous }),
            _ => None,
        })
    }
}
