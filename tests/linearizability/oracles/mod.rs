//! The linear oracles: what each of them finds, and that it finds nothing where nothing is wrong.

mod counter;
mod expiry;
mod fenced_register;
mod lock;
mod session;
mod version;
mod watch;
