//! Groups of real processes under a real load, while their processes are killed, paused and robbed of their data, their
//! network falls apart and their disks fail.
//!
//! What clients saw is recorded and judged by the checkers of `synod-testkit`: nothing acknowledged is lost, everything
//! is counted once, nobody reads the past, watchers see every change once and in order, and a lock has one holder.

mod agreement;
mod blank;
mod cluster;
mod disks;
mod expiry;
mod holders;
mod judge;
mod kills;
mod load;
mod network;
mod overload;
mod pause;
mod record;
mod site;
mod versions;
mod view;
mod watchers;
