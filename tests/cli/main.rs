//! The verbs of the binary `synod`, used against groups that it runs: what they print, and their exit codes.

mod held;
mod inspection;
mod primitives;
mod refusals;
mod synod;
mod watches;
