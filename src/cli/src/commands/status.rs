//! `synod status`.

use std::time::Duration;

use synod_client::controller;
use tokio::time::{Instant, sleep};

use super::description::{Group, PartitionRow};
use crate::exit::{Exit, Failure};
use crate::input;
use crate::output::Printing;
use crate::progress;
use crate::target::Target;

/// How often it is looked whether groups have become ready.
const INTERVAL: Duration = Duration::from_millis(200);

/// Show partitions, leaders, terms and lag of all groups at a glance; exit code 5 if any is not ready.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    printing: Printing,

    /// Of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "group")]
    all_namespaces: bool,

    /// Wait until all are ready, for at most this long.
    #[arg(long, value_name = "DURATION", value_parser = input::duration)]
    wait: Option<Duration>,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let groups = match self.wait {
            Some(wait) => self.ready_within(wait).await?,
            None => self.groups().await?,
        };
        let ready = groups.iter().all(|group| group.ready);
        let rows: Vec<_> = groups.iter().flat_map(PartitionRow::all).collect();
        self.printing.printer().table(&groups, &rows)?;
        if groups.is_empty() {
            return Err(Failure::not_found("there is no group")
                .hint("create one, or look into all namespaces with --all-namespaces"));
        }
        Ok(if ready { Exit::SUCCESS } else { Exit::UNAVAILABLE })
    }

    async fn groups(&self) -> Result<Vec<Group>, Failure> {
        let Self { target, all_namespaces, .. } = self;
        if !target.group_name().is_empty() {
            return Ok(vec![target.describe().await?.into()]);
        }
        let groups = target.groups(*all_namespaces).await?;
        Ok(groups.into_iter().map(|group: controller::Group| group.into()).collect())
    }

    async fn ready_within(&self, wait: Duration) -> Result<Vec<Group>, Failure> {
        let deadline = Instant::now() + wait;
        let waiting = async || "waiting for the groups to become ready".to_owned();
        progress::telling(waiting, async {
            loop {
                let groups = self.groups().await;
                let is_ready = |groups: &Vec<Group>| groups.iter().all(|group| group.ready);
                let is_over = Instant::now() + INTERVAL >= deadline;
                match groups {
                    Ok(groups) if is_over || (!groups.is_empty() && is_ready(&groups)) => return Ok(groups),
                    Err(failure) if is_over || failure.exit != Exit::UNAVAILABLE => return Err(failure),
                    _ => sleep(INTERVAL).await,
                }
            }
        })
        .await
    }
}
