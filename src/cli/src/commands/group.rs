//! `synod group`.

use super::description::{Group, MemberRow};
use crate::exit::{Exit, Failure};
use crate::input::ManifestArgument;
use crate::output::Printing;
use crate::target::Target;

/// Groups of partitions.
#[derive(clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    printing: Printing,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Print the groups of the namespace.
    List {
        /// Of all namespaces.
        #[arg(long, short = 'A')]
        all_namespaces: bool,
    },
    /// Print a group.
    Get {
        /// The name of the group, if it is not said otherwise.
        name: Option<String>,
    },
    /// Print every member of a group; exit code 5 if the group is not ready.
    Status {
        /// The name of the group, if it is not said otherwise.
        name: Option<String>,
    },
    /// Create a group.
    Create {
        #[command(flatten)]
        manifest: ManifestArgument,
    },
    /// Delete a group with all that it holds, for good.
    Delete {
        /// The name of the group.
        name: String,
    },
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { target, printing, verb } = self;
        let mut printer = printing.printer();
        match verb {
            Verb::List { all_namespaces } => {
                let groups = target.groups(all_namespaces).await?;
                let groups: Vec<_> = groups.into_iter().map(Group::from).collect();
                printer.table(&groups, &groups)?;
            }
            Verb::Get { name } => {
                let group = Group::from(target.with_group_name(name).describe().await?);
                printer.table(&group, std::slice::from_ref(&group))?;
            }
            Verb::Status { name } => {
                let group = Group::from(target.with_group_name(name).describe().await?);
                let rows: Vec<_> = MemberRow::all(&group).collect();
                printer.table(&group, &rows)?;
                return Ok(if group.ready { Exit::SUCCESS } else { Exit::UNAVAILABLE });
            }
            Verb::Create { manifest } => {
                let manifest = manifest.read()?;
                let created =
                    target.ask(async |controller, _| controller.create_group(manifest).await).await?;
                printer.answer(&Group::from(created), "")?;
            }
            Verb::Delete { name } => {
                let delete = async |controller: &synod_client::controller::Controller, namespace: &str| {
                    controller.delete_group(namespace, &name).await
                };
                target.ask(delete).await?;
            }
        }
        Ok(Exit::SUCCESS)
    }
}
