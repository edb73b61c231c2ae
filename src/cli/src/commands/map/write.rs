//! The verbs that write one entry.

use synod_client::Map;

use super::At;
use crate::commands::records::{Condition, Done, Gone};
use crate::exit::Failure;
use crate::input::{TimeToLive, ValueArgument};
use crate::output::Printing;

#[derive(clap::Subcommand)]
pub(super) enum Verb {
    /// Set what is under a key, whatever was there.
    Put {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        value: ValueArgument,
        #[command(flatten)]
        ttl: TimeToLive,
        #[command(flatten)]
        condition: Condition,
    },
    /// Set what is under a key under which nothing is; exit code 4 if something is.
    Insert {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        value: ValueArgument,
        #[command(flatten)]
        ttl: TimeToLive,
    },
    /// Set what is under a key under which something is; exit code 3 if nothing is.
    Update {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        value: ValueArgument,
        #[command(flatten)]
        ttl: TimeToLive,
        #[command(flatten)]
        condition: Condition,
    },
    /// Remove what is under a key, if anything is.
    Remove {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        condition: Condition,
    },
}

impl Verb {
    pub(super) const fn name(&self) -> &String {
        match self {
            Self::Put { at, .. }
            | Self::Insert { at, .. }
            | Self::Update { at, .. }
            | Self::Remove { at, .. } => &at.name,
        }
    }

    pub(super) async fn run(self, map: Map, printing: Printing) -> Result<(), Failure> {
        let mut printer = printing.printer();
        let done = match self {
            Self::Put { at, value, ttl, condition } => {
                let mut put = map.put(at.key, value.read()?);
                if let Some(ttl) = ttl.ttl {
                    put = put.ttl(ttl);
                }
                if let Some(version) = condition.if_version {
                    put = put.if_version(version);
                }
                Done::new(&put.await?)
            }
            Self::Insert { at, value, ttl } => {
                let mut insert = map.insert(at.key, value.read()?);
                if let Some(ttl) = ttl.ttl {
                    insert = insert.ttl(ttl);
                }
                Done::created(insert.await?)
            }
            Self::Update { at, value, ttl, condition } => {
                let mut update = map.update(at.key, value.read()?);
                if let Some(ttl) = ttl.ttl {
                    update = update.ttl(ttl);
                }
                if let Some(version) = condition.if_version {
                    update = update.if_version(version);
                }
                Done::new(&update.await?)
            }
            Self::Remove { at, condition } => {
                let mut remove = map.remove(at.key);
                if let Some(version) = condition.if_version {
                    remove = remove.if_version(version);
                }
                return printer.answer(&Gone::new(remove.await?.as_ref()), "");
            }
        };
        printer.answer(&done, "")
    }
}
