//! A place in a stream of events, to go on from.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use synod_types::{ErrorCode, PartitionId, Position};

use crate::error::Error;

/// How far a stream of events has come, on each partition that it watches. A later stream goes on from there, in another
/// process as well: a cursor is written as text and read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    positions: BTreeMap<PartitionId, Position>,
}

impl Cursor {
    /// The position on a partition; none if the stream does not watch it.
    pub fn position(&self, partition: PartitionId) -> Option<Position> {
        self.positions.get(&partition).copied()
    }

    pub(crate) fn set(&mut self, partition: PartitionId, position: Position) {
        self.positions.insert(partition, position);
    }
}

impl fmt::Display for Cursor {
    /// `partition:position` for each partition, with commas between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (partition, position)) in self.positions.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{partition}:{position}")?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut cursor = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let pair = part.split_once(':').and_then(|(partition, position)| {
                Some((PartitionId(partition.parse().ok()?), Position(position.parse().ok()?)))
            });
            let (partition, position) = pair.ok_or_else(|| {
                let message =
                    format!("\"{part}\" is no part of a cursor: use partition:position, as in \"0:17,1:4\"");
                Error::new(ErrorCode::Invalid, message)
            })?;
            cursor.set(partition, position);
        }
        Ok(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_as_text() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        cursor.set(PartitionId(2), Position(9));
        cursor.set(PartitionId(0), Position(17));
        assert_eq!(cursor.to_string(), "0:17,2:9");
        assert_eq!("0:17,2:9".parse::<Cursor>().unwrap(), cursor);
        for bad in ["17", "a:1", "1:b", "1:2;3:4", "-1:2"] {
            assert_eq!(bad.parse::<Cursor>().unwrap_err().code(), ErrorCode::Invalid, "{bad}");
        }
    }
}
