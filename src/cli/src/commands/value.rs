//! `synod value`.

use serde::Serialize;
use synod_client::{Value, ValueChange, Versioned};

use super::records::{Condition, Done, Gone, Show};
use super::watching::{self, Reported, Since};
use crate::exit::{Exit, Failure};
use crate::input::{TimeToLive, ValueArgument};
use crate::output::{self, Encoding, Printing};
use crate::target::{Access, Target};

/// Values: one byte string each, with a version, which may be not set.
#[derive(clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    printing: Printing,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Print what it is; exit code 3 if it is not set.
    Get {
        /// The name of the value.
        name: String,
        #[command(flatten)]
        show: Show,
    },
    /// Set it, whatever it was.
    Set {
        /// The name of the value.
        name: String,
        #[command(flatten)]
        value: ValueArgument,
        #[command(flatten)]
        ttl: TimeToLive,
    },
    /// Set it if it is not set; exit code 4 if it is.
    Insert {
        /// The name of the value.
        name: String,
        #[command(flatten)]
        value: ValueArgument,
        #[command(flatten)]
        ttl: TimeToLive,
    },
    /// Set it if it is set; exit code 3 if it is not.
    Update {
        /// The name of the value.
        name: String,
        #[command(flatten)]
        value: ValueArgument,
        #[command(flatten)]
        ttl: TimeToLive,
        #[command(flatten)]
        condition: Condition,
    },
    /// Unset it, if it is set.
    Delete {
        /// The name of the value.
        name: String,
        #[command(flatten)]
        condition: Condition,
    },
    /// Print every change, until Ctrl-C.
    Watch {
        /// The name of the value.
        name: String,
        #[command(flatten)]
        from: Since,
        #[command(flatten)]
        encoding: Encoding,
    },
}

impl Verb {
    const fn name(&self) -> &String {
        match self {
            Self::Get { name, .. }
            | Self::Set { name, .. }
            | Self::Insert { name, .. }
            | Self::Update { name, .. }
            | Self::Delete { name, .. }
            | Self::Watch { name, .. } => name,
        }
    }
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { target, access, printing, verb } = self;
        let run = async |group| {
            let value = access.value(&group, verb.name().clone());
            run(value, verb, printing).await
        };
        target.using(&access.owner, None, run).await?;
        Ok(Exit::SUCCESS)
    }
}

async fn run(handle: Value, verb: Verb, printing: Printing) -> Result<(), Failure> {
    let mut printer = printing.printer();
    let done = match verb {
        Verb::Get { name, show } => {
            let found = handle.get().await?;
            let found = found.ok_or_else(|| Failure::not_found(format!("the value {name:?} is not set")))?;
            return show.print(printing, &found);
        }
        Verb::Set { value, ttl, .. } => {
            let mut set = handle.set(value.read()?);
            if let Some(ttl) = ttl.ttl {
                set = set.ttl(ttl);
            }
            Done::new(&set.await?)
        }
        Verb::Insert { value, ttl, .. } => {
            let mut insert = handle.insert(value.read()?);
            if let Some(ttl) = ttl.ttl {
                insert = insert.ttl(ttl);
            }
            Done::created(insert.await?)
        }
        Verb::Update { value, ttl, condition, .. } => {
            let mut update = handle.update(value.read()?);
            if let Some(ttl) = ttl.ttl {
                update = update.ttl(ttl);
            }
            if let Some(version) = condition.if_version {
                update = update.if_version(version);
            }
            Done::new(&update.await?)
        }
        Verb::Delete { condition, .. } => {
            let mut delete = handle.delete();
            if let Some(version) = condition.if_version {
                delete = delete.if_version(version);
            }
            return printer.answer(&Gone::new(delete.await?.as_ref()), "");
        }
        Verb::Watch { from, encoding, .. } => {
            let report = |change| report(change, encoding);
            return watching::changes(from.apply(handle.events()), printing, report).await;
        }
    };
    printer.answer(&done, "")
}

#[derive(Serialize)]
struct Record {
    event: &'static str,
    #[serde(flatten)]
    value: output::Versioned,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<output::Versioned>,
}

fn report(change: ValueChange, encoding: Encoding) -> Reported<Record> {
    let (event, value, previous): (_, Versioned, Option<Versioned>) = match change {
        ValueChange::Created { value } => ("created", value, None),
        ValueChange::Updated { value, previous } => ("updated", value, Some(previous)),
        ValueChange::Deleted { value, expired: true } => ("expired", value, None),
        ValueChange::Deleted { value, expired: false } => ("deleted", value, None),
    };
    let mut text = format!("{event} {}", encoding.word(&value.value));
    if let Some(previous) = &previous {
        text.push_str(&format!(" (was {})", encoding.word(&previous.value)));
    }
    let previous = previous.map(|previous| encoding.versioned(&previous));
    Reported { text, record: Record { event, value: encoding.versioned(&value), previous } }
}

#[cfg(test)]
mod tests {
    use synod_client::Version;

    use super::*;

    #[test]
    fn each_change_is_a_line() {
        let versioned =
            |value: &'static str, version| Versioned { value: value.into(), version: Version(version) };
        let line = |change| report(change, Encoding::default()).text;
        assert_eq!(line(ValueChange::Created { value: versioned("1", 4) }), "created 1");
        let updated = ValueChange::Updated { value: versioned("2", 5), previous: versioned("1", 4) };
        assert_eq!(line(updated), "updated 2 (was 1)");
        assert_eq!(line(ValueChange::Deleted { value: versioned("2", 5), expired: false }), "deleted 2");
        assert_eq!(line(ValueChange::Deleted { value: versioned("2", 5), expired: true }), "expired 2");
    }
}
