//! Which primitives exist on this partition.
//!
//! An id is a hash, and a name belongs to one kind within its application; both are checked when a primitive is
//! created, so that a clash is an error and never two primitives in one place.

mod create;
mod delete;
mod describe;

pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use describe::describe;

use prost::Message as _;
use synod_proto::primitive::v1::Description;
use synod_storage::state::{StateRead, Table};
use synod_types::{ErrorCode, PrimitiveId, PrimitiveKind};

use crate::context::{Failure, Outcome};
use crate::keys;

const FORMAT: u8 = 1;

/// The kind of a primitive that exists.
pub(crate) fn kind_of(store: &dyn StateRead, primitive: PrimitiveId) -> Outcome<Option<PrimitiveKind>> {
    let Some(record) = store.get(Table::Registry, &keys::registry_id(primitive))? else {
        return Ok(None);
    };
    let kind = match record.first_chunk::<2>() {
        Some([FORMAT, kind]) => PrimitiveKind::from_number(u32::from(*kind)),
        _ => None,
    };
    kind.map(Some).ok_or_else(|| Failure::unreadable("primitive description"))
}

/// Checks that a primitive exists and is of the kind that an operation is for.
pub(crate) fn expect(store: &dyn StateRead, primitive: PrimitiveId, kind: PrimitiveKind) -> Outcome<()> {
    match kind_of(store, primitive)? {
        Some(found) if found == kind => Ok(()),
        Some(found) => Err(Failure::rejected(
            ErrorCode::Invalid,
            format!("this is a {found}, the operation is for a {kind}"),
        )),
        None => Err(unknown(kind)),
    }
}

fn unknown(kind: PrimitiveKind) -> Failure {
    Failure::rejected(ErrorCode::UnknownPrimitive, format!("no such {kind} on this partition"))
}

/// The full description of a primitive that exists.
fn description_of(store: &dyn StateRead, primitive: PrimitiveId) -> Outcome<Option<Description>> {
    let record = store.get(Table::Registry, &keys::registry_id(primitive))?;
    record.map(|record| decode(&record)).transpose()
}

fn encode(description: &Description) -> Vec<u8> {
    let kind = u8::try_from(description.kind).unwrap_or(0);
    let mut record = vec![FORMAT, kind];
    record.extend_from_slice(&description.encode_to_vec());
    record
}

fn decode(record: &[u8]) -> Outcome<Description> {
    match record.split_first_chunk::<2>() {
        Some(([FORMAT, _], rest)) => {
            Description::decode(rest).map_err(|_| Failure::unreadable("primitive description"))
        }
        _ => Err(Failure::unreadable("primitive description")),
    }
}
