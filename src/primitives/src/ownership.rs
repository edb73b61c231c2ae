//! Which primitives a session has something at stake in, so that its end reaches exactly those.

use synod_storage::state::{Fault, StateStore, Table};
use synod_types::{PrimitiveId, SessionId};

use crate::keys;

const FORMAT: u8 = 1;

pub(crate) fn add(
    store: &mut dyn StateStore,
    session: SessionId,
    primitive: PrimitiveId,
) -> Result<(), Fault> {
    store
        .put(Table::Ownership, &keys::ownership(session, primitive), &[FORMAT])
        .map(|_| ())
}

pub(crate) fn remove(
    store: &mut dyn StateStore,
    session: SessionId,
    primitive: PrimitiveId,
) -> Result<(), Fault> {
    store
        .delete(Table::Ownership, &keys::ownership(session, primitive))
        .map(|_| ())
}

/// Forgets all that a session owns and returns it, in the order of the ids.
pub(crate) fn take(store: &mut dyn StateStore, session: SessionId) -> Result<Vec<PrimitiveId>, Fault> {
    let keys: Vec<_> = store
        .scan(Table::Ownership, keys::ownership_of(session))
        .map(|pair| pair.map(|(key, _)| key))
        .collect::<Result<_, _>>()?;
    for key in &keys {
        store.delete(Table::Ownership, key)?;
    }
    Ok(keys.iter().filter_map(|key| keys::owned_primitive(key)).collect())
}
