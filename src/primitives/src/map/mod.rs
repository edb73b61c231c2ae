//! The map: byte strings under string keys, each with a version and perhaps a TTL; this partition holds the keys whose
//! slots it has.
//!
//! Every write of an entry is first planned, which checks it and changes nothing, and then performed, which cannot be
//! refused: a transaction plans all of its operations before it performs the first. Record `Item`: an item for each
//! key; record `Header`: how many.

mod check;
mod clear;
mod get;
mod insert;
mod len;
mod list;
mod put;
mod remove;
mod transact;
mod update;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub(crate) use clear::clear as delete_primitive;

use bytes::Bytes;
use synod_proto::map::v1::event::{Event as What, Inserted, Removed, Updated};
use synod_proto::map::v1::{Event, Versioned};
use synod_proto::primitive::v1::event;
use synod_types::{ErrorCode, Version};

use crate::context::{Context, Failure, Outcome, View};
use crate::count;
use crate::item::Item;
use crate::keys::Timer;

/// What one operation will do to the entry of one key.
struct Plan {
    key: String,
    step: Step,
}

enum Step {
    /// Nothing: what is there is as it should be.
    Keep(Option<Item>),
    Write {
        value: Bytes,
        ttl_ms: Option<u64>,
        found: Option<Item>,
    },
    Remove(Item),
}

/// What an operation has done.
struct Done {
    /// The version of the entry now; 0 if there is none.
    version: Version,
    previous: Option<Versioned>,
}

impl Plan {
    fn perform(self, context: &mut Context<'_>) -> Outcome<Done> {
        match self.step {
            Step::Keep(found) => Ok(Done {
                version: found.as_ref().map_or_else(Version::default, |item| item.version),
                previous: found.map(versioned),
            }),
            Step::Write { value, ttl_ms, found } => write(context, self.key, value, ttl_ms, found),
            Step::Remove(item) => {
                let previous = remove(context, self.key, item, false)?;
                Ok(Done { version: Version::default(), previous: Some(previous) })
            }
        }
    }
}

fn read(view: &View<'_>, key: &str) -> Outcome<Option<Item>> {
    Item::read(view, key.as_bytes())
}

fn versioned(item: Item) -> Versioned {
    Versioned { value: item.value, version: item.version.get() }
}

fn write(
    context: &mut Context<'_>,
    key: String,
    value: Bytes,
    ttl_ms: Option<u64>,
    found: Option<Item>,
) -> Outcome<Done> {
    let item = Item::write(context, key.as_bytes(), value, ttl_ms, found.as_ref())?;
    if found.is_none() {
        count::increment(context)?;
    }
    let version = item.version;
    let previous = found.map(versioned);
    let value = Some(versioned(item));
    emit(
        context,
        key,
        match &previous {
            None => What::Inserted(Inserted { value }),
            Some(_) => What::Updated(Updated { value, previous: previous.clone() }),
        },
    );
    Ok(Done { version, previous })
}

/// Removes an entry, tells watchers, and returns it.
fn remove(context: &mut Context<'_>, key: String, item: Item, expired: bool) -> Outcome<Versioned> {
    item.remove(context, key.as_bytes())?;
    count::decrement(context)?;
    let removed = versioned(item);
    let value = Some(removed.clone());
    emit(context, key, What::Removed(Removed { value, expired }));
    Ok(removed)
}

fn emit(context: &mut Context<'_>, key: String, event: What) {
    let of = key.clone();
    let event = Event { key, event: Some(event) };
    context.emit(of, event::Event::Map(event));
}

fn no_entry() -> Failure {
    Failure::rejected(ErrorCode::NotFound, "the map has no entry with this key")
}

/// A stored key as text.
fn text(key: Vec<u8>) -> Outcome<String> {
    String::from_utf8(key).map_err(|_| Failure::unreadable("map key"))
}

/// Ends the entry whose TTL is over.
pub(crate) fn timer_fired(context: &mut Context<'_>, timer: Timer, key: Vec<u8>) -> Outcome<()> {
    let key = text(key)?;
    match read(&context.view(), &key)? {
        Some(item) if item.timer() == Some(timer) => remove(context, key, item, true).map(|_| ()),
        _ => Ok(()),
    }
}
