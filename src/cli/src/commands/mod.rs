//! The verbs with which people and scripts use a group: `synod <kind> <verb> <name> [arguments]`.
//!
//! One module for each kind of thing. What must not go here: anything that the client crate does not offer to every
//! program.

mod completion;
mod counter;
mod description;
mod election;
mod group;
mod guardian;
mod held;
mod lock;
mod lock_events;
mod map;
mod member;
mod primitive;
mod records;
mod set;
mod status;
mod value;
mod watching;

use std::process::ExitCode;

use crate::exit::{Exit, Failure};

/// What can be used.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Counter(counter::Arguments),
    Value(value::Arguments),
    Map(map::Arguments),
    Set(set::Arguments),
    Lock(lock::Arguments),
    Election(election::Arguments),
    Status(status::Arguments),
    Group(group::Arguments),
    Primitive(primitive::Arguments),
    Member(member::Arguments),
    Completion(completion::Arguments),
    #[command(hide = true)]
    Guardian(guardian::Arguments),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done = match runtime {
            Ok(runtime) => runtime.block_on(self.execute()),
            Err(error) => Err(Failure::new(Exit::FAULT, format!("cannot start: {error}"))),
        };
        done.unwrap_or_else(|failure| failure.report()).into()
    }

    async fn execute(self) -> Result<Exit, Failure> {
        match self {
            Self::Counter(arguments) => arguments.run().await,
            Self::Value(arguments) => arguments.run().await,
            Self::Map(arguments) => arguments.run().await,
            Self::Set(arguments) => arguments.run().await,
            Self::Lock(arguments) => arguments.run().await,
            Self::Election(arguments) => arguments.run().await,
            Self::Status(arguments) => arguments.run().await,
            Self::Group(arguments) => arguments.run().await,
            Self::Primitive(arguments) => arguments.run().await,
            Self::Member(arguments) => arguments.run().await,
            Self::Completion(arguments) => arguments.run(),
            Self::Guardian(arguments) => arguments.run().await,
        }
    }
}
