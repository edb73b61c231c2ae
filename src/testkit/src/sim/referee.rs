//! Watches every step of every replica and holds it to the [invariants](super::invariants).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use synod_proto::session::v1::Request;
use synod_protocol::raft::Start;
use synod_protocol::{Entry, EntryKind, Membership, Persist, Token};
use synod_replica::{ClientId, Effect, Genesis, Replica};
use synod_storage::state::Fault;
use synod_types::{Error, LogIndex, MemberId, Monotonic, SessionId};

use super::invariants::durable_commit;
use super::invariants::election_safety::ElectionSafety;
use super::invariants::exactly_once::Writes;
use super::invariants::fresh_reads::FreshReads;
use super::invariants::leader_completeness::LeaderCompleteness;
use super::invariants::lease::Leases;
use super::invariants::log_matching::LogMatching;
use super::invariants::monotonic::Progress;
use super::invariants::timers::Timers;
use super::invariants::{Check, Violation, committed_entries, durability, exactly_once, quorums, state_hash};
use super::ledger::{Committed, Ledger};
use super::shadow::Shadow;
use crate::oracle::ClockBound;

/// Knows everything that any replica did.
pub(super) struct Referee {
    pub(super) ledger: Ledger,
    shadows: BTreeMap<MemberId, Shadow>,
    progress: BTreeMap<MemberId, Progress>,
    election_safety: ElectionSafety,
    log_matching: LogMatching,
    leader_completeness: LeaderCompleteness,
    fresh_reads: FreshReads,
    writes: Writes,
    leases: Leases,
    timers: Timers,
}

/// One step of a replica, after [`Replica::flush`] and before its effects.
pub(super) struct Step<'a> {
    pub(super) now: Monotonic,
    pub(super) member: MemberId,
    pub(super) replica: &'a Replica,
    pub(super) effects: &'a [Effect],
    /// The membership that it knew before the step.
    pub(super) membership: &'a Membership,
    /// Until when its lease is valid, by the time of the simulation.
    pub(super) lease_until: Option<Monotonic>,
}

impl Referee {
    pub(super) fn new(genesis: &Genesis, clock: ClockBound) -> Result<Self, Fault> {
        Ok(Self {
            ledger: Ledger::new(genesis)?,
            shadows: BTreeMap::new(),
            progress: BTreeMap::new(),
            election_safety: ElectionSafety::default(),
            log_matching: LogMatching::default(),
            leader_completeness: LeaderCompleteness::default(),
            fresh_reads: FreshReads::default(),
            writes: Writes::default(),
            leases: Leases::default(),
            timers: Timers::new(clock),
        })
    }

    /// A member starts, for the first time or again, from what it found on its disk.
    pub(super) fn started(&mut self, member: MemberId, start: &Start) -> Check {
        if let Some(shadow) = self.shadows.get(&member) {
            durability::check(member, shadow, start, &self.ledger)?;
        }
        self.shadows.entry(member).or_default().start(start);
        let at = start.snapshot.index;
        self.progress.insert(member, Progress { commit: at, applied: at, ..Progress::default() });
        self.leases.forget(member);
        Ok(())
    }

    /// A process has ended.
    pub(super) fn ended(&mut self, member: MemberId) {
        self.fresh_reads.forget(member);
        self.writes.forget(member);
        self.leases.forget(member);
    }

    /// A member is told that a write is durable.
    pub(super) fn persisted(&mut self, member: MemberId, token: Token) {
        if let Some(shadow) = self.shadows.get_mut(&member) {
            shadow.persisted(token);
        }
    }

    /// A member is asked something by a client.
    pub(super) fn asked(&mut self, member: MemberId, client: ClientId, request: &Request) {
        let committed = self.ledger.machine().applied().index;
        self.fresh_reads.asked(member, client, request, committed);
        self.writes.asked(member, client, request);
    }

    /// A replica has made a step.
    pub(super) fn observe(&mut self, step: &Step<'_>) -> Check {
        for effect in step.effects {
            if let Effect::Persist(persist) = effect {
                self.writes(step.now, step.member, persist)?;
            }
        }
        let (member, standing) = (step.member, step.replica.standing());
        let Some(shadow) = self.shadows.get(&member) else { return Ok(()) };
        durability::check_votes(member, shadow, step.effects)?;
        self.election_safety.check(member, standing)?;
        self.leader_completeness.check(member, standing, &shadow.log, &self.ledger)?;
        self.fresh_reads.check(member, step.effects)?;
        self.leases.check(step.now, member, standing, step.lease_until)?;
        let last = shadow.log.last().0;
        self.commits(step)?;
        self.writes.check(member, step.effects, &self.ledger)?;
        let machine = step.replica.machine();
        let (term, commit, applied) = (standing.term, step.replica.commit(), machine.applied().log_index);
        let time = machine.applied().time;
        let progress = self.progress.entry(member).or_default();
        progress.advance(member, Progress { term, commit, applied, last, time })?;
        state_hash::check(member, machine, &self.ledger)
    }

    fn writes(&mut self, now: Monotonic, member: MemberId, persist: &Persist) -> Check {
        let Some(shadow) = self.shadows.get_mut(&member) else { return Ok(()) };
        shadow.write(persist);
        self.log_matching.check(member, &shadow.log, persist)?;
        for entry in &persist.entries {
            let before = LogIndex(entry.index.get() - 1);
            let before = shadow.log.term(before).map(|term| (before, term));
            self.timers.check_stamp(now, entry, before)?;
        }
        Ok(())
    }

    /// What the replica takes for committed since its last step.
    fn commits(&mut self, step: &Step<'_>) -> Check {
        let known = self.progress.get(&step.member).map_or(LogIndex(0), |progress| progress.commit);
        let mut index = known.next();
        while index <= step.replica.commit() {
            // What came in a snapshot is judged by the hash of the state.
            let log = self.shadows.get(&step.member).map(|shadow| &shadow.log);
            let entry = log.and_then(|log| log.get(index)).cloned();
            match entry {
                Some(entry) if index > self.ledger.last() => self.commit(step, entry)?,
                Some(entry) => committed_entries::check(step.member, &entry, &self.ledger)?,
                None => {}
            }
            index = index.next();
        }
        Ok(())
    }

    fn commit(&mut self, step: &Step<'_>, entry: Entry) -> Check {
        if entry.index != self.ledger.last().next() {
            let what = format!("member {} takes {} for committed behind a gap", step.member, entry.index);
            return Err(Violation::new("committed entries", what));
        }
        let after = step.replica.machine().members().membership();
        durable_commit::check(&entry, [step.membership, after], &self.shadows)?;
        let (timers, writes) = (&self.timers, &self.writes);
        self.ledger.commit(step.now, entry, |ledger, committed: Committed<'_>| {
            exactly_once::check(ledger, &committed)?;
            writes.check_committed(&committed)?;
            timers.check(&committed)?;
            quorums::check(committed.membership.0, committed.membership.1)
        })
    }

    /// A client was answered that its session lives on; it had asked at `sent_at`.
    pub(super) fn refreshed(&mut self, session: SessionId, sent_at: Monotonic, timeout: Duration) {
        self.timers.refreshed(session, sent_at, timeout);
    }

    /// A client was answered what came of a request of its session.
    pub(super) fn answered(
        &self,
        session: SessionId,
        sequence: u64,
        answer: Result<&Bytes, &Error>,
    ) -> Check {
        exactly_once::check_answer(&self.ledger, session, sequence, answer)
    }

    /// The membership after the last committed entry.
    pub(super) fn membership(&self) -> &Membership {
        self.ledger.machine().members().membership()
    }

    /// Whether a majority of the voters has on disk that the last membership is committed.
    pub(super) fn is_membership_durable(&self) -> bool {
        let voters = &self.membership().voters;
        let knows = |member: &&MemberId| {
            self.shadows.get(member).is_some_and(|shadow| shadow.knows_committed(self.ledger.last_change()))
        };
        voters.iter().filter(knows).count() > voters.len() / 2
    }

    /// Whether some log holds a membership entry that is not committed yet.
    pub(super) fn is_membership_changing(&self) -> bool {
        let last = self.ledger.last();
        let is_open = |entry: &Entry| entry.index > last && entry.kind == EntryKind::Membership;
        self.shadows.values().any(|shadow| shadow.log.entries().any(is_open))
    }
}
