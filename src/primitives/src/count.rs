//! How many items a keyed primitive has on this partition, kept so that nobody has to count them.
//!
//! Record `Header`: format(1) count(8, little-endian); missing while the count is 0.

use crate::context::{Context, Failure, Outcome, View};
use crate::keys::Record;

const FORMAT: u8 = 1;

pub(crate) fn read(view: &View<'_>) -> Outcome<u64> {
    let Some(record) = view.get(Record::Header, b"")? else {
        return Ok(0);
    };
    match record.split_first() {
        Some((&FORMAT, count)) => {
            count.try_into().map(u64::from_le_bytes).map_err(|_| Failure::unreadable("count"))
        }
        _ => Err(Failure::unreadable("count")),
    }
}

/// Counts one item more.
pub(crate) fn increment(context: &mut Context<'_>) -> Outcome<()> {
    let count = read(&context.view())?;
    write(context, count.saturating_add(1))
}

/// Counts one item less.
pub(crate) fn decrement(context: &mut Context<'_>) -> Outcome<()> {
    let count = read(&context.view())?;
    write(context, count.saturating_sub(1))
}

/// Counts no item any more.
pub(crate) fn reset(context: &mut Context<'_>) -> Outcome<()> {
    write(context, 0)
}

fn write(context: &mut Context<'_>, count: u64) -> Outcome<()> {
    if count == 0 {
        return Ok(context.delete(Record::Header, b"")?);
    }
    let mut record = [FORMAT; 9];
    let (_, rest) = record.split_at_mut(1);
    rest.copy_from_slice(&count.to_le_bytes());
    Ok(context.put(Record::Header, b"", &record)?)
}
