//! `synod dev` as people run it: the real binary, real nodes, real signals.

mod controller;
mod files;
mod lifecycle;
mod ports;
mod refusals;
