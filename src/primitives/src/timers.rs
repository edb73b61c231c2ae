//! Timers: deadlines in log time, kept in the table `Timers` in the order in which they fire (C6).

use synod_storage::state::{Blob, Fault, KeyRange, StateRead, StateStore, Table};
use synod_types::{LogTime, PrimitiveId};

use crate::keys::TimerKey;

const FORMAT: u8 = 1;

/// A timer that is due.
pub(crate) struct Due {
    pub(crate) key: TimerKey,
    pub(crate) primitive: PrimitiveId,
    pub(crate) payload: Vec<u8>,
}

/// When the next timer fires, if there is one. The leader proposes an entry when that time has come and no traffic
/// does it anyway.
///
/// # Errors
/// [`Fault`] when the store cannot be read.
pub fn next_deadline(store: &dyn StateRead) -> Result<Option<LogTime>, Fault> {
    Ok(first(store)?.map(|(key, _)| key.deadline))
}

pub(crate) fn set(
    store: &mut dyn StateStore,
    key: TimerKey,
    primitive: PrimitiveId,
    payload: &[u8],
) -> Result<(), Fault> {
    let mut value = Vec::with_capacity(9 + payload.len());
    value.push(FORMAT);
    value.extend_from_slice(&primitive.get().to_be_bytes());
    value.extend_from_slice(payload);
    store.put(Table::Timers, &key.encode(), &value).map(|_| ())
}

/// Takes the first timer with a deadline of at most `now`, if there is one.
pub(crate) fn take_due(store: &mut dyn StateStore, now: LogTime) -> Result<Option<Due>, Fault> {
    let Some((key, value)) = first(store)?.filter(|(key, _)| key.deadline <= now) else {
        return Ok(None);
    };
    store.delete(Table::Timers, &key.encode())?;
    let due = match value.split_first_chunk::<9>() {
        Some(([FORMAT, primitive @ ..], payload)) => Due {
            key,
            primitive: PrimitiveId(u64::from_be_bytes(*primitive)),
            payload: payload.to_vec(),
        },
        _ => {
            return Err(Fault(
                "cannot read a stored timer: unknown format or damaged".to_owned(),
            ));
        }
    };
    Ok(Some(due))
}

fn first(store: &dyn StateRead) -> Result<Option<(TimerKey, Blob)>, Fault> {
    let Some((key, value)) = store.scan(Table::Timers, KeyRange::all()).next().transpose()? else {
        return Ok(None);
    };
    let key = TimerKey::decode(&key).ok_or_else(|| Fault("a stored timer has a damaged key".to_owned()))?;
    Ok(Some((key, value)))
}

/// The stored keys of all timers of one primitive. Reads every timer there is: only for the deletion of one.
pub(crate) fn keys_of(store: &dyn StateRead, primitive: PrimitiveId) -> Result<Vec<Vec<u8>>, Fault> {
    let mut keys = Vec::new();
    for pair in store.scan(Table::Timers, KeyRange::all()) {
        let (key, value) = pair?;
        if value.get(1..9) == Some(&primitive.get().to_be_bytes()) {
            keys.push(key.to_vec());
        }
    }
    Ok(keys)
}
