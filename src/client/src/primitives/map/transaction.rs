//! Several operations of which all are done or none.

use std::time::Duration;

use bytes::Bytes;
use synod_proto::map::v1 as wire;
use synod_proto::map::v1::transact_request::Operation;
use synod_proto::map::v1::transact_request::operation::Operation as What;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_types::{ErrorCode, Version};

use crate::clock::millis;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::primitives::{Versioned, expected};

/// Operations on keys of one partition, of which all are done or none. Each key may be used once.
///
/// [`Transaction::if_version`] and [`Transaction::ttl`] are about the operation before them.
#[derive(Clone, Debug)]
#[must_use = "nothing is done until it is committed"]
pub struct Transaction {
    handle: Handle,
    operations: Vec<What>,
    /// What is wrong with how it was put together.
    problem: Option<Error>,
}

/// What one operation of a transaction has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionResult {
    /// The version of the entry now, if there is one.
    pub version: Option<Version>,
    /// What was there before, if anything was.
    pub previous: Option<Versioned>,
}

impl Transaction {
    pub(super) const fn new(handle: Handle) -> Self {
        Self { handle, operations: Vec::new(), problem: None }
    }

    /// Sets an entry, whatever was there.
    pub fn put(self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.with(What::Put(wire::PutRequest { key, value, ..Default::default() }))
    }

    /// Sets an entry that must not be there.
    pub fn insert(self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.with(What::Insert(wire::InsertRequest { key, value, ..Default::default() }))
    }

    /// Sets an entry that must be there.
    pub fn update(self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.with(What::Update(wire::UpdateRequest { key, value, ..Default::default() }))
    }

    /// Removes an entry that must be there.
    pub fn remove(self, key: impl Into<String>) -> Self {
        self.with(What::Remove(wire::RemoveRequest { key: key.into(), ..Default::default() }))
    }

    /// Requires that an entry has a version, and changes nothing.
    pub fn check(self, key: impl Into<String>, version: Version) -> Self {
        self.with(What::Check(wire::CheckRequest { key: key.into(), expected_version: version.get() }))
    }

    /// Requires that nothing is there, and changes nothing.
    pub fn check_absent(self, key: impl Into<String>) -> Self {
        self.with(What::Check(wire::CheckRequest { key: key.into(), expected_version: 0 }))
    }

    /// Requires that the entry of the operation before has this version: a put, update or remove.
    pub fn if_version(mut self, version: Version) -> Self {
        match (expected(Some(version)), self.operations.last_mut()) {
            (Ok(version), Some(What::Put(put))) => put.expected_version = version,
            (Ok(version), Some(What::Update(update))) => update.expected_version = version,
            (Ok(version), Some(What::Remove(remove))) => remove.expected_version = version,
            (Err(error), _) => self.problem = Some(error),
            (Ok(_), _) => self.misused("if_version is for the put, update or remove before it"),
        }
        self
    }

    /// Removes the entry of the operation before again after this long: a put, insert or update.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        let ttl_ms = Some(millis(ttl));
        match self.operations.last_mut() {
            Some(What::Put(put)) => put.ttl_ms = ttl_ms,
            Some(What::Insert(insert)) => insert.ttl_ms = ttl_ms,
            Some(What::Update(update)) => update.ttl_ms = ttl_ms,
            _ => self.misused("ttl is for the put, insert or update before it"),
        }
        self
    }

    /// Does all operations or none, and returns what each has done, in their order.
    ///
    /// # Errors
    /// As the first operation that would fail alone, saying which one; then nothing is changed. [`ErrorCode::Invalid`]
    /// when the keys live on several partitions, [`ErrorCode::Conflict`] when one is used twice.
    pub async fn commit(self) -> Result<Vec<TransactionResult>> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let Some(first) = self.operations.first().map(key) else { return Ok(Vec::new()) };
        let partition = self.handle.partition_of(first);
        for other in self.operations.iter().map(key) {
            let elsewhere = self.handle.partition_of(other);
            if elsewhere != partition {
                let message = format!(
                    "key \"{first}\" lives on partition {partition} and \"{other}\" on {elsewhere}: \
                     a transaction is for keys of one partition"
                );
                return Err(Error::new(ErrorCode::Invalid, message));
            }
        }
        let operations =
            self.operations.into_iter().map(|what| Operation { operation: Some(what) }).collect();
        let transact = Write::MapTransact(wire::TransactRequest { primitive: None, operations });
        let response: wire::TransactResponse = self.handle.write(partition, transact).await?;
        let result = |result: wire::transact_response::Result| TransactionResult {
            version: Some(Version(result.version)).filter(|version| *version != Version(0)),
            previous: result.previous.map(Versioned::from),
        };
        Ok(response.results.into_iter().map(result).collect())
    }

    fn with(mut self, operation: What) -> Self {
        self.operations.push(operation);
        self
    }

    fn misused(&mut self, how: &str) {
        self.problem = Some(Error::new(ErrorCode::Invalid, how));
    }
}

fn key(operation: &What) -> &str {
    match operation {
        What::Put(put) => &put.key,
        What::Insert(insert) => &insert.key,
        What::Update(update) => &update.key,
        What::Remove(remove) => &remove.key,
        What::Check(check) => &check.key,
    }
}
