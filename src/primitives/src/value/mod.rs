//! The value: one byte string with a version, which lives whole on the partition of its name.
//!
//! A value that was never set, was deleted or has expired is the same: not there. Every write makes a new version, also
//! of equal bytes, and its TTL replaces the one before. Record `Item`: an item.

mod delete;
mod get;
mod insert;
mod set;
mod update;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use synod_proto::primitive::v1::event;
use synod_proto::value::v1::event::{Created, Deleted, Event as What, Updated};
use synod_proto::value::v1::{Event, Versioned};
use synod_types::{ErrorCode, Version};

use crate::context::{Context, Failure, Outcome, View};
use crate::item::Item;
use crate::keys::Timer;

fn read(view: &View<'_>) -> Outcome<Option<Item>> {
    Item::read(view, b"")
}

fn versioned(item: Item) -> Versioned {
    Versioned { value: item.value, version: item.version.get() }
}

/// Sets the value and tells watchers. Returns the new version and what was there.
fn write(
    context: &mut Context<'_>,
    value: Bytes,
    ttl_ms: Option<u64>,
    previous: Option<Item>,
) -> Outcome<(Version, Option<Versioned>)> {
    let item = Item::write(context, b"", value, ttl_ms, previous.as_ref())?;
    let version = item.version;
    let previous = previous.map(versioned);
    let value = Some(versioned(item));
    emit(
        context,
        match &previous {
            None => What::Created(Created { value }),
            Some(_) => What::Updated(Updated { value, previous: previous.clone() }),
        },
    );
    Ok((version, previous))
}

/// Removes the value, tells watchers, and returns it.
fn remove(context: &mut Context<'_>, item: Item, expired: bool) -> Outcome<Versioned> {
    item.remove(context, b"")?;
    let removed = versioned(item);
    let value = Some(removed.clone());
    emit(context, What::Deleted(Deleted { value, expired }));
    Ok(removed)
}

fn emit(context: &mut Context<'_>, event: What) {
    let event = Event { event: Some(event) };
    context.emit("", event::Event::Value(event));
}

fn not_set() -> Failure {
    Failure::rejected(ErrorCode::NotFound, "the value is not set")
}

/// Ends the value whose TTL is over.
pub(crate) fn timer_fired(context: &mut Context<'_>, timer: Timer) -> Outcome<()> {
    match read(&context.view())? {
        Some(item) if item.timer() == Some(timer) => remove(context, item, true).map(|_| ()),
        _ => Ok(()),
    }
}

/// Removes all that the primitive holds.
pub(crate) fn delete_primitive(context: &mut Context<'_>) -> Outcome<()> {
    match read(&context.view())? {
        Some(item) => remove(context, item, false).map(|_| ()),
        None => Ok(()),
    }
}
