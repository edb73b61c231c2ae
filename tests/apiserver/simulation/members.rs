//! Members of groups, as far as the operator asks them: they are prepared, founded, added and taken out, and whoever is
//! asked to create a primitive says that it is there. They replicate nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::{Stream, StreamExt as _};
use prost::Message as _;
use synod_proto::admin::v1::admin_server::{Admin, AdminServer};
use synod_proto::admin::v1::{
    AddLearnerRequest, AddLearnerResponse, BootstrapRequest, BootstrapResponse, DiscardRequest,
    DiscardResponse, MemberStatus, Phase, PrepareRequest, PrepareResponse, PromoteRequest, PromoteResponse,
    RecoverRequest, RecoverResponse, RemoveRequest, RemoveResponse, Replica, Role, SnapshotRequest,
    SnapshotResponse, StatusRequest, StatusResponse, TransferLeadershipRequest, TransferLeadershipResponse,
};
use synod_proto::primitive::v1::{Command, Query, command};
use synod_proto::session::v1::session_server::{Session, SessionServer};
use synod_proto::session::v1::{
    ClientFrame, CloseRequest, CloseResponse, KeepAliveRequest, KeepAliveResponse, OpenRequest, OpenResponse,
    Reply, ServerFrame, reply, request,
};
use synod_proto::types::v1::{Member, MemberRole};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::membership::{Membership, Partition, Volume};
use super::primitives::Primitives;
use crate::fuse::Fuse;

/// Where members serve clients and operators.
const CLIENT_PORT: u16 = 5678;

/// The first address of a pod.
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);

/// All members there are.
#[derive(Default)]
pub(crate) struct Members {
    state: Mutex<State>,
    /// Who counts what is asked of the nodes of each namespace.
    fuses: Mutex<HashMap<String, Arc<Fuse>>>,
}

#[derive(Default)]
struct State {
    /// The node behind each address, while its pod runs.
    nodes: HashMap<Ipv4Addr, String>,
    /// The other way round.
    addresses: HashMap<String, Ipv4Addr>,
    /// The nodes whose machine is off.
    cut_off: BTreeSet<String>,
    started: u32,
    /// What is on the volume of each node.
    volumes: HashMap<String, Volume>,
    partitions: HashMap<Partition, Membership>,
    last_id: u64,
    asked: BTreeMap<String, u64>,
    primitives: Primitives,
    /// How each partition was told to begin. No more than once, each in the same way.
    begun: HashMap<Partition, Vec<BootstrapRequest>>,
}

impl Members {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on each thing that is asked of the nodes of a namespace is a step.
    pub(crate) fn count_steps(&self, namespace: &str, fuse: Arc<Fuse>) {
        self.fuses.lock().unwrap().insert(namespace.to_owned(), fuse);
    }

    /// Does something for whoever asks, which is a step of his.
    fn step<R>(
        &self,
        node: &str,
        order: &str,
        act: impl FnOnce(&mut State) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let namespace = node.split('/').next().unwrap_or_default();
        let fuse = self.fuses.lock().unwrap().get(namespace).cloned();
        let Some(fuse) = fuse else { return act(&mut self.state()) };
        let what = format!("{order} {node}");
        let step = fuse.begin(&what).ok_or_else(|| Status::unavailable("who asks is dead"))?;
        let answer = act(&mut self.state());
        fuse.end(step);
        answer
    }

    /// The same, asked of a node.
    fn obey<T, R>(
        &self,
        request: Request<T>,
        order: &str,
        act: impl FnOnce(&mut State, String, T) -> Result<R, Status>,
    ) -> Result<Response<R>, Status> {
        let node = self.state().callee(&request)?;
        self.step(&node.clone(), order, |state| act(state, node, request.into_inner())).map(Response::new)
    }

    /// A node starts; it gets an address that nobody has had before.
    pub(crate) fn start(&self, node: &str) -> Ipv4Addr {
        let mut state = self.state();
        state.started += 1;
        state.cut_off.remove(node);
        let address = Ipv4Addr::from(u32::from(ADDRESSES) + state.started);
        state.stop(node);
        state.nodes.insert(address, node.to_owned());
        state.addresses.insert(node.to_owned(), address);
        address
    }

    /// A node ends. What is on its volume stays.
    pub(crate) fn stop(&self, node: &str) {
        self.state().stop(node);
    }

    /// The volumes of nodes are lost, all at once.
    pub(crate) fn lose(&self, nodes: &[&str]) {
        let mut state = self.state();
        for node in nodes {
            let Volume { id, partition } = state.volumes.remove(*node).unwrap();
            state.partitions.get_mut(&partition).unwrap().lose(id);
        }
    }

    /// The machine of a node goes off: its pod stays until somebody says that it is gone, and is then made on another one.
    pub(crate) fn cut_off(&self, node: &str) {
        let mut state = self.state();
        state.stop(node);
        state.cut_off.insert(node.to_owned());
    }

    pub(crate) fn is_cut_off(&self, node: &str) -> bool {
        self.state().cut_off.contains(node)
    }

    /// The nodes that were asked how things are since this was called last.
    pub(crate) fn take_asked(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.state().asked).into_keys().collect()
    }

    /// How often a node was asked that.
    pub(crate) fn asked(&self, node: &str) -> u64 {
        self.state().asked.get(node).copied().unwrap_or_default()
    }

    /// In how many ways a partition was told to begin.
    pub(crate) fn beginnings(&self, group: &str, partition: u32) -> usize {
        self.state().begun.get(&(group.to_owned(), partition)).map_or(0, Vec::len)
    }

    /// Whether a partition has any primitives.
    pub(crate) fn primitives_exist(&self, group: &str, partition: u32) -> bool {
        self.state().primitives.exist(&(group.to_owned(), partition))
    }

    /// How often each primitive ("namespace/group name") was created since this was called last.
    pub(crate) fn take_created(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.state().primitives.asked_for)
    }
}

impl State {
    fn stop(&mut self, node: &str) {
        let Some(address) = self.addresses.remove(node) else { return };
        self.nodes.remove(&address);
        let Some(Volume { id, partition }) = self.volumes.get(node) else { return };
        let Some(membership) = self.partitions.get_mut(partition) else { return };
        if membership.leader == *id {
            let voters = membership.members.iter().filter(|it| it.role() == MemberRole::Voter);
            let heir = voters.filter(|it| self.addresses.contains_key(&it.node)).map(|it| it.id).min();
            membership.take_over(heir.unwrap_or_default());
        }
    }

    /// Which node a request was sent to.
    fn callee<T>(&self, request: &Request<T>) -> Result<String, Status> {
        let Some(IpAddr::V4(address)) = request.local_addr().map(|address| address.ip()) else {
            return Err(Status::internal("not an address of a pod"));
        };
        self.nodes.get(&address).cloned().ok_or_else(|| Status::unavailable("nobody is there"))
    }

    fn membership(&mut self, group: String, partition: u32) -> Result<&mut Membership, Status> {
        let membership = self.partitions.get_mut(&(group, partition));
        membership.ok_or_else(|| Status::not_found("the partition has not begun"))
    }

    /// Here is no DNS, so clients are told addresses.
    fn at_its_address(&self, member: &Member) -> Member {
        let address = self.addresses.get(&member.node).copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
        Member { client_address: format!("{address}:{CLIENT_PORT}"), ..member.clone() }
    }

    fn describe(&mut self, volume: &Volume) -> Replica {
        if let Some(membership) = self.partitions.get_mut(&volume.partition) {
            membership.supply(volume.id);
        }
        let (group, partition) = volume.partition.clone();
        let blank = Replica { group, partition, member_id: volume.id, ..Replica::default() };
        let membership = self.partitions.get(&volume.partition);
        let Some(membership) = membership.filter(|it| it.holds_data(volume.id)) else {
            return Replica { phase: Phase::Waiting as i32, ..blank };
        };
        let leads = membership.leader == volume.id;
        let members = membership.members.iter().map(|member| MemberStatus {
            member: Some(self.at_its_address(member)),
            matched_log_index: 1,
            active: leads,
        });
        Replica {
            phase: Phase::Running as i32,
            role: if leads { Role::Leader } else { Role::Follower } as i32,
            term: membership.term,
            leader: membership.leader,
            commit_log_index: 1,
            applied_log_index: 1,
            members: members.collect(),
            ..blank
        }
    }
}

/// Serves all members.
pub(super) async fn serve(members: Arc<Members>) {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT))).await;
    let listener = listener.unwrap_or_else(|error| panic!("port {CLIENT_PORT}, which pods have: {error}"));
    let server = Server::builder()
        .add_service(AdminServer::new(Service(members.clone())))
        .add_service(SessionServer::new(Service(members)))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(server);
}

struct Service(Arc<Members>);

#[tonic::async_trait]
impl Admin for Service {
    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let mut state = self.0.state();
        let node = state.callee(&request)?;
        *state.asked.entry(node.clone()).or_default() += 1;
        let replicas = state.volumes.get(&node).cloned().map(|volume| state.describe(&volume));
        let replicas = replicas.into_iter().collect();
        Ok(Response::new(StatusResponse { node, version: "simulated".to_owned(), replicas }))
    }

    async fn prepare(&self, request: Request<PrepareRequest>) -> Result<Response<PrepareResponse>, Status> {
        self.0.obey(request, "prepare", |state, node, PrepareRequest { group, partition }| {
            if !state.volumes.contains_key(&node) {
                state.last_id += 1;
                let volume = Volume { id: state.last_id, partition: (group, partition) };
                state.volumes.insert(node.clone(), volume);
            }
            Ok(PrepareResponse { member_id: state.volumes[&node].id, holds_data: false })
        })
    }

    async fn bootstrap(
        &self,
        request: Request<BootstrapRequest>,
    ) -> Result<Response<BootstrapResponse>, Status> {
        self.0.obey(request, "bootstrap", |state, node, request| {
            let partition = (request.group.clone(), request.partition);
            let begun = state.begun.entry(partition.clone()).or_default();
            if !begun.contains(&request) {
                begun.push(request.clone());
            }
            let id = state.volumes.get(&node).map_or(0, |volume| volume.id);
            let mut members = request.members;
            if !members.iter().any(|member| member.id == id) {
                return Err(Status::invalid_argument("not a founder"));
            }
            for member in &mut members {
                member.role = MemberRole::Voter as i32;
            }
            let founded = Membership { members, ..Membership::default() };
            state.partitions.entry(partition).or_insert(founded).start(id);
            Ok(BootstrapResponse {})
        })
    }

    async fn add_learner(
        &self,
        request: Request<AddLearnerRequest>,
    ) -> Result<Response<AddLearnerResponse>, Status> {
        self.0.obey(request, "add_learner", |state, _, AddLearnerRequest { group, partition, member }| {
            let mut learner = member.unwrap_or_default();
            learner.role = MemberRole::Learner as i32;
            let membership = state.membership(group, partition)?;
            membership.members.retain(|member| member.id != learner.id);
            membership.started.insert(learner.id);
            membership.members.push(learner);
            Ok(AddLearnerResponse {})
        })
    }

    async fn promote(&self, request: Request<PromoteRequest>) -> Result<Response<PromoteResponse>, Status> {
        self.0.obey(request, "promote", |state, _, PromoteRequest { group, partition, member_id }| {
            for member in &mut state.membership(group, partition)?.members {
                if member.id == member_id {
                    member.role = MemberRole::Voter as i32;
                }
            }
            Ok(PromoteResponse {})
        })
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Result<Response<RemoveResponse>, Status> {
        self.0.obey(request, "remove", |state, _, RemoveRequest { group, partition, member_id }| {
            state.membership(group, partition)?.members.retain(|member| member.id != member_id);
            Ok(RemoveResponse {})
        })
    }

    async fn discard(&self, request: Request<DiscardRequest>) -> Result<Response<DiscardResponse>, Status> {
        self.0.obey(request, "discard", |state, node, _| {
            state.volumes.remove(&node);
            Ok(DiscardResponse {})
        })
    }

    async fn recover(&self, request: Request<RecoverRequest>) -> Result<Response<RecoverResponse>, Status> {
        self.0.obey(request, "recover", |state, node, RecoverRequest { group, partition, member_id }| {
            state.last_id += 1;
            let anew = state.last_id;
            state.volumes.entry(node).and_modify(|volume| volume.id = anew);
            state.membership(group, partition)?.recover(member_id, anew);
            Ok(RecoverResponse { member_id: anew })
        })
    }

    async fn transfer_leadership(
        &self,
        request: Request<TransferLeadershipRequest>,
    ) -> Result<Response<TransferLeadershipResponse>, Status> {
        self.0.obey(request, "transfer_leadership", |state, _, request| {
            let TransferLeadershipRequest { group, partition, member_id } = request;
            state.membership(group, partition)?.take_over(member_id);
            Ok(TransferLeadershipResponse { member_id })
        })
    }

    async fn snapshot(&self, _: Request<SnapshotRequest>) -> Result<Response<SnapshotResponse>, Status> {
        Err(Status::unimplemented("nobody asks a simulated member for this"))
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<ServerFrame, Status>> + Send>>;

#[tonic::async_trait]
impl Session for Service {
    type StreamStream = Replies;

    async fn stream(&self, request: Request<Streaming<ClientFrame>>) -> Result<Response<Replies>, Status> {
        self.0.state().callee(&request)?;
        let members = self.0.clone();
        let mut partition = Partition::default();
        let replies = request.into_inner().map(move |frame| {
            let ClientFrame { hello, requests } = frame?;
            if let Some(hello) = hello {
                partition = (hello.group, hello.partition);
            }
            let answer = |request: synod_proto::session::v1::Request| Reply {
                tag: request.tag,
                body: request.body.and_then(|body| members.answer(&partition, body)),
                ..Reply::default()
            };
            Ok(ServerFrame { replies: requests.into_iter().map(answer).collect(), ..ServerFrame::default() })
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn open(&self, _: Request<OpenRequest>) -> Result<Response<OpenResponse>, Status> {
        Err(Status::unimplemented("nobody asks a simulated member for this"))
    }

    async fn keep_alive(&self, _: Request<KeepAliveRequest>) -> Result<Response<KeepAliveResponse>, Status> {
        Err(Status::unimplemented("nobody asks a simulated member for this"))
    }

    async fn close(&self, _: Request<CloseRequest>) -> Result<Response<CloseResponse>, Status> {
        Err(Status::unimplemented("nobody asks a simulated member for this"))
    }
}

impl Members {
    /// The answer to what a controller asks about primitives. What changes something is a step.
    fn answer(&self, partition: &Partition, body: request::Body) -> Option<reply::Body> {
        let result = match body {
            request::Body::Propose(propose) => {
                let command = Command::decode(propose.command).ok()?;
                let order = match command.operation {
                    Some(command::Operation::Delete(_)) => "delete in",
                    _ => "create in",
                };
                let answer = |state: &mut State| Ok(state.primitives.write(partition, command));
                self.step(&partition.0, order, answer).ok()??
            }
            request::Body::Query(body) => {
                let query = Query::decode(body.query).ok()?;
                self.state().primitives.read(partition, &query)?
            }
            _ => return None,
        };
        Some(reply::Body::Result(result))
    }
}
