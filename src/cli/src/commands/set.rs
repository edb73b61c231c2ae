//! `synod set`.

use futures::TryStreamExt as _;
use serde::Serialize;
use synod_client::{Set, SetChange};

use super::records::{Cleared, Count};
use super::watching::{self, Reported, Since};
use crate::exit::{Exit, Failure};
use crate::input::TimeToLive;
use crate::output::{Encoding, Printing, Row, quoted};
use crate::target::{Access, Target};

/// Sets of distinct strings.
///
/// A set is spread over all partitions of the group. Elements are 1 to 4096 bytes, if the group has the usual limits.
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
    /// Add an element, if it is not there. One that is there keeps the time that it has.
    Add {
        #[command(flatten)]
        item: Item,
        #[command(flatten)]
        ttl: TimeToLive,
    },
    /// Remove an element, if it is there.
    Remove {
        #[command(flatten)]
        item: Item,
    },
    /// Print whether an element is there: "true", or "false" with exit code 4.
    Contains {
        #[command(flatten)]
        item: Item,
    },
    /// Print the elements in their order.
    List {
        /// The name of the set.
        name: String,
        /// Only elements that start with this.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        prefix: String,
        /// At most this many.
        #[arg(long, value_name = "NUMBER")]
        limit: Option<usize>,
    },
    /// Print how many elements there are.
    Len {
        /// The name of the set.
        name: String,
    },
    /// Remove every element.
    Clear {
        /// The name of the set.
        name: String,
    },
    /// Print every change, until Ctrl-C.
    Watch {
        /// The name of the set.
        name: String,
        /// Only of this element.
        #[arg(long, value_name = "ELEMENT", conflicts_with = "prefix")]
        element: Option<String>,
        /// Only of elements that start with this.
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        /// Print what is there first, and again after changes were missed.
        #[arg(long, conflicts_with_all = ["from", "element", "prefix"])]
        initial: bool,
        #[command(flatten)]
        from: Since,
    },
}

/// An element of a set.
#[derive(clap::Args)]
#[group(skip)]
struct Item {
    /// The name of the set.
    name: String,
    /// The element.
    element: String,
}

#[derive(Serialize)]
struct Added {
    added: bool,
}

#[derive(Serialize)]
struct Removed {
    removed: bool,
}

#[derive(Serialize)]
struct Contained {
    contained: bool,
}

/// An element, as it is listed.
#[derive(Serialize)]
#[serde(transparent)]
struct Listed(String);

impl Row for Listed {
    const HEAD: &'static [&'static str] = &["ELEMENT"];

    fn cells(&self) -> Vec<String> {
        vec![Encoding::default().text(self.0.as_bytes())]
    }
}

impl Verb {
    const fn name(&self) -> &String {
        match self {
            Self::Add { item, .. } | Self::Remove { item } | Self::Contains { item } => &item.name,
            Self::List { name, .. } | Self::Len { name } | Self::Clear { name } => name,
            Self::Watch { name, .. } => name,
        }
    }
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { target, access, printing, verb } = self;
        let run = async |group| {
            let set = access.set(&group, verb.name().clone());
            run(set, verb, printing).await
        };
        target.using(&access.owner, None, run).await
    }
}

async fn run(set: Set, verb: Verb, printing: Printing) -> Result<Exit, Failure> {
    let mut printer = printing.printer();
    match verb {
        Verb::Add { item, ttl } => {
            let mut add = set.add(item.element);
            if let Some(ttl) = ttl.ttl {
                add = add.ttl(ttl);
            }
            printer.answer(&Added { added: add.await? }, "")?;
        }
        Verb::Remove { item } => {
            printer.answer(&Removed { removed: set.remove(item.element).await? }, "")?;
        }
        Verb::Contains { item } => {
            let contained = set.contains(item.element).await?;
            printer.answer(&Contained { contained }, &contained.to_string())?;
            return Ok(if contained { Exit::SUCCESS } else { Exit::CONDITION });
        }
        Verb::List { prefix, limit, .. } => {
            let mut rows = printer.rows()?;
            let mut elements = set.elements_with_prefix(prefix);
            for _ in 0..limit.unwrap_or(usize::MAX) {
                let Some(element) = elements.try_next().await? else { break };
                rows.push(&Listed(element))?;
            }
            rows.end()?;
        }
        Verb::Len { .. } => {
            let count = set.len().await?;
            printer.answer(&Count { count }, &count.to_string())?;
        }
        Verb::Clear { .. } => printer.answer(&Cleared { removed: set.clear().await? }, "")?,
        Verb::Watch { initial: true, .. } => {
            let present = |element| reported("present", element);
            watching::state(set.watch(), printing, present, report).await?;
        }
        Verb::Watch { element, prefix, from, .. } => {
            let mut events = from.apply(set.events());
            if let Some(element) = element {
                events = events.element(element);
            }
            if let Some(prefix) = prefix {
                events = events.prefix(prefix);
            }
            watching::changes(events, printing, report).await?;
        }
    }
    Ok(Exit::SUCCESS)
}

#[derive(Serialize)]
struct Record {
    event: &'static str,
    element: String,
}

fn report(change: SetChange) -> Reported<Record> {
    match change {
        SetChange::Added { element } => reported("added", element),
        SetChange::Removed { element, expired: true } => reported("expired", element),
        SetChange::Removed { element, expired: false } => reported("removed", element),
    }
}

fn reported(event: &'static str, element: String) -> Reported<Record> {
    Reported { text: format!("{event} {}", quoted(&element)), record: Record { event, element } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_a_line() {
        let line = |change| report(change).text;
        assert_eq!(line(SetChange::Added { element: "a".into() }), "added a");
        assert_eq!(line(SetChange::Removed { element: "a b".into(), expired: false }), "removed \"a b\"");
        assert_eq!(line(SetChange::Removed { element: "a".into(), expired: true }), "expired a");
    }
}
