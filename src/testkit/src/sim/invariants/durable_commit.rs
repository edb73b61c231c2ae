//! An entry is committed only when a majority has it on disk: in a joint membership a majority of the old and of the
//! new voters (Raft §5.3 and §6; F1 in the list of faults: acknowledged before durable).

use std::collections::BTreeMap;

use synod_protocol::{Entry, Membership};
use synod_types::MemberId;

use super::super::shadow::Shadow;
use super::{Check, Violation};

/// Checks an entry that is committed for the first time, in the eyes of a member whose membership was one of these.
pub(in crate::sim) fn check(
    entry: &Entry,
    memberships: [&Membership; 2],
    shadows: &BTreeMap<MemberId, Shadow>,
) -> Check {
    let has = |member: &MemberId| {
        shadows.get(member).is_some_and(|shadow| shadow.durable.holds(entry.index, entry.term))
    };
    let majority_has = |voters: &[MemberId]| {
        voters.is_empty() || voters.iter().filter(|member| has(member)).count() > voters.len() / 2
    };
    let fits = |membership: &&Membership| {
        majority_has(&membership.voters) && majority_has(&membership.voters_outgoing)
    };
    if memberships.iter().any(fits) {
        return Ok(());
    }
    let holders: Vec<_> = shadows.keys().filter(|member| has(member)).collect();
    let (index, term, voters) = (entry.index, entry.term, memberships);
    let what =
        format!("entry {index} of term {term} is committed, and durable only on {holders:?} of {voters:?}");
    Err(Violation::new("commit with a durable quorum", what))
}
