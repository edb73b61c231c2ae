//! `synod member`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use synod_client::admin::{self, Admin, MemberRole, Phase, ReplicaName, Role};
use synod_client::controller;
use synod_client::{ErrorCode, PartitionId, Trust};
use synod_types::MemberId;
use tokio::time::{Instant, sleep};

use super::description::{Group, MemberRow};
use crate::exit::{Exit, Failure};
use crate::output::{Printing, Row};
use crate::progress;
use crate::target::Target;

/// How long to wait before another leader is looked for.
const INTERVAL: Duration = Duration::from_millis(200);

/// Members: the replicas of the partitions of a group.
///
/// The operator and `synod dev` look after the members on their own, and undo what does not fit the spec of the group.
/// These verbs are for whoever runs nodes without them, and for trying things out.
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
    /// Print every member of the group, as the controller knows it.
    List,
    /// Print every replica of the group, as its own node describes it.
    Status,
    /// Hand the leadership of a partition to another voter, and print the id of the member that leads then.
    TransferLeadership {
        #[command(flatten)]
        partition: Partition,
        /// The id of a member or the name of its node: whoever has caught up furthest, if nothing is said.
        #[arg(long, value_name = "MEMBER")]
        to: Option<String>,
    },
    /// Take a snapshot of a partition now, and print where it stands in the log once it is durable.
    Snapshot {
        #[command(flatten)]
        partition: Partition,
        /// The id of a member or the name of its node: the leader, if nothing is said.
        #[arg(long, value_name = "MEMBER")]
        on: Option<String>,
    },
    /// Add the replica of another node as a learner, which receives the log and does not count, and print its id.
    Join {
        #[command(flatten)]
        partition: Partition,
        /// The host:port at which the node serves clients.
        #[arg(long, value_name = "HOST:PORT")]
        client_address: String,
        /// The host:port at which the node serves other nodes.
        #[arg(long, value_name = "HOST:PORT")]
        peer_address: String,
    },
    /// Make a learner that has caught up a voter.
    Promote {
        #[command(flatten)]
        partition: Partition,
        /// The id of the member or the name of its node.
        member: String,
    },
    /// Take a member out of its partition.
    Remove {
        #[command(flatten)]
        partition: Partition,
        /// The id of the member or the name of its node.
        member: String,
    },
}

/// Which partition.
#[derive(Clone, Copy, clap::Args)]
#[group(skip)]
struct Partition {
    /// The partition.
    #[arg(long = "partition", short = 'p', value_name = "NUMBER")]
    id: u32,
}

/// A replica as its node describes it, for output.
#[derive(Serialize)]
struct Replica {
    node: String,
    partition: u32,
    member: u64,
    phase: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    problem: String,
    role: &'static str,
    term: u64,
    commit_log_index: u64,
    applied_log_index: u64,
    snapshot_log_index: u64,
    sessions: u64,
    keys: u64,
    state_hash: String,
}

impl Replica {
    fn new(node: &str, replica: admin::Replica) -> Self {
        let phase = match replica.phase() {
            Phase::Blank => "blank",
            Phase::Waiting => "waiting",
            Phase::Running => "running",
            Phase::Failed => "failed",
            Phase::Stalled => "stalled",
            Phase::Unspecified => "unknown",
        };
        let role = match replica.role() {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Learner => "learner",
            Role::Unspecified => "-",
        };
        let admin::Replica { partition, member_id, problem, term, sessions, keys, state_hash, .. } = replica;
        Self {
            node: node.to_owned(),
            partition,
            member: member_id,
            phase,
            problem,
            role,
            term,
            commit_log_index: replica.commit_log_index,
            applied_log_index: replica.applied_log_index,
            snapshot_log_index: replica.snapshot_log_index,
            sessions,
            keys,
            state_hash,
        }
    }
}

impl Row for Replica {
    const HEAD: &'static [&'static str] = &[
        "PARTITION",
        "NODE",
        "MEMBER",
        "PHASE",
        "ROLE",
        "TERM",
        "COMMIT",
        "APPLIED",
        "SNAPSHOT",
        "SESSIONS",
        "KEYS",
        "PROBLEM",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.partition.to_string(),
            self.node.clone(),
            self.member.to_string(),
            self.phase.to_owned(),
            self.role.to_owned(),
            self.term.to_string(),
            self.commit_log_index.to_string(),
            self.applied_log_index.to_string(),
            self.snapshot_log_index.to_string(),
            self.sessions.to_string(),
            self.keys.to_string(),
            self.problem.clone(),
        ]
    }
}

#[derive(Serialize)]
struct Named {
    member: u64,
}

#[derive(Serialize)]
struct Snapshot {
    log_index: u64,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { target, printing, verb } = self;
        let waiting = async || "waiting for the members".to_owned();
        progress::telling(waiting, run(&target, printing, verb)).await?;
        Ok(Exit::SUCCESS)
    }
}

async fn run(target: &Target, printing: Printing, verb: Verb) -> Result<(), Failure> {
    let mut printer = printing.printer();
    match verb {
        Verb::List => {
            let group = Group::from(target.describe().await?);
            let rows: Vec<_> = MemberRow::all(&group).collect();
            printer.table(&group.partitions, &rows)
        }
        Verb::Status => {
            let replicas = replicas(&target.describe().await?).await?;
            printer.table(&replicas, &replicas)
        }
        Verb::TransferLeadership { partition, to } => {
            let transfer = async |at: &At<'_>| {
                let to = to.as_deref().map(|to| at.member(to)).transpose()?;
                Ok(at.admin.transfer_leadership(at.replica(), to.map(|to| MemberId(to.id))).await?)
            };
            let member = at_leader(target, partition, transfer).await?.get();
            printer.answer(&Named { member }, &member.to_string())
        }
        Verb::Snapshot { partition, on: None } => {
            let snapshot = async |at: &At<'_>| Ok(at.admin.snapshot(at.replica()).await?);
            let log_index = at_leader(target, partition, snapshot).await?.get();
            printer.answer(&Snapshot { log_index }, &log_index.to_string())
        }
        Verb::Snapshot { partition, on: Some(on) } => {
            let group = target.describe().await?;
            let at = At::new(&group, partition, |_, members| member(members, &on))?;
            let log_index = at.admin.snapshot(at.replica()).await?.get();
            printer.answer(&Snapshot { log_index }, &log_index.to_string())
        }
        Verb::Join { partition, client_address, peer_address } => {
            let member = join(target, partition, client_address, peer_address).await?.get();
            printer.answer(&Named { member }, &member.to_string())
        }
        Verb::Promote { partition, member } => {
            let promote = async |at: &At<'_>| {
                Ok(at.admin.promote(at.replica(), MemberId(at.member(&member)?.id)).await?)
            };
            at_leader(target, partition, promote).await
        }
        Verb::Remove { partition, member } => {
            let remove = async |at: &At<'_>| {
                Ok(at.admin.remove(at.replica(), MemberId(at.member(&member)?.id)).await?)
            };
            at_leader(target, partition, remove).await
        }
    }
}

/// Every replica of the group, as the nodes describe it that answer.
async fn replicas(group: &controller::Group) -> Result<Vec<Replica>, Failure> {
    let name = format!("{}/{}", group.namespace, group.name);
    let members = group.partitions.iter().flat_map(|partition| &partition.members);
    let endpoints: BTreeSet<_> =
        members.map(|member| member.endpoint.as_str()).filter(|endpoint| !endpoint.is_empty()).collect();
    let trust = Trust::said(&group.ca_pem)?;
    let mut replicas = Vec::new();
    for endpoint in endpoints {
        match Admin::trusting(&trust, endpoint)?.status().await {
            Ok(status) => {
                let here = status.replicas.into_iter().filter(|replica| replica.group == name);
                replicas.extend(here.map(|replica| Replica::new(&status.node, replica)));
            }
            Err(error) => progress::say(&format!("the node at {endpoint} does not answer: {error}")),
        }
    }
    replicas.sort_by(|a, b| (a.partition, &a.node).cmp(&(b.partition, &b.node)));
    Ok(replicas)
}

/// A replica that is asked.
struct At<'a> {
    admin: Admin,
    group: String,
    partition: u32,
    members: &'a [controller::Member],
}

impl<'a> At<'a> {
    fn new(
        group: &'a controller::Group,
        Partition { id }: Partition,
        pick: impl FnOnce(u64, &'a [controller::Member]) -> Result<&'a controller::Member, Failure>,
    ) -> Result<Self, Failure> {
        let name = format!("{}/{}", group.namespace, group.name);
        let found = group.partitions.iter().find(|partition| partition.id == id).ok_or_else(|| {
            let count = group.partitions.len();
            Failure::not_found(format!("the group {name:?} has no partition {id}: it has {count}, from 0 on"))
        })?;
        let asked = pick(found.leader, &found.members)?;
        let admin = Admin::trusting(&Trust::said(&group.ca_pem)?, &asked.endpoint)?;
        Ok(Self { admin, group: name, partition: id, members: &found.members })
    }

    fn replica(&self) -> ReplicaName<'_> {
        ReplicaName { group: &self.group, partition: PartitionId(self.partition) }
    }

    fn member(&self, named: &str) -> Result<&controller::Member, Failure> {
        member(self.members, named)
    }
}

/// The member with this id, or on the node of this name.
fn member<'a>(members: &'a [controller::Member], named: &str) -> Result<&'a controller::Member, Failure> {
    let is_it = |member: &&controller::Member| member.node == named || member.id.to_string() == named;
    members.iter().find(is_it).ok_or_else(|| {
        let known: Vec<_> = members.iter().map(|member| format!("{} ({})", member.node, member.id)).collect();
        Failure::not_found(format!("there is no member {named:?}: there are {}", known.join(", ")))
    })
}

fn leader(leader: u64, members: &[controller::Member]) -> Result<&controller::Member, Failure> {
    let leads = members.iter().find(|member| member.id == leader && leader != 0);
    leads.ok_or_else(|| Failure::new(Exit::UNAVAILABLE, "nobody leads the partition: try again"))
}

/// Asks the leader. Where it has changed, the next one is asked, until the time is over.
async fn at_leader<T>(
    target: &Target,
    partition: Partition,
    ask: impl AsyncFn(&At<'_>) -> Result<T, Refusal>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + target.timeout();
    loop {
        let group = target.describe().await?;
        let at = At::new(&group, partition, leader);
        let is_over = Instant::now() + INTERVAL >= deadline;
        match at {
            Ok(at) => match ask(&at).await {
                Ok(answer) => return Ok(answer),
                Err(Refusal { is_elsewhere: true, .. }) if !is_over => {}
                Err(Refusal { failure, .. }) => return Err(failure),
            },
            Err(failure) if failure.exit != Exit::UNAVAILABLE || is_over => return Err(failure),
            Err(_) => {}
        }
        sleep(INTERVAL).await;
    }
}

/// Why a member did not do what it was asked.
struct Refusal {
    failure: Failure,
    /// Another one has to be asked.
    is_elsewhere: bool,
}

impl From<synod_client::Error> for Refusal {
    fn from(error: synod_client::Error) -> Self {
        Self { is_elsewhere: error.code() == ErrorCode::NotLeader, failure: error.into() }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, is_elsewhere: false }
    }
}

async fn join(
    target: &Target,
    partition: Partition,
    client_address: String,
    peer_address: String,
) -> Result<MemberId, Failure> {
    let group = target.describe().await?;
    let name = format!("{}/{}", group.namespace, group.name);
    let newcomer = Admin::trusting(&Trust::said(&group.ca_pem)?, &client_address)?;
    let node = newcomer.status().await?.node;
    let replica = ReplicaName { group: &name, partition: PartitionId(partition.id) };
    let prepared = newcomer.prepare(replica).await?;
    let member = admin::Member {
        id: prepared.member.get(),
        node,
        peer_address,
        client_address,
        role: MemberRole::Learner as i32,
    };
    at_leader(target, partition, async |at| Ok(at.admin.add_learner(at.replica(), member.clone()).await?))
        .await?;
    Ok(prepared.member)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> controller::Group {
        let member = |id: u64| controller::Member {
            id,
            node: format!("node-{id}"),
            endpoint: format!("127.0.0.1:{id}"),
            ..Default::default()
        };
        let partition =
            |id, leader| controller::Partition { id, leader, term: 1, members: vec![member(1), member(2)] };
        let partitions = vec![partition(0, 2), partition(1, 0)];
        controller::Group {
            namespace: "default".into(),
            name: "sample".into(),
            partitions,
            ..Default::default()
        }
    }

    #[test]
    fn members_are_named_by_id_or_node() {
        let group = group();
        let members = &group.partitions[0].members;
        assert_eq!(member(members, "2").unwrap().node, "node-2");
        assert_eq!(member(members, "node-1").unwrap().id, 1);
        let failure = member(members, "node-3").unwrap_err();
        assert_eq!(failure.exit, Exit::NOT_FOUND);
        assert!(failure.message.contains("node-1 (1), node-2 (2)"), "{}", failure.message);
    }

    #[tokio::test]
    async fn the_leader_is_asked_if_there_is_one() {
        let group = group();
        let exit = |id| At::new(&group, Partition { id }, leader).map(|at| at.partition).map_err(|e| e.exit);
        assert_eq!(exit(0), Ok(0));
        assert_eq!(exit(1), Err(Exit::UNAVAILABLE));
        assert_eq!(exit(2), Err(Exit::NOT_FOUND));
    }
}
