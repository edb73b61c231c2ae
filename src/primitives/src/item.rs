//! Items with a version and perhaps a TTL: what values, maps and sets keep.

use bytes::Bytes;
use synod_types::{Error, ErrorCode, Index, LogTime, Version};

use crate::context::{Context, Failure, Outcome, View};
use crate::keys::{Record, Timer};

const FORMAT: u8 = 1;
const PLAIN: u8 = 0;
const EXPIRING: u8 = 1;

/// An item, as it is stored.
///
/// Layout: format(1) flags(1) version(8, little-endian) [deadline ms(8, little-endian)] value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) version: Version,
    /// When its TTL ends, if it has one.
    pub(crate) deadline: Option<LogTime>,
    pub(crate) value: Bytes,
}

impl Item {
    /// Reads the item under a kind's own key.
    pub(crate) fn read(view: &View<'_>, own: &[u8]) -> Outcome<Option<Self>> {
        let stored = view.get(Record::Item, own)?;
        stored.map(|stored| Self::decode(Bytes::from_owner(stored))).transpose()
    }

    /// Stores an item in the place of `previous`, with the version of this command. Its TTL replaces any earlier one;
    /// without a TTL it stays.
    pub(crate) fn write(
        context: &mut Context<'_>,
        own: &[u8],
        value: Bytes,
        ttl_ms: Option<u64>,
        previous: Option<&Self>,
    ) -> Outcome<Self> {
        if let Some(timer) = previous.and_then(Self::timer) {
            context.cancel_timer(timer, own)?;
        }
        let item = Self {
            version: context.version(),
            deadline: ttl_ms.map(|ttl_ms| context.now().plus_ms(ttl_ms)),
            value,
        };
        if let Some(deadline) = item.deadline {
            context.set_timer(deadline, own)?;
        }
        context.put(Record::Item, own, &item.encode())?;
        Ok(item)
    }

    /// Removes the item and its timer.
    pub(crate) fn remove(&self, context: &mut Context<'_>, own: &[u8]) -> Outcome<()> {
        if let Some(timer) = self.timer() {
            context.cancel_timer(timer, own)?;
        }
        context.delete(Record::Item, own)?;
        Ok(())
    }

    /// The timer that ends the TTL: the command that wrote the item has set it.
    pub(crate) fn timer(&self) -> Option<Timer> {
        self.deadline.map(|deadline| Timer { deadline, index: Index(self.version.get()) })
    }

    /// Checks the version that a request expects. 0 expects nothing.
    pub(crate) fn expect_version(found: Option<&Self>, expected: u64) -> Result<(), Error> {
        let message = match found {
            _ if expected == 0 => return Ok(()),
            Some(item) if item.version.get() == expected => return Ok(()),
            Some(item) => format!("the version is {}, not {expected} as expected", item.version),
            None => format!("nothing is there, not version {expected} as expected"),
        };
        Err(Error::new(ErrorCode::Conflict, message))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(18 + self.value.len());
        bytes.push(FORMAT);
        bytes.push(if self.deadline.is_some() { EXPIRING } else { PLAIN });
        bytes.extend_from_slice(&self.version.get().to_le_bytes());
        if let Some(deadline) = self.deadline {
            bytes.extend_from_slice(&deadline.get().to_le_bytes());
        }
        bytes.extend_from_slice(&self.value);
        bytes
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, Failure> {
        let unreadable = || Failure::unreadable("item");
        let Some([FORMAT, flags, version @ ..]) = bytes.first_chunk::<10>() else {
            return Err(unreadable());
        };
        let (flags, version) = (*flags, Version(u64::from_le_bytes(*version)));
        let mut value = bytes.split_off(10);
        let deadline = match flags {
            PLAIN => None,
            EXPIRING => {
                let deadline = *value.first_chunk().ok_or_else(unreadable)?;
                value = value.split_off(8);
                Some(LogTime(u64::from_le_bytes(deadline)))
            }
            _ => return Err(unreadable()),
        };
        Ok(Self { version, deadline, value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_read_back(version: u64, deadline: Option<u64>, value: Vec<u8>) {
            let item = Item { version: Version(version), deadline: deadline.map(LogTime), value: value.into() };
            prop_assert_eq!(Item::decode(item.encode().into()).unwrap(), item);
        }

        /// Whatever is read as an item is what would be stored for it.
        #[test]
        fn any_bytes_are_an_item_or_an_error(flags in 0u8..3, rest: Vec<u8>) {
            let bytes = [&[FORMAT, flags], rest.as_slice()].concat();
            if let Ok(item) = Item::decode(bytes.clone().into()) {
                prop_assert_eq!(item.encode(), bytes);
            }
        }
    }

    /// The layout is persisted: this test changes only together with a new format.
    #[test]
    fn the_layout_is_pinned() {
        let mut item = Item { version: Version(5), deadline: None, value: Bytes::from_static(b"x") };
        assert_eq!(item.encode(), b"\x01\x00\x05\0\0\0\0\0\0\0x");
        item.deadline = Some(LogTime(7));
        assert_eq!(item.encode(), b"\x01\x01\x05\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0x");
    }
}
