//! Writes on their way: queued, batched into entries, and answered when the entry is applied.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use prost::Message as _;
use synod_proto::log::v1::proposal::Body;
use synod_proto::log::v1::{Batch, Proposal};
use synod_types::{LogIndex, LogTime, SessionId, Term};

use crate::event::{ClientId, Tag};

/// Who waits for the outcome of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A client that wrote, or closed its session.
    Client(ClientId, Tag),
    /// A client that opens a session.
    Opener(ClientId, Tag),
    /// Nobody: the leader ends a session that has expired.
    Expiry(SessionId),
}

/// Writes that are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    queued: VecDeque<(Proposal, Waiter)>,
    /// By the entry that carries them: the term in which it was proposed, and who waits, in order.
    proposed: BTreeMap<LogIndex, (Term, Vec<Waiter>)>,
    in_flight: usize,
}

impl Proposals {
    /// How many writes are under way.
    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether something waits to be proposed.
    pub(crate) fn has_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    /// Whether an entry is under way that is not applied yet.
    pub(crate) fn has_proposed(&self) -> bool {
        !self.proposed.is_empty()
    }

    /// Queues a write.
    pub(crate) fn push(&mut self, proposal: Proposal, waiter: Waiter) {
        self.in_flight += 1;
        self.queued.push_back((proposal, waiter));
    }

    /// Takes a batch from the queue: as many writes as fit, at least one.
    pub(crate) fn next_batch(
        &mut self,
        time: LogTime,
        leader_change: bool,
        bytes_max: usize,
    ) -> (Bytes, Vec<Waiter>) {
        let mut batch = Batch { time_ms: time.get(), leader_change, proposals: Vec::new() };
        let (mut bytes, mut waiters) = (0, Vec::new());
        while let Some((proposal, _)) = self.queued.front() {
            bytes += payload_len(proposal) + 32;
            if bytes > bytes_max && !waiters.is_empty() {
                break;
            }
            let Some((proposal, waiter)) = self.queued.pop_front() else { break };
            batch.proposals.push(proposal);
            waiters.push(waiter);
        }
        (batch.encode_to_vec().into(), waiters)
    }

    /// A batch has become an entry.
    pub(crate) fn proposed(&mut self, index: LogIndex, term: Term, waiters: Vec<Waiter>) {
        self.proposed.insert(index, (term, waiters));
    }

    /// Takes those who wait for an entry that is being applied. Empty if it is not the one that was proposed here.
    pub(crate) fn applied(&mut self, index: LogIndex, term: Term) -> Vec<Waiter> {
        match self.proposed.remove(&index) {
            Some((proposed_in, waiters)) if proposed_in == term => {
                self.in_flight -= waiters.len();
                waiters
            }
            Some((_, waiters)) => {
                self.in_flight -= waiters.len();
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Gives everything up, because leadership is lost: returns those whose write was never proposed, and those
    /// whose write may yet be committed.
    pub(crate) fn give_up(&mut self) -> (Vec<Waiter>, Vec<Waiter>) {
        self.in_flight = 0;
        let queued = self.queued.drain(..).map(|(_, waiter)| waiter).collect();
        let proposed = std::mem::take(&mut self.proposed).into_values().flat_map(|(_, waiters)| waiters);
        (queued, proposed.collect())
    }

    /// Gives up what was taken from the queue and could not be proposed.
    pub(crate) fn refused(&mut self, waiters: &[Waiter]) {
        self.in_flight -= waiters.len();
    }
}

fn payload_len(proposal: &Proposal) -> usize {
    match &proposal.body {
        Some(Body::Command(command)) => command.len(),
        _ => 0,
    }
}
