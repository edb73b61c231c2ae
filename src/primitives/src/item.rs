//! The stored form of an item with a version and perhaps a TTL: what values, maps and sets keep.

use synod_types::Version;

use crate::context::Failure;
use crate::keys::TimerKey;

const FORMAT: u8 = 1;
const PLAIN: u8 = 0;
const WITH_TIMER: u8 = 1;

/// A borrowed view of a stored item.
///
/// Layout: format(1) flags(1) version(8, little-endian) [timer key(20)] value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    pub(crate) version: Version,
    /// The timer that will expire it.
    pub(crate) timer: Option<TimerKey>,
    pub(crate) value: &'a [u8],
}

impl<'a> Item<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(10 + TimerKey::LEN + self.value.len());
        bytes.push(FORMAT);
        bytes.push(if self.timer.is_some() { WITH_TIMER } else { PLAIN });
        bytes.extend_from_slice(&self.version.get().to_le_bytes());
        if let Some(timer) = self.timer {
            bytes.extend_from_slice(&timer.encode());
        }
        bytes.extend_from_slice(self.value);
        bytes
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Failure> {
        let unreadable = || Failure::unreadable("item");
        let Some(([FORMAT, flags, version @ ..], rest)) = bytes.split_first_chunk::<10>() else {
            return Err(unreadable());
        };
        let version = Version(u64::from_le_bytes(*version));
        match *flags {
            PLAIN => Ok(Self {
                version,
                timer: None,
                value: rest,
            }),
            WITH_TIMER => {
                let (timer, value) = rest
                    .split_first_chunk::<{ TimerKey::LEN }>()
                    .ok_or_else(unreadable)?;
                let timer = TimerKey::decode(timer).ok_or_else(unreadable)?;
                Ok(Self {
                    version,
                    timer: Some(timer),
                    value,
                })
            }
            _ => Err(unreadable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use synod_types::{Index, LogTime};

    use super::*;

    proptest! {
        #[test]
        fn items_read_back(version: u64, timer: Option<(u64, u64, u32)>, value: Vec<u8>) {
            let timer = timer.map(|(deadline, index, ordinal)| TimerKey {
                deadline: LogTime(deadline), index: Index(index), ordinal,
            });
            let item = Item { version: Version(version), timer, value: &value };
            let stored = item.encode();
            prop_assert_eq!(Item::decode(&stored).unwrap(), item);
        }

        #[test]
        fn any_bytes_are_an_item_or_an_error(bytes: Vec<u8>) {
            let _ = Item::decode(&bytes);
        }
    }

    /// The layout is persisted: this test changes only together with a new format.
    #[test]
    fn the_layout_is_pinned() {
        let item = Item {
            version: Version(5),
            timer: None,
            value: b"x",
        };
        assert_eq!(item.encode(), b"\x01\x00\x05\0\0\0\0\0\0\0x");
    }
}
