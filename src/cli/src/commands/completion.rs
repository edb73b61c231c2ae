//! `synod completion`.

use std::io;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::exit::{Exit, Failure};
use crate::output::{Format, Printer};

/// Print a script that completes commands in a shell.
///
/// For bash, as an example: source <(synod completion bash)
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which shell.
    shell: Shell,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        // Into memory first: it is not told there when the reader has gone.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Arguments::command(), "synod", &mut script);
        Printer::new(Format::Table, io::stdout()).raw(&script)?;
        Ok(Exit::SUCCESS)
    }
}
