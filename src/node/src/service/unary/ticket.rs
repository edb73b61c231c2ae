//! The place of a write in a session, from the metadata of a call.

use synod_types::{Error, ErrorCode};
use tonic::metadata::MetadataMap;

/// The place of a write in a session; none, if all are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) session: u64,
    pub(crate) sequence: u64,
    pub(crate) acknowledged: u64,
}

impl Ticket {
    /// Reads the metadata of a call.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for what is not a decimal number from 1 on, and for a part without the others.
    pub(crate) fn of(metadata: &MetadataMap) -> Result<Self, Error> {
        let session = number(metadata, "synod-session")?;
        let sequence = number(metadata, "synod-sequence")?;
        let acknowledged = number(metadata, "synod-acknowledged")?;
        match (session, sequence) {
            (Some(session), Some(sequence)) => {
                Ok(Self { session, sequence, acknowledged: acknowledged.unwrap_or(0) })
            }
            (None, None) if acknowledged.is_none() => Ok(Self::default()),
            _ => {
                let message = "synod-session and synod-sequence belong together: give both or none";
                Err(Error::new(ErrorCode::Invalid, message))
            }
        }
    }

    /// Whether it is one.
    pub(crate) const fn is_of_a_session(self) -> bool {
        self.session != 0
    }
}

fn number(metadata: &MetadataMap, name: &str) -> Result<Option<u64>, Error> {
    let mut values = metadata.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number @ 1..) if is_decimal && values.next().is_none() => Ok(Some(number)),
        _ => {
            let shown: String = text.chars().take(32).collect();
            let message = format!("the metadata {name} is \"{shown}\": use one decimal number from 1 on");
            Err(Error::new(ErrorCode::Invalid, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(entries: &[(&'static str, &'static str)]) -> Result<Ticket, ErrorCode> {
        let mut metadata = MetadataMap::new();
        for (name, value) in entries {
            metadata.append(*name, value.parse().unwrap());
        }
        Ticket::of(&metadata).map_err(|error| error.code())
    }

    #[test]
    fn it_is_there_as_a_whole_or_not_at_all() {
        assert_eq!(ticket(&[]), Ok(Ticket::default()));
        let whole = Ticket { session: 7, sequence: 1, acknowledged: 0 };
        assert_eq!(ticket(&[("synod-session", "7"), ("synod-sequence", "1")]), Ok(whole));
        for part in ["synod-session", "synod-sequence", "synod-acknowledged"] {
            assert_eq!(ticket(&[(part, "7")]), Err(ErrorCode::Invalid));
        }
    }

    #[test]
    fn numbers_are_decimal_and_given_once() {
        for bad in ["", "0", "-1", "+1", "1.5", "0x1", "eins", "18446744073709551616"] {
            let entries = [("synod-session", bad), ("synod-sequence", "1")];
            assert_eq!(ticket(&entries), Err(ErrorCode::Invalid), "{bad}");
        }
        let twice = [("synod-session", "7"), ("synod-session", "8"), ("synod-sequence", "1")];
        assert_eq!(ticket(&twice), Err(ErrorCode::Invalid));
    }
}
