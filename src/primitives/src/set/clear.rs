//! `set clear`: removes every element of this partition, in order.

use bytes::Bytes;
use synod_proto::set::v1::event::{Event as What, Removed};
use synod_proto::set::v1::{ClearRequest, ClearResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};
use crate::count;
use crate::item::Item;
use crate::keys::Record;

impl Apply for ClearRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Set;
    type Response = ClearResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<ClearResponse> {
        Ok(ClearResponse { removed: clear(context)? })
    }
}

/// Removes all elements, tells watchers of each, and returns how many there were.
pub(crate) fn clear(context: &mut Context<'_>) -> Outcome<u64> {
    let elements: Vec<_> = context.view().scan(Record::Item).collect::<Result<_, _>>()?;
    let removed = elements.len() as u64;
    for (element, stored) in elements {
        Item::decode(Bytes::from_owner(stored))?.remove(context, &element)?;
        let event = What::Removed(Removed { expired: false });
        super::emit(context, super::text(element)?, event);
    }
    count::reset(context)?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Set;

    #[test]
    fn bug_clear_tells_of_each_element_in_order() {
        let mut set = Set::new();
        for element in ["c", "a", "b", "aa"] {
            set.add(element, Some(1_000)).unwrap();
        }
        set.machine.take_changes();
        assert_eq!(set.clear(), 4);
        let keys: Vec<_> = set.machine.take_changes().into_iter().map(|change| change.key).collect();
        assert_eq!(keys, ["a", "aa", "b", "c"]);
        assert_eq!(set.len(), 0);
        assert_eq!(set.machine.advance_ms(1_000), 0, "the TTLs are gone as well");
    }
}
