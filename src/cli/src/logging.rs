//! Logs, on standard error: for people, or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How to log.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// What to log: error, warn, info, debug or trace, also by module, as in "info,synod_node=debug". If nothing is
    /// said, servers log "info" and all else "warn".
    #[arg(long, global = true, value_name = "FILTER", env = "SYNOD_LOG", help_heading = "Output")]
    log: Option<String>,

    /// How to log: text for people, json for machines.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "SYNOD_LOG_FORMAT",
        default_value = "text",
        help_heading = "Output"
    )]
    log_format: Format,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Arguments {
    /// Starts logging, with a filter if none is said. One that cannot be read is replaced by it, and said to be.
    pub(crate) fn start(&self, default: &'static str) {
        let wanted = self.log.as_deref().filter(|filter| !filter.is_empty()).unwrap_or(default);
        let (filter, problem) = match EnvFilter::try_new(wanted) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(default), Some(error)),
        };
        // Where standard error is gone, saying so there would panic.
        let builder = tracing_subscriber::fmt().log_internal_errors(false);
        let builder = builder.with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
            Format::Json => builder.json().init(),
        }
        if let Some(error) = problem {
            tracing::warn!(filter = wanted, default, %error, "the log filter cannot be read: the default is used");
        }
    }
}
