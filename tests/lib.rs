//! Tests of the whole. Each target is a folder here; this library is empty.
