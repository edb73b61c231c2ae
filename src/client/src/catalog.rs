//! Which primitives a group holds, asked of its partitions.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use prost::Message as _;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_proto::primitive::v1::{Delete, DeleteResponse, Describe, DescribeResponse, Query};
use synod_types::{PartitionId, PrimitiveId, PrimitiveKind};

use crate::clock;
use crate::error::Result;
use crate::group::Group;
use crate::handle::{Handle, decode};
use crate::partition::Consistency;

/// A primitive that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Description {
    /// The application that it belongs to.
    pub application: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: PrimitiveKind,
    /// The partitions on which it exists, in order.
    pub partitions: Vec<PartitionId>,
}

impl Group {
    /// The primitives of the group, in the order of application and name: those of one application, or of all.
    ///
    /// # Errors
    /// When a partition does not answer.
    pub async fn primitives(&self, application: Option<&str>) -> Result<Vec<Description>> {
        let deadline = clock::now() + self.request_timeout();
        let describe = Describe { application: application.unwrap_or_default().to_owned() };
        let query = Query { primitive: 0, operation: Some(Read::Describe(describe)) }.encode_to_vec();
        let asked = self.partition_ids().map(|id| {
            let query = query.clone();
            async move {
                let partition = self.partition(id)?;
                let answer = partition.read(query.into(), Consistency::Linearizable, deadline).await?;
                let described: DescribeResponse = decode(answer.result)?;
                Ok::<_, crate::Error>((id, described))
            }
        });
        let mut found: BTreeMap<PrimitiveId, Description> = BTreeMap::new();
        for (partition, described) in try_join_all(asked).await? {
            for primitive in described.primitives {
                // One of a kind that a newer server knows is none of ours.
                let Some(kind) = PrimitiveKind::from_number(primitive.kind) else { continue };
                let description =
                    found.entry(PrimitiveId(primitive.primitive)).or_insert_with(|| Description {
                        application: primitive.application,
                        name: primitive.name,
                        kind,
                        partitions: Vec::new(),
                    });
                description.partitions.push(partition);
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort();
        Ok(found)
    }

    /// Makes a primitive of the application exist, on its home partition.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`](synod_types::ErrorCode::Forbidden) when the name belongs to another kind.
    pub async fn create(&self, kind: PrimitiveKind, name: impl Into<String>) -> Result<()> {
        Handle::new(self, kind, name.into()).ensure().await
    }

    /// Deletes a primitive of the application, with all that it holds, and tells whether it existed. Its watchers see the
    /// removals.
    ///
    /// # Errors
    /// When a partition does not answer: then it may be deleted on others, and deleting it again goes on.
    pub async fn delete(&self, kind: PrimitiveKind, name: impl Into<String>) -> Result<bool> {
        let handle = Handle::new(self, kind, name.into());
        let home = handle.home();
        let delete = |partition| handle.write::<DeleteResponse>(partition, Write::Delete(Delete {}));
        // The home goes last: as long as it is there, the primitive exists.
        let others = self.partition_ids().filter(|id| kind.is_keyed() && *id != home);
        let mut existed = false;
        for deleted in try_join_all(others.map(delete)).await? {
            existed |= deleted.deleted;
        }
        self.note_known(handle.id(), false);
        existed |= delete(home).await?.deleted;
        Ok(existed)
    }
}
