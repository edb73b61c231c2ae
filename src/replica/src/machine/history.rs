//! The change history: what watchers read, and what they resume from.
//!
//! Every replica derives the same history from the same log, so a watcher that loses its server goes on at the next
//! one. It is bounded; who falls out of it must read the state again. It travels in snapshots, so that a restart or a
//! catch-up does not shorten it.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use prost::Message as _;
use synod_primitives::Change;
use synod_proto::primitive::v1 as wire;
use synod_storage::state::Fault;
use synod_types::{Index, Limits, Position, PrimitiveId};

const FORMAT: u8 = 1;

/// What a change takes in memory beside its key and event, roughly.
const OVERHEAD_BYTES: u64 = 200;

/// A change with its place.
#[derive(Debug)]
pub struct Recorded {
    /// Its place in the history.
    pub position: Position,
    /// What changed.
    pub change: Change,
    /// What it counts against the limit.
    bytes: u64,
    encoded: OnceLock<Bytes>,
}

impl Recorded {
    fn new(position: Position, change: Change) -> Arc<Self> {
        let bytes = change.key.len() as u64 + change.event.encoded_len() as u64 + OVERHEAD_BYTES;
        Arc::new(Self { position, change, bytes, encoded: OnceLock::new() })
    }

    /// The encoded event, made once for all watchers.
    pub fn encoded(&self) -> &Bytes {
        self.encoded.get_or_init(|| {
            let event = wire::Event {
                position: self.position.get(),
                index: self.change.index.get(),
                primitive: self.change.primitive.get(),
                event: Some(self.change.event.clone()),
            };
            event.encode_to_vec().into()
        })
    }
}

/// The last changes of a partition, oldest first, without a gap.
#[derive(Clone, Debug, Default)]
pub struct History {
    changes: VecDeque<Arc<Recorded>>,
    bytes: u64,
    /// The last change that was ever recorded.
    last: Position,
}

impl History {
    /// An empty history that goes on after `last`.
    pub fn after(last: Position) -> Self {
        Self { last, ..Self::default() }
    }

    /// The position of the last change.
    pub const fn last(&self) -> Position {
        self.last
    }

    /// Whether every change after `position` is still here.
    pub fn reaches_back_to(&self, position: Position) -> bool {
        position >= self.changes.front().map_or(self.last, |first| first.position.previous())
    }

    /// The changes after `position`. Those that are gone are left out: see [`History::reaches_back_to`].
    pub fn since(&self, position: Position) -> impl Iterator<Item = &Arc<Recorded>> {
        let first = self.changes.front().map_or(0, |first| first.position.get());
        let skip = (position.get() + 1).saturating_sub(first);
        self.changes.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is no change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn push(&mut self, position: Position, change: Change) {
        let recorded = Recorded::new(position, change);
        self.bytes += recorded.bytes;
        self.last = position;
        self.changes.push_back(recorded);
    }

    /// Drops the oldest changes beyond the limits. The last one always stays.
    pub(super) fn trim(&mut self, limits: &Limits) {
        while self.changes.len() > 1
            && (self.changes.len() as u64 > limits.history_changes || self.bytes > limits.history_bytes)
        {
            let Some(oldest) = self.changes.pop_front() else { return };
            self.bytes -= oldest.bytes;
        }
    }

    /// The changes as records of a snapshot, oldest first: (key, value).
    pub fn records(&self) -> impl Iterator<Item = ([u8; 8], Vec<u8>)> + '_ {
        self.changes.iter().map(|recorded| {
            let key = &recorded.change.key;
            let mut value = vec![FORMAT];
            value.extend_from_slice(&(key.len() as u32).to_le_bytes());
            value.extend_from_slice(key);
            value.extend_from_slice(recorded.encoded());
            (recorded.position.get().to_be_bytes(), value)
        })
    }

    /// Adds a record of a snapshot.
    ///
    /// # Errors
    /// [`Fault`] when it cannot be read or does not follow the one before.
    pub fn restore(&mut self, value: &[u8]) -> Result<(), Fault> {
        let unreadable = || Fault("cannot read a stored change: unknown format or damaged".to_owned());
        let Some((&FORMAT, rest)) = value.split_first() else { return Err(unreadable()) };
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(unreadable)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| unreadable())?;
        let (key, event) = rest.split_at_checked(length).ok_or_else(unreadable)?;
        let event = wire::Event::decode(event).map_err(|_| unreadable())?;
        let position = Position(event.position);
        if !self.changes.is_empty() && position != self.last.next() {
            return Err(unreadable());
        }
        let change = Change {
            index: Index(event.index),
            primitive: PrimitiveId(event.primitive),
            key: Bytes::copy_from_slice(key),
            event: event.event.ok_or_else(unreadable)?,
        };
        self.push(position, change);
        Ok(())
    }
}
