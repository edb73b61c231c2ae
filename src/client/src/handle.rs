//! What the handles of all kinds share: where a primitive lives, and that it exists.
//!
//! A primitive exists on a partition once it was created there. It is created by its first use:
//! 1. on its **home** first, the partition of its name, where a name that another kind has is refused;
//! 2. if it is keyed, on each other partition when something is written there for the first time.
//!
//! Nothing of this costs anything in the usual case, in which it exists: the request is sent, and only if the answer is
//! that there is no such primitive is it created and the request sent again, as a new one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_proto::primitive::v1::scan::Operation as List;
use synod_proto::primitive::v1::{self as wire, Create, CreateResponse, Describe, DescribeResponse};
use synod_types::{ErrorCode, Index, Monotonic, PartitionId, PrimitiveId, PrimitiveKind, PrimitiveName};

use crate::clock;
use crate::error::{Error, Result};
use crate::group::Group;
use crate::partition::pipeline::{Answer, Under};
use crate::partition::{Chunks, Consistency, Partition};
use crate::tenure::Tenure;

/// A primitive, as one program uses it.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) group: Group,
    kind: PrimitiveKind,
    name: String,
    id: PrimitiveId,
    /// It must exist already.
    pub(crate) is_existing: bool,
    pub(crate) consistency: Consistency,
    pub(crate) timeout: Duration,
}

/// A write that was executed.
#[derive(Debug)]
pub(crate) struct Executed<R> {
    pub(crate) response: R,
    /// Under which session. It is there for every write.
    pub(crate) tenure: Option<Arc<Tenure>>,
}

/// How a write is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    pub(crate) under: Under,
    /// Whether a server that has too much to do is asked again.
    pub(crate) patient: bool,
}

impl Default for Sending {
    fn default() -> Self {
        Self { under: Under::Any, patient: true }
    }
}

impl Handle {
    pub(crate) fn new(group: &Group, kind: PrimitiveKind, name: String) -> Self {
        let id = PrimitiveId::of(group.application(), kind, &name);
        let timeout = group.request_timeout();
        let (group, consistency) = (group.clone(), Consistency::default());
        Self { group, kind, name, id, is_existing: false, consistency, timeout }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn kind(&self) -> PrimitiveKind {
        self.kind
    }

    pub(crate) const fn id(&self) -> PrimitiveId {
        self.id
    }

    /// When a request that begins now must be answered.
    pub(crate) fn deadline(&self) -> Monotonic {
        clock::now() + self.timeout
    }

    /// The partition of its name: where a primitive that is not keyed lives.
    pub(crate) fn home(&self) -> PartitionId {
        self.group.partition_of(self.name.as_bytes())
    }

    /// The partition of a key.
    pub(crate) fn partition_of(&self, key: &str) -> PartitionId {
        self.group.partition_of(key.as_bytes())
    }

    /// Executes a command, exactly once if this returns a response.
    pub(crate) async fn write<R: Message + Default>(
        &self,
        partition: PartitionId,
        operation: Write,
    ) -> Result<R> {
        Ok(self.write_with(partition, operation, Sending::default()).await?.response)
    }

    pub(crate) async fn write_with<R: Message + Default>(
        &self,
        partition: PartitionId,
        operation: Write,
        sending: Sending,
    ) -> Result<Executed<R>> {
        self.check_name()?;
        let deadline = self.deadline();
        let at = self.group.partition(partition)?;
        let command = self.command(operation);
        let Sending { under, patient } = sending;
        let mut executed = at.write(command.clone(), under, patient, deadline).await;
        if is_unknown(&executed) && matches!(under, Under::Any) {
            self.exist(&at, deadline).await?;
            executed = at.write(command, under, patient, deadline).await;
        }
        let Answer { result, tenure, .. } = executed?;
        Ok(Executed { response: decode(result)?, tenure })
    }

    /// Executes a command that is about what is there; nothing if it is not there, or the primitive itself is not on that
    /// partition, where it is not created for this.
    pub(crate) async fn write_if_there<R: Message + Default>(
        &self,
        partition: PartitionId,
        operation: Write,
    ) -> Result<Option<R>> {
        self.check_name()?;
        let deadline = self.deadline();
        let at = self.group.partition(partition)?;
        let answer = at.write(self.command(operation), Under::Any, true, deadline).await;
        if is_unknown(&answer) {
            self.exist_at_home(deadline).await?;
            return Ok(None);
        }
        found(answer)?.map(|answer| decode(answer.result)).transpose()
    }

    /// Executes a command of whose outcome nobody waits.
    pub(crate) fn write_unattended(&self, partition: PartitionId, operation: Write, under: Under) {
        if let Ok(at) = self.group.partition(partition) {
            at.write_unattended(self.command(operation), under);
        }
    }

    /// Answers a query; nothing if what is asked for is not there, or the primitive itself is not on that partition.
    pub(crate) async fn read<R: Message + Default>(
        &self,
        partition: PartitionId,
        operation: Read,
    ) -> Result<Option<R>> {
        Ok(self.read_with_index(partition, operation).await?.map(|(response, _)| response))
    }

    /// As [`Handle::read`], and the command up to which everything is reflected in the answer.
    pub(crate) async fn read_with_index<R: Message + Default>(
        &self,
        partition: PartitionId,
        operation: Read,
    ) -> Result<Option<(R, Index)>> {
        self.check_name()?;
        let deadline = self.deadline();
        let at = self.group.partition(partition)?;
        let query = wire::Query { primitive: self.id.get(), operation: Some(operation) };
        let query = Bytes::from(query.encode_to_vec());
        let mut answer = at.read(query.clone(), self.consistency, deadline).await;
        if is_unknown(&answer) && self.may_be_stale() {
            answer = at.read(query.clone(), Consistency::Linearizable, deadline).await;
        }
        if is_unknown(&answer) {
            self.exist_at_home(deadline).await?;
            if partition != self.home() {
                return Ok(None);
            }
            answer = at.read(query, Consistency::Linearizable, deadline).await;
        }
        let Some(Answer { result, index, .. }) = found(answer)? else { return Ok(None) };
        Ok(Some((decode(result)?, Index(index))))
    }

    /// Begins a listing; nothing if the primitive holds nothing on that partition, not even itself.
    pub(crate) async fn list(&self, partition: PartitionId, operation: List) -> Result<Option<Chunks>> {
        self.check_name()?;
        let deadline = self.deadline();
        let at = self.group.partition(partition)?;
        let scan = wire::Scan { primitive: self.id.get(), operation: Some(operation) };
        let scan = Bytes::from(scan.encode_to_vec());
        let mut chunks = at.scan(scan.clone(), self.consistency, deadline).await;
        if is_unknown(&chunks) && self.may_be_stale() {
            chunks = at.scan(scan.clone(), Consistency::Linearizable, deadline).await;
        }
        if is_unknown(&chunks) {
            self.exist_at_home(deadline).await?;
            if partition != self.home() {
                return Ok(None);
            }
            chunks = at.scan(scan, Consistency::Linearizable, deadline).await;
        }
        chunks.map(Some)
    }

    /// Makes sure that the primitive exists on its home, or finds out that it does not.
    pub(crate) async fn ensure(&self) -> Result<()> {
        self.check_name()?;
        if self.group.is_known(self.id) {
            return Ok(());
        }
        self.exist_at_home(self.deadline()).await
    }

    /// Makes the primitive exist on a partition that does not know it, and on its home before that.
    async fn exist(&self, at: &Partition, deadline: Monotonic) -> Result<()> {
        if at.id() == self.home() {
            return self.exist_at_home(deadline).await;
        }
        if !self.group.is_known(self.id) {
            self.exist_at_home(deadline).await?;
        }
        self.create_on(at, deadline).await
    }

    async fn exist_at_home(&self, deadline: Monotonic) -> Result<()> {
        let home = self.group.partition(self.home())?;
        if self.is_existing {
            self.expect_on(&home, deadline).await?;
        } else {
            self.create_on(&home, deadline).await?;
        }
        self.group.note_known(self.id, true);
        Ok(())
    }

    async fn create_on(&self, at: &Partition, deadline: Monotonic) -> Result<()> {
        let application = self.group.application().to_owned();
        let create = Create { application, kind: self.kind.number(), name: self.name.clone() };
        let command = self.command(Write::Create(create));
        let created = at.write(command, Under::Any, true, deadline).await;
        let created: CreateResponse = decode(created.map_err(|error| self.about(error))?.result)?;
        if created.created {
            tracing::debug!(kind = %self.kind, name = self.name, partition = %at.id(), "primitive created");
        }
        Ok(())
    }

    async fn expect_on(&self, home: &Partition, deadline: Monotonic) -> Result<()> {
        let describe = Describe { application: self.group.application().to_owned() };
        let query = wire::Query { primitive: self.id.get(), operation: Some(Read::Describe(describe)) }
            .encode_to_vec();
        let answer = home.read(query.into(), Consistency::Linearizable, deadline).await?;
        let described: DescribeResponse = decode(answer.result)?;
        if described.primitives.iter().any(|primitive| primitive.primitive == self.id.get()) {
            return Ok(());
        }
        self.group.note_known(self.id, false);
        let message = format!(
            "{} \"{}\" does not exist in application \"{}\" of group \"{}\"",
            self.kind,
            self.name,
            self.group.application(),
            self.group.name()
        );
        Err(Error::new(ErrorCode::NotFound, message))
    }

    fn command(&self, operation: Write) -> Bytes {
        let command = wire::Command { primitive: self.id.get(), operation: Some(operation) };
        command.encode_to_vec().into()
    }

    fn check_name(&self) -> Result<()> {
        // A name that is fine costs no more than looking at it.
        PrimitiveName::new(self.name.as_str()).map(|_| ()).map_err(Error::from)
    }

    fn may_be_stale(&self) -> bool {
        self.consistency == Consistency::Sequential
    }

    fn about(&self, error: Error) -> Error {
        error.within(format!("{} \"{}\"", self.kind, self.name))
    }
}

fn is_unknown<T>(outcome: &Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| error.code() == ErrorCode::UnknownPrimitive)
}

/// Something that is missing is no error for whoever asks whether it is there.
fn found<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a response.
pub(crate) fn decode<M: Message + Default>(bytes: Bytes) -> Result<M> {
    M::decode(bytes).map_err(|_| {
        let message = "the server's answer cannot be read: it may be of another version";
        Error::ambiguous(ErrorCode::Internal, message)
    })
}

/// Declares a handle with what all of them offer.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            pub(crate) handle: $crate::handle::Handle,
        }

        impl $name {
            pub(crate) fn new(group: &$crate::Group, name: String) -> Self {
                let kind = synod_types::PrimitiveKind::$kind;
                Self { handle: $crate::handle::Handle::new(group, kind, name) }
            }

            /// Fail with [`ErrorCode::NotFound`](synod_types::ErrorCode::NotFound) instead of creating it by its first
            /// use.
            #[must_use]
            pub const fn existing(mut self) -> Self {
                self.handle.is_existing = true;
                self
            }

            /// How fresh reads are; linearizable if nothing is said.
            #[must_use]
            pub const fn consistency(mut self, consistency: $crate::Consistency) -> Self {
                self.handle.consistency = consistency;
                self
            }

            /// How long an operation tries; what the client was told if nothing is said.
            #[must_use]
            pub const fn request_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.handle.timeout = timeout;
                self
            }

            /// Its name.
            pub fn name(&self) -> &str {
                self.handle.name()
            }

            /// Makes sure that it exists, without using it.
            ///
            /// # Errors
            /// [`ErrorCode::Forbidden`](synod_types::ErrorCode::Forbidden) when the name belongs to another kind,
            /// [`ErrorCode::NotFound`](synod_types::ErrorCode::NotFound) when it must exist already and does not.
            pub async fn ensure(&self) -> $crate::Result<()> {
                self.handle.ensure().await
            }
        }
    };
}
pub(crate) use handle;
