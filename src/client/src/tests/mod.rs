//! The client against real nodes.

pub(crate) mod cluster;
mod elections;
mod events;
mod exactly_once;
mod locks;
mod partitions;
mod proxy;
pub(crate) mod resolving;
mod touring;
mod trusting;
