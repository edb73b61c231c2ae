//! `synod primitive`.

use serde::Serialize;
use synod_client::PrimitiveKind;
use synod_client::controller::{self, PrimitiveAddress};

use crate::exit::{Exit, Failure};
use crate::output::{Encoding, Printing, Row};
use crate::target::{Owner, Target};

/// Primitives: which there are.
#[derive(clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    printing: Printing,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Print the primitives of the group: of all applications, or of the one that is said.
    List {
        /// Only of this kind.
        #[arg(long, value_name = "KIND")]
        kind: Option<PrimitiveKind>,
    },
    /// Print a primitive; exit code 3 if it does not exist.
    Get {
        /// Its kind: counter, value, map, set, lock or election.
        kind: PrimitiveKind,
        /// Its name.
        name: String,
    },
    /// Create a primitive, if it does not exist. Its first use does that as well.
    Create {
        /// Its kind: counter, value, map, set, lock or election.
        kind: PrimitiveKind,
        /// Its name.
        name: String,
    },
    /// Delete a primitive with all that it holds, for good.
    Delete {
        /// Its kind: counter, value, map, set, lock or election.
        kind: PrimitiveKind,
        /// Its name.
        name: String,
    },
}

/// A primitive, for output.
#[derive(Serialize)]
struct Primitive {
    namespace: String,
    group: String,
    application: String,
    kind: String,
    name: String,
    partitions: Vec<u32>,
}

impl From<controller::Primitive> for Primitive {
    fn from(primitive: controller::Primitive) -> Self {
        let controller::Primitive { namespace, group, application, kind, name, partitions } = primitive;
        Self { namespace, group, application, kind, name, partitions }
    }
}

impl Row for Primitive {
    const HEAD: &'static [&'static str] = &["APPLICATION", "KIND", "NAME", "PARTITIONS"];

    fn cells(&self) -> Vec<String> {
        let partitions: Vec<_> = self.partitions.iter().map(u32::to_string).collect();
        let shown = |text: &str| Encoding::default().text(text.as_bytes());
        vec![shown(&self.application), self.kind.clone(), shown(&self.name), partitions.join(",")]
    }
}

#[derive(Serialize)]
struct Deleted {
    deleted: bool,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { target, owner, printing, verb } = self;
        let mut printer = printing.printer();
        let (group, application) = (target.group_name(), owner.application_name());
        match verb {
            Verb::List { kind } => {
                let list = async |controller: &controller::Controller, namespace: &str| {
                    controller.primitives(namespace, &group, &application).await
                };
                let found = target.ask(list).await?;
                let fits =
                    |found: &controller::Primitive| kind.is_none_or(|kind| found.kind == kind.as_str());
                let found: Vec<_> = found.into_iter().filter(fits).map(Primitive::from).collect();
                printer.table(&found, &found)?;
            }
            Verb::Get { kind, name } => {
                let kind = kind.as_str().to_owned();
                let get = async |controller: &controller::Controller, namespace: &str| {
                    let namespace = namespace.to_owned();
                    let address = PrimitiveAddress { namespace, group, application, kind, name };
                    controller.primitive(address).await
                };
                let found = Primitive::from(target.ask(get).await?);
                printer.table(&found, std::slice::from_ref(&found))?;
            }
            Verb::Create { kind, name } => {
                let create = async |group: synod_client::Group| Ok(group.create(kind, name).await?);
                target.using(&owner, None, create).await?;
            }
            Verb::Delete { kind, name } => {
                let delete = async |group: synod_client::Group| Ok(group.delete(kind, name).await?);
                let deleted = target.using(&owner, None, delete).await?;
                printer.answer(&Deleted { deleted }, "")?;
            }
        }
        Ok(Exit::SUCCESS)
    }
}
