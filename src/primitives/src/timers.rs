//! Timers: deadlines in log time, kept in the table `Timers` in the order in which they fire (C6).

use synod_storage::state::{Blob, Fault, KeyRange, StateRead, StateStore, Table};
use synod_types::{LogTime, PrimitiveId};

use crate::keys::{self, Timer};

const FORMAT: u8 = 1;

/// A timer that is due.
pub(crate) struct Due {
    pub(crate) timer: Timer,
    pub(crate) primitive: PrimitiveId,
    /// What it is for, in the words of the kind.
    pub(crate) own: Vec<u8>,
}

/// When the next timer fires, if there is one. The leader proposes an entry when that time has come and no traffic
/// does it anyway.
///
/// # Errors
/// [`Fault`] when the store cannot be read.
pub fn next_deadline(store: &dyn StateRead) -> Result<Option<LogTime>, Fault> {
    Ok(first(store)?.map(|(_, due)| due.timer.deadline))
}

pub(crate) fn set(
    store: &mut dyn StateStore,
    timer: Timer,
    primitive: PrimitiveId,
    own: &[u8],
) -> Result<(), Fault> {
    store.put(Table::Timers, &keys::timer(timer, primitive, own), &[FORMAT]).map(|_| ())
}

pub(crate) fn cancel(
    store: &mut dyn StateStore,
    timer: Timer,
    primitive: PrimitiveId,
    own: &[u8],
) -> Result<(), Fault> {
    store.delete(Table::Timers, &keys::timer(timer, primitive, own)).map(|_| ())
}

/// Takes the first timer with a deadline of at most `now`, if there is one.
pub(crate) fn take_due(store: &mut dyn StateStore, now: LogTime) -> Result<Option<Due>, Fault> {
    let Some((key, due)) = first(store)?.filter(|(_, due)| due.timer.deadline <= now) else {
        return Ok(None);
    };
    store.delete(Table::Timers, &key)?;
    Ok(Some(due))
}

fn first(store: &dyn StateRead) -> Result<Option<(Blob, Due)>, Fault> {
    let Some((key, value)) = store.scan(Table::Timers, KeyRange::all()).next().transpose()? else {
        return Ok(None);
    };
    match (keys::parse_timer(&key), &*value) {
        (Some((timer, primitive, own)), [FORMAT]) => {
            let own = own.to_vec();
            Ok(Some((key, Due { timer, primitive, own })))
        }
        _ => Err(Fault("cannot read a stored timer: unknown format or damaged".to_owned())),
    }
}
