//! `synod map watch`.

use serde::Serialize;
use synod_client::{Entry, Map, MapChange, Versioned};

use crate::commands::watching::{self, Reported};
use crate::exit::Failure;
use crate::output::{self, Encoding, Printing, quoted};

/// Print every change, until Ctrl-C.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// The name of the map.
    name: String,
    /// Only of this key.
    #[arg(long, value_name = "KEY", conflicts_with = "prefix")]
    key: Option<String>,
    /// Only of keys that start with this.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Print what is there first, and again after changes were missed.
    #[arg(long, conflicts_with_all = ["from", "key"])]
    initial: bool,
    #[command(flatten)]
    from: watching::Since,
    #[command(flatten)]
    encoding: Encoding,
}

#[derive(Serialize)]
struct Record {
    event: &'static str,
    key: String,
    #[serde(flatten)]
    value: output::Versioned,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<output::Versioned>,
}

impl Arguments {
    pub(super) const fn name(&self) -> &String {
        &self.name
    }

    pub(super) async fn run(self, map: &Map, printing: Printing) -> Result<(), Failure> {
        let Self { key, prefix, initial, from, encoding, .. } = self;
        if initial {
            let watched = map.watch_prefix(prefix.as_deref().unwrap_or_default());
            let present = |entry| present(entry, encoding);
            return watching::state(watched, printing, present, |change| report(change, encoding)).await;
        }
        let mut events = from.apply(map.events());
        if let Some(key) = key {
            events = events.key(key);
        }
        if let Some(prefix) = prefix {
            events = events.prefix(prefix);
        }
        watching::changes(events, printing, |change| report(change, encoding)).await
    }
}

fn present(Entry { key, value, version }: Entry, encoding: Encoding) -> Reported<Record> {
    reported("present", key, &Versioned { value, version }, None, encoding)
}

fn report(change: MapChange, encoding: Encoding) -> Reported<Record> {
    match change {
        MapChange::Inserted { key, value } => reported("inserted", key, &value, None, encoding),
        MapChange::Updated { key, value, previous } => {
            reported("updated", key, &value, Some(&previous), encoding)
        }
        MapChange::Removed { key, value, expired } => {
            reported(if expired { "expired" } else { "removed" }, key, &value, None, encoding)
        }
    }
}

fn reported(
    event: &'static str,
    key: String,
    value: &Versioned,
    previous: Option<&Versioned>,
    encoding: Encoding,
) -> Reported<Record> {
    let mut text = format!("{event} {} {}", quoted(&key), encoding.word(&value.value));
    if let Some(previous) = previous {
        text.push_str(&format!(" (was {})", encoding.word(&previous.value)));
    }
    let previous = previous.map(|previous| encoding.versioned(previous));
    Reported { text, record: Record { event, key, value: encoding.versioned(value), previous } }
}

#[cfg(test)]
mod tests {
    use synod_client::Version;

    use super::*;

    fn versioned(value: &'static [u8], version: u64) -> Versioned {
        Versioned { value: value.into(), version: Version(version) }
    }

    #[test]
    fn each_change_is_a_line_and_a_record() {
        let changes = [
            (MapChange::Inserted { key: "a".into(), value: versioned(b"1", 4) }, "inserted a 1"),
            (
                MapChange::Updated {
                    key: "a".into(),
                    value: versioned(b"two words", 5),
                    previous: versioned(b"\xff", 4),
                },
                r#"updated a "two words" (was b"\xff")"#,
            ),
            (
                MapChange::Removed { key: "new\nline".into(), value: versioned(b"", 5), expired: false },
                r#"removed "new\nline" """#,
            ),
            (MapChange::Removed { key: "a".into(), value: versioned(b"1", 5), expired: true }, "expired a 1"),
        ];
        for (change, line) in changes {
            let reported = report(change, Encoding::default());
            assert_eq!(reported.text, line);
            let json = serde_json::to_value(&reported.record).unwrap();
            assert!(line.starts_with(json["event"].as_str().unwrap()), "{json}");
        }
    }

    #[test]
    fn a_record_holds_what_a_program_needs() {
        let change = MapChange::Updated {
            key: "a".into(),
            value: versioned(b"2", 5),
            previous: versioned(b"\xff", 4),
        };
        let json = serde_json::to_value(report(change, Encoding::default()).record).unwrap();
        let expected = serde_json::json!({
            "event": "updated", "key": "a", "value": "2", "version": 5,
            "previous": { "value_base64": "/w==", "version": 4 }
        });
        assert_eq!(json, expected);
    }
}
