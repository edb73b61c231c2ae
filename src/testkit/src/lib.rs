//! What tests of the whole are made of: a simulator, checkers of histories, and oracles.

pub mod linearizability;
pub mod oracle;
pub mod sim;
