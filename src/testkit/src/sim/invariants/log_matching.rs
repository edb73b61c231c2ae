//! Log matching: if two logs contain an entry with the same index and term, then they are identical in all entries up
//! to that one (Raft §5.3, figure 3).
//!
//! It follows by induction from what is checked here of every entry that any member ever writes: index and term say
//! what is in it, and which term the entry before has.

use std::collections::BTreeMap;

use synod_protocol::{Entry, EntryKind, Persist};
use synod_types::{LogIndex, MemberId, Term};
use xxhash_rust::xxh3::xxh3_64;

use super::super::shadow::ShadowLog;
use super::{Check, Violation};

/// Every entry that anybody has written.
#[derive(Debug, Default)]
pub(in crate::sim) struct LogMatching {
    seen: BTreeMap<(LogIndex, Term), Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    data_hash: u64,
    is_membership: bool,
    /// Not known if only a snapshot held the entry before.
    before: Option<Term>,
}

impl LogMatching {
    /// A member writes; `log` is what it has afterwards.
    pub(in crate::sim) fn check(&mut self, member: MemberId, log: &ShadowLog, persist: &Persist) -> Check {
        persist.entries.iter().try_for_each(|entry| self.check_entry(member, log, entry))
    }

    fn check_entry(&mut self, member: MemberId, log: &ShadowLog, entry: &Entry) -> Check {
        let before = LogIndex(entry.index.get() - 1);
        let seen = Seen {
            data_hash: xxh3_64(&entry.data),
            is_membership: entry.kind == EntryKind::Membership,
            before: log.term(before),
        };
        let (index, term) = (entry.index, entry.term);
        if log.get(index).is_some() && seen.before.is_none() {
            let what = format!("member {member} writes entry {index} of term {term} behind a gap");
            return Err(Violation::new("log matching", what));
        }
        let first = *self.seen.entry((index, term)).or_insert(seen);
        if first == seen {
            return Ok(());
        }
        let what =
            format!("member {member} writes another entry {index} of term {term}: {seen:?}, not {first:?}");
        Err(Violation::new("log matching", what))
    }
}
