//! Equal index means equal state: whatever way a replica came to an entry, by the log, by a snapshot or by a restart,
//! its state is that of the witness, which applied every entry once and in order (Raft §5.4.3; engine rules of
//! determinism).

use synod_replica::machine::Machine;
use synod_types::MemberId;

use super::super::ledger::{Ledger, Milestone};
use super::{Check, Violation};

pub(in crate::sim) fn check(member: MemberId, machine: &Machine, ledger: &Ledger) -> Check {
    let found = Milestone { applied: machine.applied(), hash: machine.state_hash() };
    let index = found.applied.log_index;
    match ledger.milestone(index) {
        Some(expected) if *expected == found => Ok(()),
        Some(expected) => {
            let what = format!("member {member} has {found:?} at entry {index}, and not {expected:?}");
            Err(Violation::new("equal state", what))
        }
        None => {
            let what = format!("member {member} has applied entry {index}, which nobody has committed");
            Err(Violation::new("equal state", what))
        }
    }
}
