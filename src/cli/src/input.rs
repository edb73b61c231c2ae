//! What is read from arguments and standard input: values, durations.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::fmt::friendly::SpanParser;

use crate::exit::{Exit, Failure};

/// The most that is read from standard input. No group takes values nearly as great.
const STDIN_BYTES_MAX: usize = 64 << 20;

/// Reads a duration, as in "5s", "1m 30s", "500ms".
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |_| "use a number with a unit, as in \"500ms\", \"5s\", \"1m30s\" or \"2h\"".to_owned();
    SpanParser::new().parse_unsigned_duration(text).map_err(wrong)
}

/// Reads the text of a file.
pub(crate) fn text_of_file(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("it cannot be read: {error}"))
}

/// A time to live.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct TimeToLive {
    /// Remove it again after this long, as in "5s", unless it is written before.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
}

/// A value to write.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct ValueArgument {
    /// The value; "-" reads it from standard input, to its end and as it is.
    value: OsString,

    /// The value is base64.
    #[arg(long)]
    base64: bool,
}

impl ValueArgument {
    /// The bytes that are meant.
    pub(crate) fn read(self) -> Result<Bytes, Failure> {
        let Self { value, base64 } = self;
        let bytes = if value == "-" { read_all(io::stdin().lock())? } else { value.into_vec() };
        if !base64 {
            return Ok(bytes.into());
        }
        let decoded = STANDARD.decode(bytes.trim_ascii());
        decoded.map(Bytes::from).map_err(|error| {
            Failure::usage(format!("the value is not base64: {error}"))
                .hint("leave --base64 out to write it as it is")
        })
    }
}

/// A file with a manifest.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct ManifestArgument {
    /// A YAML or JSON file; "-" reads standard input.
    file: OsString,
}

impl ManifestArgument {
    /// The text of the manifest.
    pub(crate) fn read(self) -> Result<String, Failure> {
        let name = String::from_utf8_lossy(self.file.as_bytes()).into_owned();
        let bytes = match self.file.to_str() {
            Some("-") => read_all(io::stdin().lock())?,
            _ => std::fs::read(&self.file)
                .map_err(|error| Failure::usage(format!("cannot read the file {name:?}: {error}")))?,
        };
        String::from_utf8(bytes)
            .map_err(|_| Failure::usage(format!("{name:?} is no text, but should be YAML")))
    }
}

fn read_all(from: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(STDIN_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    from.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(Exit::FAULT, format!("standard input cannot be read: {error}")))?;
    if bytes.len() > STDIN_BYTES_MAX {
        let message = format!("standard input holds more than {STDIN_BYTES_MAX} bytes, which no group takes");
        return Err(Failure::usage(message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "5", "s", "-5s", "5 parsecs", "99999999999999999999h"] {
            assert!(duration(bad).unwrap_err().contains("\"5s\""), "{bad}");
        }
    }

    #[test]
    fn values_are_taken_as_they_are_or_decoded() {
        let value =
            |value: &[u8], base64| ValueArgument { value: OsString::from_vec(value.to_vec()), base64 };
        assert_eq!(value(b"\xff 1", false).read().unwrap(), &b"\xff 1"[..]);
        assert_eq!(value(b"", false).read().unwrap(), &b""[..]);
        assert_eq!(value(b"/w==", true).read().unwrap(), &b"\xff"[..]);
        assert_eq!(value(b"no!", true).read().unwrap_err().exit, Exit::USAGE);
    }

    #[test]
    fn standard_input_is_bounded() {
        let endless = read_all(io::repeat(b'x')).unwrap_err();
        assert_eq!(endless.exit, Exit::USAGE);
        assert_eq!(read_all(&b"to the end\n"[..]).unwrap(), b"to the end\n");
    }
}
