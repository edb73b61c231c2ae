//! `describe`: the primitives of this partition.

use synod_proto::primitive::v1::{Describe, DescribeResponse};
use synod_storage::state::Table;
use synod_types::PrimitiveId;

use super::{decode, description_of};
use crate::context::{Outcome, View};
use crate::keys;

/// Describes one primitive if the query names one, else all, or all of one application, in the order of their ids.
pub(crate) fn describe(view: &View<'_>, query: &Describe) -> Outcome<DescribeResponse> {
    let mut primitives = Vec::new();
    if view.primitive == PrimitiveId::default() {
        for pair in view.store.scan(Table::Registry, keys::registry_ids()) {
            let description = decode(&pair?.1)?;
            if query.application.is_empty() || description.application == query.application {
                primitives.push(description);
            }
        }
    } else {
        primitives.extend(description_of(view.store, view.primitive)?);
    }
    Ok(DescribeResponse { primitives })
}
