//! What a member was told is durable is there when it starts again, whatever became of its machine: its term and vote,
//! and every entry (Raft §5.1 "persistent state"; F1, F2 and F3 in the list of faults). A damaged disk may keep a member
//! from starting, but not make it start with less.

use synod_protocol::Message;
use synod_protocol::raft::Start;
use synod_replica::Effect;
use synod_types::MemberId;

use super::super::ledger::Ledger;
use super::super::shadow::Shadow;
use super::{Check, Violation};

/// A member starts again from what it found.
pub(in crate::sim) fn check(member: MemberId, shadow: &Shadow, start: &Start, ledger: &Ledger) -> Check {
    let violation =
        |what: String| Err(Violation::new("durability", format!("member {member} starts again, and {what}")));
    let (promised, found) = (shadow.hard_state, start.hard_state);
    if found.term < promised.term
        || (found.term == promised.term && found.vote != promised.vote && promised.vote.is_some())
    {
        return violation(format!("has forgotten its promise {promised:?}: it finds {found:?}"));
    }
    let base = &start.snapshot;
    if base.index > ledger.last() {
        return violation(format!("has a snapshot at {}, behind all that was committed", base.index));
    }
    if let Some(committed) = ledger.get(base.index).filter(|entry| entry.term != base.term) {
        return violation(format!("has a snapshot of {base:?}, where term {} was committed", committed.term));
    }
    if base.index < shadow.durable.base().0 {
        let needed = shadow.durable.base().0;
        let reaches = start.entries.last().is_some_and(|last| last.index >= needed);
        if !reaches {
            return violation(format!("its snapshot at {} was replaced by one at {}", needed, base.index));
        }
    }
    // An entry that contradicts a snapshot, which holds what was committed, was not committed, nor was any behind it: they
    // go with it (Raft §7, figure 13), also if only the snapshot made it to the disk, and not the mark in the log.
    if shadow.durable.term(base.index).is_some_and(|term| term != base.term) {
        return Ok(());
    }
    for entry in shadow.durable.entries().filter(|entry| entry.index > base.index) {
        let place = usize::try_from(entry.index.get() - base.index.get() - 1).unwrap_or(usize::MAX);
        let found = start.entries.get(place);
        // A later leader may have replaced it by a write that was under way and made it to the disk.
        let replaced = found.is_some_and(|found| found.term > entry.term);
        if found != Some(entry) && !replaced && !is_cut(shadow, start) {
            let (index, term) = (entry.index, entry.term);
            return violation(format!(
                "entry {index} of term {term} is lost: it finds {:?}",
                found.map(|found| found.term)
            ));
        }
    }
    Ok(())
}

/// Whether a write under way that made it to the disk can have cut the log: it ends with an entry of a later term than
/// any durable one.
fn is_cut(shadow: &Shadow, start: &Start) -> bool {
    start.entries.last().is_some_and(|last| last.term > shadow.durable.last().1)
}

/// How the protocol numbers the answers to requests for votes.
const VOTE_ANSWER: u32 = 6;

/// A vote that leaves a member is on its disk: after a crash it must not give another one in the same term.
pub(in crate::sim) fn check_votes(member: MemberId, shadow: &Shadow, effects: &[Effect]) -> Check {
    for effect in effects {
        let Effect::Send(to, Message::Raft(raft)) = effect else { continue };
        let promised = shadow.hard_state;
        let is_given = raft.kind == VOTE_ANSWER && !raft.reject;
        if is_given && promised.term <= raft.term && (promised.term, promised.vote) != (raft.term, Some(*to))
        {
            let term = raft.term;
            let what = format!("member {member} votes for {to} in term {term}; on its disk is {promised:?}");
            return Err(Violation::new("durability", what));
        }
    }
    Ok(())
}
