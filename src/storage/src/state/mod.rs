//! The state store: one ordered keyspace per partition, in a few tables, behind the trait [`StateStore`].
//!
//! Everything that is replicated and is not the log lives here, so that snapshots, hashes, backup and larger than
//! memory state are written once for all of it. The write-ahead log is the authority: an engine may lose what it
//! likes in a crash, because the state is rebuilt from a snapshot and the log behind it.
//!
//! Invariants:
//! - Keys are ordered as unsigned bytes; scans see them in that order.
//! - The same content gives the same [`StateHash`], whatever the order in which it came to be, in every engine.
//! - A snapshot costs O(1) to take and never changes.
//! - Nobody may assume that the state is in memory: every access can [`Fault`].

mod hash;
mod memory;
mod pair;
mod range;

pub use hash::StateHash;
pub use memory::MemoryStore;
pub use pair::Blob;
pub use range::KeyRange;

/// The engine could not read or write. The replica must stop: its state is no longer what the log says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state store: {0}")]
pub struct Fault(pub String);

/// The tables of the keyspace. The numbers are persisted in snapshots: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// What the replica knows of itself: configuration, members, how far it has applied.
    Meta = 1,
    /// Which primitives exist.
    Registry = 2,
    /// Open sessions.
    Sessions = 3,
    /// Results that sessions have not acknowledged.
    Results = 4,
    /// What sessions own and lose when they end.
    Ownership = 5,
    /// Deadlines in log time.
    Timers = 6,
    /// The contents of the primitives.
    Data = 7,
}

impl Table {
    /// Every table, in the order of the numbers.
    pub const ALL: [Self; 7] = [
        Self::Meta,
        Self::Registry,
        Self::Sessions,
        Self::Results,
        Self::Ownership,
        Self::Timers,
        Self::Data,
    ];

    /// The table with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == number)
    }
}

/// What a scan yields, in key order.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<(Blob, Blob), Fault>> + 'a>;

/// Reading: of the store as it is, and of a snapshot.
pub trait StateRead {
    /// The value under a key.
    ///
    /// # Errors
    /// [`Fault`] when the engine cannot read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Blob>, Fault>;

    /// All pairs in a range, in key order. A fault ends the iteration.
    fn scan<'a>(&'a self, table: Table, range: KeyRange) -> Scan<'a>;

    /// How many keys all tables hold together.
    fn len(&self) -> u64;

    /// Whether there is no key at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hash of all content. O(1).
    fn hash(&self) -> StateHash;
}

/// An ordered keyspace that one thread writes.
pub trait StateStore: StateRead + Send {
    /// Sets a value and returns the one it replaces.
    ///
    /// # Errors
    /// [`Fault`] when the engine cannot write.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<Option<Blob>, Fault>;

    /// Removes a key and returns its value.
    ///
    /// # Errors
    /// [`Fault`] when the engine cannot write.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<Option<Blob>, Fault>;

    /// Ends an atomic step: after a crash an engine that persists shows all of what was written since the last
    /// commit, or none.
    ///
    /// # Errors
    /// [`Fault`] when the engine cannot write.
    fn commit(&mut self) -> Result<(), Fault>;

    /// The content as it is now, to be read from any thread for as long as it is kept. O(1).
    fn snapshot(&self) -> Box<dyn StateSnapshot>;
}

/// The content of a store at one moment.
pub trait StateSnapshot: StateRead + Send + Sync {}
