//! Two majorities that cannot see each other must never be able to decide: any majority of one membership has a member
//! in common with any majority of the next one (Raft §6; F7 in the list of faults).

use synod_protocol::Membership;
use synod_types::MemberId;

use super::{Check, Violation};

/// A membership follows another one.
pub(in crate::sim) fn check(before: &Membership, after: &Membership) -> Check {
    if before == after || intersect(before, after) {
        return Ok(());
    }
    let what = format!("{before:?} and {after:?}, which follows, can decide without each other");
    Err(Violation::new("disjoint quorums", what))
}

/// Whether every set of members that decides in one membership meets every set that decides in the other: no set
/// decides in one while its complement decides in the other.
fn intersect(one: &Membership, other: &Membership) -> bool {
    let mut all = one.all();
    all.extend(other.all());
    all.sort_unstable();
    all.dedup();
    let sets = 1_u32 << all.len().min(20);
    !(0..sets).any(|set| {
        let inside = |member: &MemberId| {
            all.iter().position(|other| other == member).is_some_and(|place| set & (1 << place) != 0)
        };
        decides(one, &inside) && decides(other, &|member: &MemberId| !inside(member))
    })
}

fn decides(membership: &Membership, is_there: &impl Fn(&MemberId) -> bool) -> bool {
    let majority = |voters: &[MemberId]| {
        voters.is_empty() || voters.iter().filter(|voter| is_there(voter)).count() > voters.len() / 2
    };
    majority(&membership.voters) && majority(&membership.voters_outgoing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(ids: &[u64]) -> Membership {
        Membership::of_voters(ids.iter().copied().map(MemberId))
    }

    #[test]
    fn one_at_a_time_meets_and_two_at_a_time_do_not() {
        assert!(intersect(&voters(&[1, 2, 3]), &voters(&[1, 2, 3, 4])));
        assert!(!intersect(&voters(&[1, 2, 3]), &voters(&[1, 4, 5])));
        let joint = Membership { voters_outgoing: voters(&[1, 2, 3]).voters, ..voters(&[3, 4, 5]) };
        assert!(intersect(&voters(&[1, 2, 3]), &joint) && intersect(&joint, &voters(&[3, 4, 5])));
    }
}
