//! The client against real nodes.

mod cluster;
mod elections;
mod events;
mod exactly_once;
mod locks;
mod partitions;
mod proxy;
mod resolving;
mod touring;
mod trusting;
