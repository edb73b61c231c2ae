//! What sessions have at stake in which primitives, so that the end of a session reaches exactly that.

use synod_storage::state::{Fault, StateRead, StateStore, Table};
use synod_types::{PrimitiveId, SessionId};

use crate::keys;

const FORMAT: u8 = 1;

/// A primitive, and what is owned of it, in the order of the kind's own keys.
type Owned = (PrimitiveId, Vec<Vec<u8>>);

pub(crate) fn add(
    store: &mut dyn StateStore,
    session: SessionId,
    primitive: PrimitiveId,
    own: &[u8],
) -> Result<(), Fault> {
    store.put(Table::Ownership, &keys::ownership(session, primitive, own), &[FORMAT]).map(|_| ())
}

pub(crate) fn remove(
    store: &mut dyn StateStore,
    session: SessionId,
    primitive: PrimitiveId,
    own: &[u8],
) -> Result<(), Fault> {
    store.delete(Table::Ownership, &keys::ownership(session, primitive, own)).map(|_| ())
}

/// What a session owns of one primitive, in the order of the kind's own keys.
pub(crate) fn of(
    store: &dyn StateRead,
    session: SessionId,
    primitive: PrimitiveId,
) -> Result<Vec<Vec<u8>>, Fault> {
    let mut found = Vec::new();
    for pair in store.scan(Table::Ownership, keys::ownership_in(session, primitive)) {
        let (key, _) = pair?;
        found.extend(keys::parse_ownership(&key).map(|(_, own)| own.to_vec()));
    }
    Ok(found)
}

/// Forgets all that a session owns and returns it, primitive by primitive in the order of the ids.
pub(crate) fn take(store: &mut dyn StateStore, session: SessionId) -> Result<Vec<Owned>, Fault> {
    let keys: Vec<_> = store
        .scan(Table::Ownership, keys::ownership_of(session))
        .map(|pair| pair.map(|(key, _)| key))
        .collect::<Result<_, _>>()?;
    let mut taken: Vec<Owned> = Vec::new();
    for key in &keys {
        store.delete(Table::Ownership, key)?;
        let Some((primitive, own)) = keys::parse_ownership(key) else {
            continue;
        };
        match taken.last_mut() {
            Some((last, owned)) if *last == primitive => owned.push(own.to_vec()),
            _ => taken.push((primitive, vec![own.to_vec()])),
        }
    }
    Ok(taken)
}
