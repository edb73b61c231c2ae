//! Tests of the whole. Each target is a folder here; this library is what several of them need to run real processes.

pub mod running;
