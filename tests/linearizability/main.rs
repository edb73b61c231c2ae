//! Tests of the instruments that judge histories: the search for linearizations, the models, and the linear oracles.
//!
//! A checker that accepts everything passes every run, so it is held to histories that are known to be good and known
//! to be bad, and to references that are too slow and too plain to be wrong in the same way.

mod agreement;
mod brute_force;
mod budget;
mod counter;
mod election;
mod faults;
mod generated;
mod judge;
mod lock;
mod machine;
mod map;
mod oracles;
mod random;
mod recorder;
mod register;
mod requests;
mod set;
mod speed;
mod value;
