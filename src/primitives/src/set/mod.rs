//! The set: distinct strings, each perhaps with a TTL; this partition holds those whose slots it has.
//!
//! Adding what is there changes nothing, not even its TTL. Record `Item`: an item without bytes for each element; record
//! `Header`: how many.

mod add;
mod clear;
mod contains;
mod len;
mod list;
mod remove;

#[cfg(test)]
mod tests;

pub(crate) use clear::clear as delete_primitive;

use synod_proto::primitive::v1::event;
use synod_proto::set::v1::Event;
use synod_proto::set::v1::event::{Event as What, Removed};

use crate::context::{Context, Failure, Outcome, View};
use crate::count;
use crate::item::Item;
use crate::keys::Timer;

fn read(view: &View<'_>, element: &str) -> Outcome<Option<Item>> {
    Item::read(view, element.as_bytes())
}

/// Removes an element and tells watchers.
fn remove(context: &mut Context<'_>, element: String, item: &Item, expired: bool) -> Outcome<()> {
    item.remove(context, element.as_bytes())?;
    count::decrement(context)?;
    emit(context, element, What::Removed(Removed { expired }));
    Ok(())
}

fn emit(context: &mut Context<'_>, element: String, event: What) {
    let of = element.clone();
    let event = Event { element, event: Some(event) };
    context.emit(of, event::Event::Set(event));
}

/// A stored element as text.
fn text(element: Vec<u8>) -> Outcome<String> {
    String::from_utf8(element).map_err(|_| Failure::unreadable("set element"))
}

/// Ends the element whose TTL is over.
pub(crate) fn timer_fired(context: &mut Context<'_>, timer: Timer, element: Vec<u8>) -> Outcome<()> {
    let element = text(element)?;
    match read(&context.view(), &element)? {
        Some(item) if item.timer() == Some(timer) => remove(context, element, &item, true),
        _ => Ok(()),
    }
}
