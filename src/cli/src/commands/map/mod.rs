//! `synod map`.

mod watch;
mod write;

use futures::TryStreamExt as _;
use serde::Serialize;
use synod_client::{Entry, Map};

use super::records::{Cleared, Count, Show};
use crate::exit::{Exit, Failure};
use crate::output::{Encoding, Printing, Row, Shown};
use crate::target::{Access, Target};

/// Maps: byte strings under string keys, each with a version.
///
/// A map is spread over all partitions of the group by key. Keys are 1 to 4096 bytes and values up to 1 MiB, if the group
/// has the usual limits.
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
    /// Print what is under a key; exit code 3 if nothing is.
    Get {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        show: Show,
    },
    #[command(flatten)]
    Write(write::Verb),
    /// Print the entries in the order of their keys.
    List {
        /// The name of the map.
        name: String,
        /// Only entries whose keys start with this.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        prefix: String,
        /// At most this many.
        #[arg(long, value_name = "NUMBER")]
        limit: Option<usize>,
        #[command(flatten)]
        encoding: Encoding,
    },
    /// Print how many entries there are.
    Len {
        /// The name of the map.
        name: String,
    },
    /// Remove every entry.
    Clear {
        /// The name of the map.
        name: String,
    },
    /// Print every change, until Ctrl-C.
    Watch(watch::Arguments),
}

/// A key of a map.
#[derive(clap::Args)]
#[group(skip)]
struct At {
    /// The name of the map.
    name: String,
    /// The key.
    key: String,
}

/// An entry, as it is listed.
#[derive(Serialize)]
struct Listed {
    key: String,
    #[serde(flatten)]
    value: Shown,
    version: u64,
    #[serde(skip)]
    text: String,
}

impl Listed {
    fn new(entry: Entry, encoding: Encoding) -> Self {
        let Entry { key, value, version } = entry;
        Self { key, value: encoding.shown(&value), version: version.get(), text: encoding.text(&value) }
    }
}

impl Row for Listed {
    const HEAD: &'static [&'static str] = &["KEY", "VERSION", "VALUE"];

    fn cells(&self) -> Vec<String> {
        vec![Encoding::default().text(self.key.as_bytes()), self.version.to_string(), self.text.clone()]
    }
}

impl Verb {
    const fn name(&self) -> &String {
        match self {
            Self::Get { at, .. } => &at.name,
            Self::Write(write) => write.name(),
            Self::List { name, .. } | Self::Len { name } | Self::Clear { name } => name,
            Self::Watch(watch) => watch.name(),
        }
    }
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { target, access, printing, verb } = self;
        let run = async |group| {
            let map = access.map(&group, verb.name().clone());
            run(map, verb, printing).await
        };
        target.using(&access.owner, None, run).await
    }
}

async fn run(map: Map, verb: Verb, printing: Printing) -> Result<Exit, Failure> {
    let mut printer = printing.printer();
    match verb {
        Verb::Get { at: At { name, key }, show } => {
            let Some(found) = map.get(key.as_str()).await? else {
                return Err(Failure::not_found(format!(
                    "nothing is under the key {key:?} of the map {name:?}"
                )));
            };
            show.print(printing, &found)?;
        }
        Verb::Write(write) => write.run(map, printing).await?,
        Verb::List { prefix, limit, encoding, .. } => {
            let mut rows = printer.rows()?;
            let mut entries = map.entries_with_prefix(prefix);
            for _ in 0..limit.unwrap_or(usize::MAX) {
                let Some(entry) = entries.try_next().await? else { break };
                rows.push(&Listed::new(entry, encoding))?;
            }
            rows.end()?;
        }
        Verb::Len { .. } => {
            let count = map.len().await?;
            printer.answer(&Count { count }, &count.to_string())?;
        }
        Verb::Clear { .. } => printer.answer(&Cleared { removed: map.clear().await? }, "")?,
        Verb::Watch(watch) => watch.run(&map, printing).await?,
    }
    Ok(Exit::SUCCESS)
}
