//! The binary `synod`.
//!
//! One binary is everything: the server (`node`), the operator that runs servers on Kubernetes (`operator`), a whole
//! group on one machine (`dev`), the load that measures it (`bench`), and the verbs with which people and scripts use
//! primitives. Each command is a module of its own; this file only picks one.

mod bench;
mod commands;
mod dev;
mod exit;
mod input;
mod kubectl;
mod logging;
mod node;
mod operator;
mod output;
mod progress;
mod target;

use std::process::ExitCode;

use clap::Parser;

/// What a server allocates is small, short-lived, and often freed by another thread than the one that asked for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Coordination for programs on Kubernetes: replicated maps, sets, counters, values, locks and elections.
#[derive(Parser)]
#[command(name = "synod", version, after_long_help = exit::HELP)]
struct Arguments {
    #[command(flatten)]
    logging: logging::Arguments,

    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    #[command(flatten)]
    Use(commands::Command),
    Bench(bench::Arguments),
    Dev(dev::Arguments),
    /// Run a node: the process that hosts replicas.
    Node(node::Arguments),
    /// Run the operator: keep groups and primitives on Kubernetes as they are declared.
    Operator(operator::Arguments),
}

fn main() -> ExitCode {
    if kubectl::is_called() {
        return kubectl::run();
    }
    let Arguments { logging, command } = Arguments::parse();
    logging.start(match command {
        Command::Use(_) | Command::Bench(_) => "warn",
        Command::Dev(_) | Command::Node(_) | Command::Operator(_) => "info",
    });
    let done = match command {
        Command::Use(command) => Ok(command.run()),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Dev(arguments) => dev::run(arguments),
        Command::Node(arguments) => node::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Operator(arguments) => operator::run(arguments).map(|()| ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
