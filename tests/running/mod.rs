//! Real processes: the binary `synod`, and groups that it runs on this machine.

mod binary;
mod dev;
mod machine;
mod wires;

pub use binary::{binary, example};
pub use dev::{Dev, Group, Node, Output, Ports, State, eventually, lives};
pub use machine::Machine;
pub use wires::{Wire, Wires, address};
