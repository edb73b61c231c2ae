//! `Primitive`: a primitive that is to exist in a group before anyone connects.
#![expect(unreachable_pub, reason = "the derive of the schema repeats each struct inside a function")]

mod rules;
mod spec;
mod status;

pub use spec::{DeletionPolicy, Primitive, PrimitiveKind, PrimitiveSpec};
pub use status::PrimitiveStatus;

#[cfg(test)]
mod tests;
