//! What a member is told when it starts: how to behave, and what it has.

use std::time::Duration;

use crate::{Entry, HardState, SnapshotMetadata};

/// How a member behaves in time, and how much it lets be under way. Must be the same for all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often the leader sends heartbeats; the unit in which timeouts are counted.
    pub tick: Duration,
    /// A follower that hears nothing for this many ticks, or up to twice as many, campaigns. A leader that does not
    /// hear from a majority for this many steps down.
    pub election_ticks: usize,
    /// How long a follower is bound to a leader by a heartbeat. A few ticks; less than an election timeout.
    pub lease: Duration,
    /// How long the next in line waits for the one before it to win an election after a leader crashed.
    pub campaign_stagger: Duration,
    /// The most entry bytes of one append message.
    pub append_bytes_max: u64,
    /// The most append messages to one member that are not answered yet.
    pub appends_in_flight_max: usize,
    /// The most entry bytes that are appended and not committed; beyond, proposals are refused.
    pub uncommitted_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(50),
            election_ticks: 20,
            lease: Duration::from_millis(200),
            campaign_stagger: Duration::from_millis(50),
            append_bytes_max: 1 << 20,
            appends_in_flight_max: 256,
            uncommitted_bytes_max: 64 << 20,
        }
    }
}

/// What a member finds when it starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// From the write-ahead log.
    pub hard_state: HardState,
    /// The snapshot that the state was restored from; its index is what has been applied.
    pub snapshot: SnapshotMetadata,
    /// The entries behind the snapshot.
    pub entries: Vec<Entry>,
}
