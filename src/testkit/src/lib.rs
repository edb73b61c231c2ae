//! Under construction.

pub mod linearizability;
pub mod oracle;
