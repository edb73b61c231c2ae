//! Real processes: the binary `synod`, and groups that it runs on this machine.

mod binary;
mod dev;

pub use binary::{binary, example};
pub use dev::{Dev, Group, Node, Output, Ports, State, eventually, lives};
