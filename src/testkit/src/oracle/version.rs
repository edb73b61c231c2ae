//! Versions: those of a key grow, no version comes twice, none goes missing in between, and no update is lost.
//!
//! A version is the index of the command that wrote the item. So writes are ordered by their versions, across keys as
//! well, and a write that tells what it replaced links itself to the write before. Two writes that replaced the same
//! version fork that chain: one of them is lost.

use std::collections::BTreeMap;

use synod_types::Monotonic;

use super::Before;

/// A write of an item that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write<K> {
    /// Which key.
    pub key: K,
    /// Its version.
    pub version: u64,
    /// The version that it replaced, 0 for none; unknown if the answer does not tell.
    pub previous: Option<u64>,
    /// No later than the moment at which it was sent for the first time.
    pub invoked_at: Monotonic,
    /// When it was answered.
    pub returned_at: Monotonic,
}

/// A linearizable read that found an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<K> {
    /// Which key.
    pub key: K,
    /// The version that was found.
    pub version: u64,
    /// When it was sent.
    pub invoked_at: Monotonic,
    /// When it was answered.
    pub returned_at: Monotonic,
}

/// What was written to and read from one partition, each in any order. Writes of one transaction share their version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<K> {
    /// The writes. Those that changed nothing are reads.
    pub writes: Vec<Write<K>>,
    /// The reads.
    pub reads: Vec<Read<K>>,
    /// Whether every write that may have happened was answered, so that every version must be among the writes.
    pub is_complete: bool,
}

/// What is wrong. Writes and reads are named by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two writes of one key have the same version.
    #[error("writes #{first} and #{second} of one key both made version {version}")]
    SameVersion {
        /// One write.
        first: usize,
        /// The other one.
        second: usize,
        /// The version of both.
        version: u64,
    },
    /// A write has a version that is not greater than one that was answered before it was sent.
    #[error("write #{write} made version {version}, although {seen} was seen before it was sent")]
    WriteWentBack {
        /// Which write.
        write: usize,
        /// Its version.
        version: u64,
        /// What was seen before, of any key.
        seen: u64,
    },
    /// A read found an older version than one that was answered before it was sent.
    #[error("read #{read} found version {version}, although {seen} was seen before it was sent")]
    ReadWentBack {
        /// Which read.
        read: usize,
        /// What it found.
        version: u64,
        /// What was seen before, of the same key.
        seen: u64,
    },
    /// A write does not follow what it replaced.
    #[error("write #{write} made version {version} and replaced version {previous}, which is not older")]
    NotNewer {
        /// Which write.
        write: usize,
        /// Its version.
        version: u64,
        /// What it replaced.
        previous: u64,
    },
    /// Two writes replaced the same version.
    #[error("writes #{first} and #{second} both replaced version {previous}: an update is lost")]
    LostUpdate {
        /// One write.
        first: usize,
        /// The other one.
        second: usize,
        /// What both replaced.
        previous: u64,
    },
    /// A version was seen that nobody has written.
    #[error("version {version} was seen by {seen_by} #{place}, and no write made it")]
    Phantom {
        /// The version.
        version: u64,
        /// Whether a read or a write has seen it.
        seen_by: &'static str,
        /// Which one.
        place: usize,
    },
}

/// What is wrong with the versions of one partition, in O(n log n).
pub fn violations<K: Ord>(history: &History<K>) -> Vec<Violation> {
    let mut violations = Vec::new();
    chains(history, &mut violations);
    let seen_of_any = Before::new(sightings(history).map(|(_, sighting)| sighting), 0, u64::max);
    for (write, Write { version, invoked_at, .. }) in history.writes.iter().enumerate() {
        let (version, seen) = (*version, seen_of_any.earlier_than(*invoked_at).unwrap_or(0));
        if version <= seen {
            violations.push(Violation::WriteWentBack { write, version, seen });
        }
    }
    let mut of_key: BTreeMap<&K, Vec<Sighting>> = BTreeMap::new();
    for (key, sighting) in sightings(history) {
        of_key.entry(key).or_default().push(sighting);
    }
    let seen_of: BTreeMap<_, _> = of_key
        .into_iter()
        .map(|(key, sightings)| (key, Before::new(sightings.into_iter(), 0, u64::max)))
        .collect();
    for (read, Read { key, version, invoked_at, .. }) in history.reads.iter().enumerate() {
        let (version, seen) = (*version, seen_of.get(key).and_then(|seen| seen.earlier_than(*invoked_at)));
        if let Some(seen) = seen.filter(|seen| version < *seen) {
            violations.push(Violation::ReadWentBack { read, version, seen });
        }
    }
    violations
}

/// When somebody was told of a version, and of which.
type Sighting = (Monotonic, u64);

fn sightings<K>(history: &History<K>) -> impl Iterator<Item = (&K, Sighting)> {
    let writes = history.writes.iter().map(|write| (&write.key, (write.returned_at, write.version)));
    let reads = history.reads.iter().map(|read| (&read.key, (read.returned_at, read.version)));
    writes.chain(reads)
}

/// What is wrong with how the writes of each key follow each other.
fn chains<K: Ord>(history: &History<K>, violations: &mut Vec<Violation>) {
    let mut made: BTreeMap<(&K, u64), usize> = BTreeMap::new();
    let mut replaced: BTreeMap<(&K, u64), usize> = BTreeMap::new();
    for (second, Write { key, version, previous, .. }) in history.writes.iter().enumerate() {
        let first = *made.entry((key, *version)).or_insert(second);
        if first != second {
            violations.push(Violation::SameVersion { first, second, version: *version });
        }
        let Some(previous) = previous.filter(|previous| *previous != 0) else { continue };
        if previous >= *version {
            violations.push(Violation::NotNewer { write: second, version: *version, previous });
        }
        let first = *replaced.entry((key, previous)).or_insert(second);
        if first != second {
            violations.push(Violation::LostUpdate { first, second, previous });
        }
    }
    if !history.is_complete {
        return;
    }
    let reads =
        history.reads.iter().enumerate().map(|(place, read)| ("read", place, &read.key, read.version));
    let writes = history.writes.iter().enumerate().filter_map(|(place, write)| {
        write
            .previous
            .filter(|previous| *previous != 0)
            .map(|previous| ("write", place, &write.key, previous))
    });
    for (seen_by, place, key, version) in reads.chain(writes) {
        if !made.contains_key(&(key, version)) {
            violations.push(Violation::Phantom { version, seen_by, place });
        }
    }
}
