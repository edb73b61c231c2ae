//! The classes of faults that stores of this kind have fallen to, F1 to F17 and F20, each with a test that is named after
//! it. The ones that are here direct the simulator; those that need real processes are in `tests/processes`:
//!
//! | class | what goes wrong | where |
//! |---|---|---|
//! | F1 | acknowledged before durable | here |
//! | F2 | a disk that fails or is full | `processes/disks.rs` |
//! | F3 | damage on a minority | here |
//! | F4 | state and applied index out of step | here |
//! | F5 | a crash while a snapshot is taken | here |
//! | F6 | a stale read | `processes/pause.rs` |
//! | F7 | membership, snapshots and partitions at once | here |
//! | F8 | a wiped disk votes twice | `processes/blank.rs` |
//! | F9 | a retry is executed twice | here |
//! | F10 | a watch misses, repeats or runs ahead | here |
//! | F11 | a TTL begins anew with every leader | `processes/expiry.rs` |
//! | F12 | two holders of a lock | here |
//! | F13 | configuration out of order with data | here |
//! | F14 | files of another version | `processes/versions.rs` |
//! | F15 | a node that is slow, not dead | `processes/disks.rs` |
//! | F16 | links of one way, partial partitions, flapping | here and `processes/network.rs` |
//! | F17 | overload | `processes/overload.rs` |
//! | F20 | a checker that is wrong | here |

mod checkers;
mod clients;
mod durability;
mod membership;
mod network;

use std::time::Duration;

use synod_testkit::sim::{Directed, Setting, Violation};

/// How many entries are committed before and after something goes wrong.
const PROGRESS: u64 = 15;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Directs a run to its end, and sees that no promise was broken and that clients were answered.
#[track_caller]
fn direct(setting: Setting, direct: impl FnOnce(&mut Directed) -> Result<(), Violation>) {
    let outcome = Directed::begin(setting).and_then(|mut run| {
        run.progress(PROGRESS)?;
        direct(&mut run)?;
        run.end()
    });
    match outcome {
        Ok(report) => assert!(report.answers > 0, "{setting:?}: nobody was answered"),
        Err(violation) => panic!("{setting:?}: {violation}"),
    }
}

/// A setting in which a snapshot is taken after every few entries.
fn with_snapshots(seed: u64) -> Setting {
    Setting { seed, snapshot_log_bytes: 1_500, ..Setting::default() }
}
