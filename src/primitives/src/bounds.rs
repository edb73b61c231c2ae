//! What requests may hold. Every refusal names the field, what was sent and what is allowed.

use synod_types::{Error, ErrorCode, Limits};

use crate::Environment;

/// The longest TTL and the longest wait: ten years.
const LONGEST_MS: u64 = 10 * 365 * 86_400_000;

/// The key of a keyed primitive: its length, and that it lives on this partition.
pub(crate) fn key(environment: &Environment<'_>, what: &str, key: &str) -> Result<(), Error> {
    length(what, key.len(), 1, environment.limits.key_bytes)?;
    let placement = environment.placement;
    let home = placement.slots.partition_of(key.as_bytes());
    if home == placement.partition {
        return Ok(());
    }
    let message = format!("this {what} lives on partition {home}, not on {}", placement.partition);
    Err(Error::new(ErrorCode::WrongPartition, message))
}

/// The length of a value.
pub(crate) fn value(limits: &Limits, value: &[u8]) -> Result<(), Error> {
    length("value", value.len(), 0, limits.value_bytes)
}

/// A text that identifies something.
pub(crate) fn name(what: &str, text: &str, max_bytes: u64) -> Result<(), Error> {
    length(what, text.len(), 1, max_bytes)
}

/// A text that may be empty.
pub(crate) fn text(what: &str, text: &str, max_bytes: u64) -> Result<(), Error> {
    length(what, text.len(), 0, max_bytes)
}

/// A TTL.
pub(crate) fn ttl(ttl_ms: Option<u64>) -> Result<(), Error> {
    ttl_ms.map_or(Ok(()), |ttl_ms| duration("ttl_ms", ttl_ms, 1, LONGEST_MS))
}

/// A time to wait.
pub(crate) fn wait(max_wait_ms: Option<u64>) -> Result<(), Error> {
    max_wait_ms.map_or(Ok(()), |wait_ms| duration("max_wait_ms", wait_ms, 0, LONGEST_MS))
}

/// A duration, both bounds included.
pub(crate) fn duration(field: &str, sent_ms: u64, min_ms: u64, max_ms: u64) -> Result<(), Error> {
    if (min_ms..=max_ms).contains(&sent_ms) {
        return Ok(());
    }
    let message = format!("{field} is {sent_ms}: use {min_ms} to {max_ms}");
    Err(Error::new(ErrorCode::Invalid, message))
}

fn length(what: &str, bytes: usize, min: u64, max: u64) -> Result<(), Error> {
    let bytes = bytes as u64;
    if (min..=max).contains(&bytes) {
        return Ok(());
    }
    let message = if bytes < min {
        format!("the {what} is empty: use 1 to {max} bytes")
    } else {
        format!("the {what} has {bytes} bytes: use at most {max}")
    };
    Err(Error::new(ErrorCode::Invalid, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_are_allowed_and_what_lies_beyond_is_not() {
        for (ttl_ms, allowed) in [
            (None, true),
            (Some(0), false),
            (Some(1), true),
            (Some(LONGEST_MS), true),
            (Some(LONGEST_MS + 1), false),
        ] {
            assert_eq!(ttl(ttl_ms).is_ok(), allowed, "{ttl_ms:?}");
        }
        assert!(wait(Some(0)).is_ok());
        assert_eq!(ttl(Some(0)).unwrap_err().message(), "ttl_ms is 0: use 1 to 315360000000");
        for (bytes, allowed) in [(0, false), (1, true), (3, true), (4, false)] {
            assert_eq!(name("candidate", &"x".repeat(bytes), 3).is_ok(), allowed, "{bytes}");
        }
        assert_eq!(
            name("candidate", "", 3).unwrap_err().message(),
            "the candidate is empty: use 1 to 3 bytes"
        );
        assert_eq!(
            text("metadata", "four", 3).unwrap_err().message(),
            "the metadata has 4 bytes: use at most 3"
        );
    }
}
