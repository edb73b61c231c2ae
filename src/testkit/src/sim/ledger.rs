//! The committed log of the partition, and what follows from it: a witness applies it, entry by entry, beside all
//! replicas.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use synod_primitives::Change;
use synod_proto::log::v1::proposal::Body;
use synod_proto::log::v1::{Batch, Proposal};
use synod_protocol::{Entry, EntryKind, Membership};
use synod_replica::machine::{Applied, Effects, Machine, Outcome};
use synod_replica::{Genesis, History};
use synod_storage::state::{Fault, MemoryStore, StateHash};
use synod_types::{LogIndex, MemberId, Monotonic, Position, SessionId};

/// What the state is after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Milestone {
    pub(super) applied: Applied,
    pub(super) hash: StateHash,
}

/// What an entry that was committed has brought about.
pub(super) struct Committed<'a> {
    pub(super) at: Monotonic,
    pub(super) proposals: &'a [Proposal],
    pub(super) effects: &'a Effects,
    /// The membership before and after it.
    pub(super) membership: (&'a Membership, &'a Membership),
}

/// The committed log.
pub(super) struct Ledger {
    machine: Machine,
    entries: Vec<Entry>,
    milestones: Vec<Milestone>,
    changes: Vec<(Position, Change)>,
    /// An entry has made more changes at once than a history holds: some of them nobody has seen.
    has_unseen_changes: bool,
    /// What came of each request of a session when it was executed.
    outcomes: BTreeMap<(SessionId, u64), Outcome>,
    last_change: LogIndex,
}

impl Ledger {
    /// A log that begins with a genesis.
    pub(super) fn new(genesis: &Genesis) -> Result<Self, Fault> {
        let mut store = MemoryStore::default();
        genesis.write(&mut store)?;
        let machine = Machine::load(Box::new(store), History::default())?;
        let born = Milestone { applied: machine.applied(), hash: machine.state_hash() };
        Ok(Self {
            machine,
            entries: Vec::new(),
            milestones: vec![born],
            changes: Vec::new(),
            has_unseen_changes: false,
            outcomes: BTreeMap::new(),
            last_change: LogIndex(1),
        })
    }

    /// The last entry that is committed.
    pub(super) fn last(&self) -> LogIndex {
        self.machine.applied().log_index
    }

    /// The last entry that changed the membership.
    pub(super) const fn last_change(&self) -> LogIndex {
        self.last_change
    }

    /// The state after the last entry.
    pub(super) const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// An entry. The genesis, which is entry 1, is none.
    pub(super) fn get(&self, index: LogIndex) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.get().checked_sub(2)?).ok()?)
    }

    /// The state after an entry.
    pub(super) fn milestone(&self, index: LogIndex) -> Option<&Milestone> {
        self.milestones.get(usize::try_from(index.get().checked_sub(1)?).ok()?)
    }

    /// Every change that was made, in order; none if some were made that nobody can have seen.
    pub(super) fn changes(&self) -> Option<&[(Position, Change)]> {
        (!self.has_unseen_changes).then_some(&*self.changes)
    }

    /// What came of a request when it was executed; none if it never was.
    pub(super) fn outcome(&self, session: SessionId, sequence: u64) -> Option<&Outcome> {
        self.outcomes.get(&(session, sequence))
    }

    /// Adds the next entry, and shows what it brings about.
    ///
    /// # Errors
    /// When the entry cannot be applied.
    pub(super) fn commit<E: From<Fault>>(
        &mut self,
        at: Monotonic,
        entry: Entry,
        mut show: impl FnMut(&Self, Committed<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.machine.members().membership().clone();
        let known = self.machine.history().last();
        let (proposals, effects) = match entry.kind {
            EntryKind::Membership => {
                let (after, about) = changed(&before, &entry.data)?;
                self.machine.apply_membership(&entry, after, &about)?;
                self.last_change = entry.index;
                (Vec::new(), Effects::default())
            }
            EntryKind::Normal => {
                let batch = Batch::decode(entry.data.clone()).map_err(|error| Fault(error.to_string()))?;
                (batch.proposals, self.machine.apply(&entry)?)
            }
        };
        self.has_unseen_changes |= !self.machine.history().reaches_back_to(known);
        let changes = self.machine.history().since(known);
        self.changes.extend(changes.map(|recorded| (recorded.position, recorded.change.clone())));
        self.milestones.push(Milestone { applied: self.machine.applied(), hash: self.machine.state_hash() });
        let after = self.machine.members().membership();
        let membership = (&before, after);
        show(self, Committed { at, proposals: &proposals, effects: &effects, membership })?;
        for (proposal, outcome) in proposals.iter().zip(effects.outcomes) {
            let is_command = matches!(proposal.body, Some(Body::Command(_))) && proposal.session_id != 0;
            // An earlier index is that of the execution; a refusal executes nothing.
            if is_command && outcome.result.as_ref().map_or_else(|error| is_result(error.code()), |_| true) {
                self.outcomes.entry((SessionId(proposal.session_id), proposal.sequence)).or_insert(outcome);
            }
        }
        self.entries.push(entry);
        Ok(())
    }
}

/// Whether an error is the result of an execution, and not a refusal to execute.
pub(super) fn is_result(code: synod_types::ErrorCode) -> bool {
    use synod_types::ErrorCode;
    !matches!(code, ErrorCode::SessionNotFound | ErrorCode::StaleSequence | ErrorCode::ResourceExhausted)
}

/// A membership entry, as the protocol writes it.
#[derive(Clone, PartialEq, prost::Message)]
struct WireChange {
    #[prost(message, repeated, tag = "2")]
    steps: Vec<WireStep>,
    #[prost(bytes = "bytes", tag = "3")]
    about: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireStep {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint64, tag = "2")]
    member: u64,
}

/// What a membership entry makes of a membership: a change enters joint consensus, an empty one leaves it.
fn changed(before: &Membership, data: &Bytes) -> Result<(Membership, Bytes), Fault> {
    const PROMOTE: i32 = 0;
    const REMOVE: i32 = 1;
    const ADD_LEARNER: i32 = 2;
    let change = WireChange::decode(data.clone()).map_err(|error| Fault(error.to_string()))?;
    let mut after = before.clone();
    if change.steps.is_empty() {
        after.learners.append(&mut after.learners_next);
        after.learners.sort_unstable();
        after.voters_outgoing.clear();
        after.auto_leave = false;
        return Ok((after, change.about));
    }
    after.voters_outgoing.clone_from(&before.voters);
    after.auto_leave = true;
    for step in change.steps {
        let member = MemberId(step.member);
        after.learners.retain(|learner| *learner != member);
        after.voters.retain(|voter| *voter != member);
        match step.kind {
            PROMOTE => after.voters.push(member),
            ADD_LEARNER => after.learners.push(member),
            REMOVE => {}
            other => return Err(Fault(format!("unknown kind of membership change: {other}"))),
        }
    }
    after.voters.sort_unstable();
    after.learners.sort_unstable();
    Ok((after, change.about))
}
