//! `map clear`: removes every entry of this partition, in the order of the keys.

use bytes::Bytes;
use synod_proto::map::v1::event::{Event as What, Removed};
use synod_proto::map::v1::{ClearRequest, ClearResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};
use crate::count;
use crate::item::Item;
use crate::keys::Record;

impl Apply for ClearRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Map;
    type Response = ClearResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<ClearResponse> {
        Ok(ClearResponse { removed: clear(context)? })
    }
}

/// Removes all entries, tells watchers of each, and returns how many there were.
pub(crate) fn clear(context: &mut Context<'_>) -> Outcome<u64> {
    let entries: Vec<_> = context.view().scan(Record::Item).collect::<Result<_, _>>()?;
    let removed = entries.len() as u64;
    for (key, stored) in entries {
        let item = Item::decode(Bytes::from_owner(stored))?;
        item.remove(context, &key)?;
        let value = Some(super::versioned(item));
        let event = Removed { value, expired: false };
        super::emit(context, super::text(key)?, What::Removed(event));
    }
    count::reset(context)?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Map;

    #[test]
    fn bug_clear_tells_of_each_entry_in_key_order() {
        let mut map = Map::new();
        for key in ["c", "a", "b", "aa"] {
            map.put(key, b"1", Some(1_000)).unwrap();
        }
        map.machine.take_changes();
        assert_eq!(map.clear(), 4);
        let keys: Vec<_> = map.machine.take_changes().into_iter().map(|change| change.key).collect();
        assert_eq!(keys, ["a", "aa", "b", "c"]);
        assert_eq!(map.len(), 0);
        assert_eq!(map.machine.advance_ms(1_000), 0, "the TTLs are gone as well");
        assert_eq!(map.clear(), 0);
    }
}
