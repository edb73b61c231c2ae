//! Reads on their way: linearizable ones wait for the confirmation that this replica leads, sequential ones for an
//! index. A keep-alive is a linearizable read that changes a deadline.

use std::collections::{BTreeMap, VecDeque};

use synod_proto::primitive::v1::{Query, Scan};
use synod_protocol::ReadReady;
use synod_types::{Index, LogIndex, SessionId};

use crate::event::{ClientId, Tag};
use crate::watches::Filter;

/// What is to be read.
#[derive(Debug)]
pub(crate) enum Read {
    /// One answer.
    Query(Query),
    /// Many chunks.
    Scan(Scan),
    /// Nothing, but the session gets its full timeout.
    KeepAlive(SessionId),
    /// The beginning of a watch.
    Watch(Filter, synod_types::Position),
}

/// A read and who waits for it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) client: ClientId,
    pub(crate) tag: Tag,
    pub(crate) read: Read,
}

/// Reads that are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Came since the last confirmation was asked for.
    gathering: Vec<Waiting>,
    /// The confirmation was asked for under this context.
    asked: VecDeque<(u64, Vec<Waiting>)>,
    /// Confirmed; to be served when this entry is applied.
    confirmed: VecDeque<(LogIndex, Vec<Waiting>)>,
    /// To be served when this command is applied. The second number keeps the order of arrival.
    sequential: BTreeMap<(Index, u64), Waiting>,
    last_context: u64,
    arrivals: u64,
    in_flight: usize,
}

impl Reads {
    /// How many reads wait.
    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Adds a linearizable read.
    pub(crate) fn push_linearizable(&mut self, waiting: Waiting) {
        self.in_flight += 1;
        self.gathering.push(waiting);
    }

    /// Adds a read that waits for a command to be applied.
    pub(crate) fn push_sequential(&mut self, seen: Index, waiting: Waiting) {
        self.in_flight += 1;
        self.arrivals += 1;
        self.sequential.insert((seen, self.arrivals), waiting);
    }

    /// The context under which to ask for confirmation of what was gathered; none if there is nothing.
    pub(crate) fn ask(&mut self) -> Option<u64> {
        if self.gathering.is_empty() {
            return None;
        }
        self.last_context += 1;
        self.asked.push_back((self.last_context, std::mem::take(&mut self.gathering)));
        Some(self.last_context)
    }

    /// Leadership was confirmed.
    pub(crate) fn confirm(&mut self, ready: ReadReady) {
        while let Some((context, _)) = self.asked.front()
            && *context <= ready.context
        {
            self.confirmed.extend(self.asked.pop_front().map(|(_, reads)| (ready.index, reads)));
        }
    }

    /// Takes the confirmed reads that may be served now, in the order in which they came.
    pub(crate) fn take_confirmed(&mut self, applied: LogIndex) -> Vec<Waiting> {
        let mut ready = Vec::new();
        while let Some((index, _)) = self.confirmed.front()
            && *index <= applied
        {
            ready.extend(self.confirmed.pop_front().into_iter().flat_map(|(_, reads)| reads));
        }
        self.in_flight -= ready.len();
        ready
    }

    /// Takes the sequential reads that may be served now, in the order in which they came for each index.
    pub(crate) fn take_sequential(&mut self, applied: Index) -> Vec<Waiting> {
        let later = self.sequential.split_off(&(applied.next(), 0));
        let ready: Vec<_> = std::mem::replace(&mut self.sequential, later).into_values().collect();
        self.in_flight -= ready.len();
        ready
    }

    /// Gives up the linearizable reads, because leadership is lost.
    pub(crate) fn give_up(&mut self) -> Vec<Waiting> {
        let mut lost = std::mem::take(&mut self.gathering);
        lost.extend(self.asked.drain(..).flat_map(|(_, reads)| reads));
        lost.extend(self.confirmed.drain(..).flat_map(|(_, reads)| reads));
        self.in_flight -= lost.len();
        lost
    }

    /// Forgets what a client waits for.
    pub(crate) fn forget(&mut self, client: ClientId) {
        let keep = |waiting: &Waiting| waiting.client != client;
        self.gathering.retain(keep);
        self.asked.iter_mut().for_each(|(_, reads)| reads.retain(keep));
        self.confirmed.iter_mut().for_each(|(_, reads)| reads.retain(keep));
        self.sequential.retain(|_, waiting| keep(waiting));
        let grouped = self.asked.iter().map(|(_, reads)| reads.len()).sum::<usize>()
            + self.confirmed.iter().map(|(_, reads)| reads.len()).sum::<usize>();
        self.in_flight = self.gathering.len() + self.sequential.len() + grouped;
    }
}
