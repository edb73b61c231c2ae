//! A sync that failed is never taken for done: what it was to write may be gone, and a second try would succeed without it
//! (Rebello et al., ATC 2020, "Can Applications Recover from fsync Failures?"; F2 in the list of faults).

use synod_types::MemberId;

use super::{Check, Violation};

/// The log of a member was synced; `failures` is how many syncs its disk refused before and after.
pub(in crate::sim) fn check(member: MemberId, failures: (u64, u64), is_reported_done: bool) -> Check {
    if failures.0 == failures.1 || !is_reported_done {
        return Ok(());
    }
    let what = format!("member {member} takes its log for durable, although the disk refused to sync it");
    Err(Violation::new("failed sync", what))
}
