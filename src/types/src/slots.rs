//! Slots: how keys are spread over the partitions of a group.
//!
//! A group of N partitions has S = N · ⌊32768 / N⌋ slots for its whole life, and the slot of a key is
//! fnv1a32(key) mod S. At first the partition of a slot is slot mod N, and because N divides S that equals
//! fnv1a32(key) mod N, which is what the Atomix clients compute on their own. Later a table says otherwise,
//! slot by slot.

use std::collections::BTreeMap;

use crate::{Error, ErrorCode, PartitionId};

/// The most slots, and therefore partitions, that a group can have.
const MAX_SLOTS: u32 = 32_768;

/// A share of the keys: what a group moves between partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

/// The 32-bit FNV-1a hash, as Go's `fnv.New32a`. Part of the persisted format.
pub const fn fnv1a32(bytes: &[u8]) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ *byte as u32).wrapping_mul(0x0100_0193);
        rest = tail;
    }
    hash
}

/// How many slots a new group of `partitions` has.
///
/// # Errors
/// [`ErrorCode::Invalid`] when `partitions` is 0 or greater than 32768.
pub fn slot_count(partitions: u32) -> Result<u32, Error> {
    match MAX_SLOTS.checked_div(partitions) {
        Some(each @ 1..) => Ok(each * partitions),
        _ => Err(Error::new(
            ErrorCode::Invalid,
            format!("a group cannot have {partitions} partitions: use 1 to {MAX_SLOTS}"),
        )),
    }
}

/// The slot of a key in a group of `slots` slots. `slots` is between 1 and 32768, as [`slot_count`] gives it.
pub fn slot_of(key: &[u8], slots: u32) -> Slot {
    let slot = fnv1a32(key).checked_rem(slots.min(MAX_SLOTS)).unwrap_or(0);
    Slot(u16::try_from(slot).unwrap_or(u16::MAX))
}

/// The partition that a key has in a group whose slots never moved. `partitions` is not 0.
pub fn partition_of_new_group(key: &[u8], partitions: u32) -> PartitionId {
    PartitionId(fnv1a32(key).checked_rem(partitions).unwrap_or(0))
}

/// Which partition holds which slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotTable {
    partitions: u32,
    slots: u32,
    moved: BTreeMap<Slot, PartitionId>,
}

impl SlotTable {
    /// The table of a new group.
    ///
    /// # Errors
    /// As [`slot_count`].
    pub fn new(partitions: u32) -> Result<Self, Error> {
        Ok(Self { partitions, slots: slot_count(partitions)?, moved: BTreeMap::new() })
    }

    /// The table of a group with `slots` slots of which some have `moved` away from slot mod N.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] when the numbers contradict each other: a table from elsewhere is checked, not
    /// trusted.
    pub fn with_moves(
        partitions: u32,
        slots: u32,
        moved: impl IntoIterator<Item = (Slot, PartitionId)>,
    ) -> Result<Self, Error> {
        let moved: BTreeMap<_, _> = moved.into_iter().collect();
        let fits = moved.iter().all(|(slot, to)| u32::from(slot.0) < slots && to.0 < partitions);
        if partitions == 0 || slots == 0 || slots > MAX_SLOTS || !slots.is_multiple_of(partitions) || !fits {
            return Err(Error::new(
                ErrorCode::Invalid,
                format!("slot table of {slots} slots for {partitions} partitions contradicts itself"),
            ));
        }
        Ok(Self { partitions, slots, moved })
    }

    /// The number of partitions.
    pub const fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The number of slots.
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// The slots that are not where slot mod N would put them.
    pub fn moved(&self) -> impl Iterator<Item = (Slot, PartitionId)> + '_ {
        self.moved.iter().map(|(slot, partition)| (*slot, *partition))
    }

    /// The partition that holds a key.
    pub fn partition_of(&self, key: &[u8]) -> PartitionId {
        let slot = slot_of(key, self.slots);
        self.moved.get(&slot).copied().unwrap_or(PartitionId(u32::from(slot.0) % self.partitions))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fnv1a32_matches_the_published_vectors() {
        assert_eq!(fnv1a32(b""), 0x811c_9dc5);
        assert_eq!(fnv1a32(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a32(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn partition_counts_out_of_range_are_refused() {
        for partitions in [0, MAX_SLOTS + 1, u32::MAX] {
            let error = slot_count(partitions).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Invalid);
            assert!(error.to_string().contains("1 to 32768"), "{error}");
        }
        assert_eq!(slot_count(1).unwrap(), 32_768);
        assert_eq!(slot_count(3).unwrap(), 32_766);
        assert_eq!(slot_count(32_768).unwrap(), 32_768);
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        for (partitions, slots, moved) in [
            (0, 3, None),
            (3, 0, None),
            (3, 4, None),
            (3, 6, Some((Slot(6), PartitionId(0)))),
            (3, 6, Some((Slot(0), PartitionId(3)))),
        ] {
            assert!(
                SlotTable::with_moves(partitions, slots, moved).is_err(),
                "{partitions} {slots} {moved:?}"
            );
        }
    }

    #[test]
    fn a_moved_slot_is_found_where_it_went() {
        let slot = slot_of(b"alice", 6);
        let home = SlotTable::with_moves(3, 6, []).unwrap().partition_of(b"alice");
        let away = PartitionId((home.0 + 1) % 3);
        assert_eq!(SlotTable::with_moves(3, 6, [(slot, away)]).unwrap().partition_of(b"alice"), away);
    }

    proptest! {
        /// What the Atomix clients compute on their own is what the slot rule gives.
        #[test]
        fn a_new_group_agrees_with_hash_mod_n(key: Vec<u8>, partitions in 1u32..=MAX_SLOTS) {
            let table = SlotTable::new(partitions).unwrap();
            prop_assert_eq!(table.partition_of(&key), partition_of_new_group(&key, partitions));
        }
    }
}
