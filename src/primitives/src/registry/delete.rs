//! `delete`: forgets a primitive, after its kind has removed what it holds. Touches `Registry` only.

use synod_proto::primitive::v1::DeleteResponse;
use synod_storage::state::{StateStore, Table};
use synod_types::PrimitiveId;

use super::description_of;
use crate::context::Outcome;
use crate::keys;

/// Forgets a primitive. One that does not exist stays that way.
pub(crate) fn delete(store: &mut dyn StateStore, primitive: PrimitiveId) -> Outcome<DeleteResponse> {
    let Some(description) = description_of(store, primitive)? else {
        return Ok(DeleteResponse { deleted: false });
    };
    store.delete(Table::Registry, &keys::registry_id(primitive))?;
    store.delete(Table::Registry, &keys::registry_name(&description.application, &description.name))?;
    Ok(DeleteResponse { deleted: true })
}

#[cfg(test)]
mod tests {
    use synod_proto::counter::v1::SetRequest;
    use synod_proto::primitive::v1::Delete;
    use synod_proto::primitive::v1::command::Operation;
    use synod_types::{ErrorCode, PrimitiveKind};

    use super::*;
    use crate::testing::Machine;

    #[test]
    fn nothing_is_left_and_the_name_is_free_again() {
        let mut machine = Machine::new();
        let empty = machine.hash();
        let hits = machine.create(PrimitiveKind::Counter, "hits");
        let _: synod_proto::counter::v1::SetResponse = machine
            .apply(hits, Operation::CounterSet(SetRequest { value: 5, ..SetRequest::default() }))
            .unwrap();
        assert_eq!(machine.apply(hits, Operation::Delete(Delete {})), Ok(DeleteResponse { deleted: true }));
        assert_eq!(machine.hash(), empty);
        assert_eq!(machine.apply(hits, Operation::Delete(Delete {})), Ok(DeleteResponse { deleted: false }));
        let gone: Result<synod_proto::counter::v1::SetResponse, _> =
            machine.apply(hits, Operation::CounterSet(SetRequest::default()));
        assert_eq!(gone, Err(ErrorCode::UnknownPrimitive));
        machine.create(PrimitiveKind::Map, "hits");
    }
}
