//! `cargo xtask`: the chores of the project. One file a chore.
//!
//! A chore that generates files has a `--check`, which changes nothing and fails if they are not current; a test
//! does the same, so that `cargo test` notices.

mod crds;
mod mutants;

use clap::{Parser, Subcommand};

/// The chores of the project.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Writes the custom resource definitions to crds/.
    Crds(crds::Arguments),
    /// Puts known bugs into a copy of the project and sees whether the tests find them.
    Mutants(mutants::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::Crds(arguments) => crds::run(&arguments),
        Chore::Mutants(arguments) => mutants::run(&arguments),
    }
}
