//! `synod counter`.

use serde::Serialize;
use synod_client::Counter;

use super::watching::{self, Reported, Since};
use crate::exit::{Exit, Failure};
use crate::output::Printing;
use crate::target::{Access, Target};

/// Counters: 64-bit signed numbers, which are 0 until they are set.
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
    /// Print the number.
    Get {
        /// The name of the counter.
        name: String,
    },
    /// Set the number.
    Set {
        /// The name of the counter.
        name: String,
        /// What to set it to.
        #[arg(allow_negative_numbers = true)]
        value: i64,
        /// Only if it is this number now; else fail with exit code 4.
        #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
        if_value: Option<i64>,
    },
    /// Add to the number, and print what it is then. It wraps around.
    Increment {
        /// The name of the counter.
        name: String,
        /// How much to add.
        #[arg(long, value_name = "NUMBER", default_value_t = 1, allow_negative_numbers = true)]
        by: i64,
    },
    /// Subtract from the number, and print what it is then. It wraps around.
    Decrement {
        /// The name of the counter.
        name: String,
        /// How much to subtract.
        #[arg(long, value_name = "NUMBER", default_value_t = 1, allow_negative_numbers = true)]
        by: i64,
    },
    /// Print every change, until Ctrl-C.
    Watch {
        /// The name of the counter.
        name: String,
        #[command(flatten)]
        from: Since,
    },
}

impl Verb {
    const fn name(&self) -> &String {
        match self {
            Self::Get { name }
            | Self::Set { name, .. }
            | Self::Increment { name, .. }
            | Self::Decrement { name, .. }
            | Self::Watch { name, .. } => name,
        }
    }
}

/// What a counter is, and was.
#[derive(Debug, Serialize)]
struct Number {
    value: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { target, access, printing, verb } = self;
        let run = async |group| {
            let counter = access.counter(&group, verb.name().clone());
            run(counter, verb, printing).await
        };
        target.using(&access.owner, None, run).await
    }
}

async fn run(counter: Counter, verb: Verb, printing: Printing) -> Result<Exit, Failure> {
    let number = match verb {
        Verb::Get { .. } => Number { value: counter.get().await?, previous: None },
        Verb::Set { value, if_value: None, .. } => {
            let previous = Some(counter.set(value).await?);
            printing.printer().answer(&Number { value, previous }, "")?;
            return Ok(Exit::SUCCESS);
        }
        Verb::Set { value, if_value: Some(expected), .. } => {
            counter.compare_and_set(expected, value).await?;
            printing.printer().answer(&Number { value, previous: Some(expected) }, "")?;
            return Ok(Exit::SUCCESS);
        }
        Verb::Increment { by, .. } => Number { value: counter.increment(by).await?, previous: None },
        Verb::Decrement { by, .. } => Number { value: counter.decrement(by).await?, previous: None },
        Verb::Watch { from, .. } => {
            let report = |change: synod_client::CounterChange| Reported {
                text: format!("{} (was {})", change.value, change.previous),
                record: Number { value: change.value, previous: Some(change.previous) },
            };
            watching::changes(from.apply(counter.events()), printing, report).await?;
            return Ok(Exit::SUCCESS);
        }
    };
    printing.printer().answer(&number, &number.value.to_string())?;
    Ok(Exit::SUCCESS)
}
