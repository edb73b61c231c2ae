//! The admin service: what operators of a node ask of it.

use std::sync::Arc;
use std::time::Duration;

use synod_primitives::Placement;
use synod_proto::admin::v1::admin_server::Admin;
use synod_proto::admin::v1::{
    AddLearnerRequest, AddLearnerResponse, BootstrapRequest, BootstrapResponse, DiscardRequest,
    DiscardResponse, MemberStatus, Phase, PrepareRequest, PrepareResponse, PromoteRequest, PromoteResponse,
    RecoverRequest, RecoverResponse, RemoveRequest, RemoveResponse, Replica, Role, SnapshotRequest,
    SnapshotResponse, StatusRequest, StatusResponse, TransferLeadershipRequest, TransferLeadershipResponse,
};
use synod_proto::types::v1::{Limits as WireLimits, MemberRole};
use synod_protocol as protocol;
use synod_replica::{Admin as Command, Configuration, Genesis, Status as ReplicaStatus};
use synod_types::{Error, ErrorCode, Limits, LogIndex, LogTime, MemberId, PartitionId, SlotTable};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::driver::Mail;
use crate::host::Host;
use crate::service::status;
use crate::slot::{Running, Slot, Standing};

/// How long an operator waits for a change to be committed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The admin service of a node.
pub(crate) struct AdminService {
    pub(crate) host: Arc<Host>,
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let mut replicas = Vec::new();
        for slot in self.host.slots() {
            replicas.push(describe(&slot).await);
        }
        // Replicas that stop because the node does are not what they look like.
        self.host.drain.admit_stream().map_err(status)?;
        let node = self.host.config().name.clone();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Response::new(StatusResponse { node, version, replicas }))
    }

    async fn prepare(&self, request: Request<PrepareRequest>) -> Result<Response<PrepareResponse>, Status> {
        let PrepareRequest { group, partition } = request.into_inner();
        let host = self.host.clone();
        let (member, holds_data) = blocking(move || host.prepare(&group, partition)).await?;
        Ok(Response::new(PrepareResponse { member_id: member.get(), holds_data }))
    }

    async fn bootstrap(
        &self,
        request: Request<BootstrapRequest>,
    ) -> Result<Response<BootstrapResponse>, Status> {
        let genesis = genesis(request.into_inner()).map_err(status)?;
        let host = self.host.clone();
        blocking(move || host.bootstrap(&genesis)).await?;
        Ok(Response::new(BootstrapResponse {}))
    }

    async fn add_learner(
        &self,
        request: Request<AddLearnerRequest>,
    ) -> Result<Response<AddLearnerResponse>, Status> {
        let AddLearnerRequest { group, partition, member } = request.into_inner();
        let mut member = member
            .ok_or_else(|| status(Error::new(ErrorCode::Invalid, "the member to be added is missing")))?;
        if member.id == 0 || member.peer_address.is_empty() {
            let message = "a member needs an id, which prepare gives, and a peer address";
            return Err(status(Error::new(ErrorCode::Invalid, message)));
        }
        member.role = MemberRole::Learner as i32;
        self.command(&group, partition, Command::AddLearner(member)).await?;
        Ok(Response::new(AddLearnerResponse {}))
    }

    async fn promote(&self, request: Request<PromoteRequest>) -> Result<Response<PromoteResponse>, Status> {
        let PromoteRequest { group, partition, member_id } = request.into_inner();
        self.command(&group, partition, Command::Promote(MemberId(member_id))).await?;
        Ok(Response::new(PromoteResponse {}))
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Result<Response<RemoveResponse>, Status> {
        let RemoveRequest { group, partition, member_id } = request.into_inner();
        self.command(&group, partition, Command::Remove(MemberId(member_id))).await?;
        Ok(Response::new(RemoveResponse {}))
    }

    async fn discard(&self, request: Request<DiscardRequest>) -> Result<Response<DiscardResponse>, Status> {
        let DiscardRequest { group, partition, member_id } = request.into_inner();
        let host = self.host.clone();
        blocking(move || host.discard(&group, partition, MemberId(member_id))).await?;
        Ok(Response::new(DiscardResponse {}))
    }

    async fn recover(&self, request: Request<RecoverRequest>) -> Result<Response<RecoverResponse>, Status> {
        let RecoverRequest { group, partition, member_id } = request.into_inner();
        let host = self.host.clone();
        let member = blocking(move || host.recover(&group, partition, MemberId(member_id))).await?;
        Ok(Response::new(RecoverResponse { member_id: member.get() }))
    }

    async fn transfer_leadership(
        &self,
        request: Request<TransferLeadershipRequest>,
    ) -> Result<Response<TransferLeadershipResponse>, Status> {
        let TransferLeadershipRequest { group, partition, member_id } = request.into_inner();
        let to = Some(MemberId(member_id)).filter(|member| member.get() != 0);
        let member_id = self.command(&group, partition, Command::Transfer(to)).await?;
        Ok(Response::new(TransferLeadershipResponse { member_id }))
    }

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        let SnapshotRequest { group, partition } = request.into_inner();
        let log_index = self.command(&group, partition, Command::Snapshot).await?;
        Ok(Response::new(SnapshotResponse { log_index }))
    }
}

impl AdminService {
    async fn command(&self, group: &str, partition: u32, command: Command) -> Result<u64, Status> {
        let running = self.host.running(group, partition).map_err(status)?;
        ask(&running, command).await.map_err(status)
    }
}

/// Asks a replica to do something and waits until it is done.
pub(crate) async fn ask(running: &Running, command: Command) -> Result<u64, Error> {
    let (answer, answered) = oneshot::channel();
    running.mail(Mail::Admin(command, answer));
    let gone = || Error::ambiguous(ErrorCode::Unavailable, "the replica has stopped");
    let late = || Error::ambiguous(ErrorCode::Timeout, "not done in time: it may still be done");
    timeout(PATIENCE, answered).await.map_err(|_| late())?.map_err(|_| gone())?
}

/// Runs what waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the node failed to do this")))
        .map_err(status)
}

/// In the year 2248. What a group counts begins with its birthday, and there must be room to count on.
const BORN_MS_MAX: u64 = 1 << 43;

fn genesis(request: BootstrapRequest) -> Result<Genesis, Error> {
    let BootstrapRequest { group, partition, mut members, partitions, slots, limits, born_ms } = request;
    let slots = SlotTable::with_moves(partitions, slots, [])?;
    if partition >= partitions {
        let message = format!("partition {partition} is not one of {partitions}");
        return Err(Error::new(ErrorCode::Invalid, message));
    }
    if born_ms > BORN_MS_MAX {
        let message =
            format!("it is born {born_ms} ms after 1970: at most {BORN_MS_MAX} can be counted from");
        return Err(Error::new(ErrorCode::Invalid, message));
    }
    members.sort_unstable_by_key(|member| member.id);
    let twice = members.windows(2).any(|pair| matches!(pair, [a, b] if a.id == b.id));
    if members.is_empty() || twice || members.iter().any(|member| member.id == 0) {
        return Err(Error::new(
            ErrorCode::Invalid,
            "the first members must be named, each once, by their ids",
        ));
    }
    for member in &mut members {
        member.role = MemberRole::Voter as i32;
    }
    let configuration = Configuration {
        group,
        limits: Limits::from(&limits.unwrap_or_else(WireLimits::default)),
        placement: Placement { partition: PartitionId(partition), slots },
        born: LogTime(born_ms),
    };
    Ok(Genesis { configuration, members })
}

async fn describe(slot: &Slot) -> Replica {
    let blank = Replica { group: slot.group().to_owned(), partition: slot.partition(), ..Replica::default() };
    match slot.standing() {
        Standing::Blank => Replica { phase: Phase::Blank as i32, ..blank },
        Standing::Waiting(member) => {
            let problem = told(slot.unkept_offer(LogIndex::default()).as_ref());
            Replica { phase: Phase::Waiting as i32, member_id: member.get(), problem, ..blank }
        }
        Standing::Failed(member, error) => failed(slot, blank, member, &error),
        Standing::Running(running) => {
            let (answer, answered) = oneshot::channel();
            running.mail(Mail::Status(answer));
            match answered.await {
                Ok(status) => {
                    let unkept = slot.unkept_offer(status.applied);
                    let problem = told(status.snapshot_problem.as_ref().or(unkept.as_ref()));
                    Replica { problem, ..running_replica(blank, &status) }
                }
                Err(_) => {
                    let error = Error::new(ErrorCode::Unavailable, "the replica does not answer");
                    failed(slot, blank, Some(running.member), &error)
                }
            }
        }
    }
}

fn told(problem: Option<&Error>) -> String {
    problem.map(ToString::to_string).unwrap_or_default()
}

fn failed(slot: &Slot, blank: Replica, member: Option<MemberId>, error: &Error) -> Replica {
    // What to do about it depends on the others: whether a majority of them has the data.
    let problem = match error.code() {
        ErrorCode::Corrupt => format!("{error} (its data is in \"{}\")", slot.home().dir().display()),
        _ => error.to_string(),
    };
    let phase = if slot.is_stalled() { Phase::Stalled } else { Phase::Failed };
    Replica { phase: phase as i32, member_id: member.map_or(0, MemberId::get), problem, ..blank }
}

fn running_replica(blank: Replica, status: &ReplicaStatus) -> Replica {
    let protocol::Status { standing, first_index, last_index, last_term, commit, membership, progress } =
        &status.protocol;
    let members = status.members.iter().map(|member| {
        let id = MemberId(member.id);
        let progress = progress.iter().find(|progress| progress.member == id);
        let mut member = member.clone();
        let is_learner = membership.learners.contains(&id) || membership.learners_next.contains(&id);
        let role = if is_learner { MemberRole::Learner } else { MemberRole::Voter };
        member.role = role as i32;
        MemberStatus {
            member: Some(member),
            matched_log_index: progress.map_or(0, |progress| progress.matched.get()),
            active: progress.is_some_and(|progress| progress.active),
        }
    });
    Replica {
        member_id: status.member.get(),
        phase: Phase::Running as i32,
        role: role(standing.role) as i32,
        term: standing.term.get(),
        leader: standing.leader.map_or(0, MemberId::get),
        first_log_index: first_index.get(),
        last_log_index: last_index.get(),
        commit_log_index: commit.get(),
        applied_log_index: status.applied.get(),
        snapshot_log_index: status.snapshot.get(),
        index: status.index.get(),
        state_hash: status.state_hash.to_string(),
        members: members.collect(),
        sessions: status.sessions,
        keys: status.keys,
        watches: status.watches,
        last_log_term: last_term.get(),
        ..blank
    }
}

const fn role(role: protocol::Role) -> Role {
    match role {
        protocol::Role::Leader => Role::Leader,
        protocol::Role::Follower => Role::Follower,
        protocol::Role::Candidate => Role::Candidate,
        protocol::Role::Learner => Role::Learner,
    }
}
