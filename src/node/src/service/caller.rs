//! Calls of a partition by whoever holds no stream of his own: taken at any replica, answered by the leader.

use std::sync::Arc;
use std::time::Duration;

use synod_proto::session::v1::{Reply, Request, reply, request};
use synod_proto::types::v1::Error as WireError;
use synod_protocol::Role;
use synod_types::{Error, ErrorCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::metadata::MetadataMap;

use crate::driver::{Glance, Mail};
use crate::host::Host;
use crate::outbox::{Outgoing, Outlet, outbox};
use crate::slot::Running;

/// How long a call tries to get an answer, unless the caller says how long.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits at most before it asks again who leads.
const PAUSE: Duration = Duration::from_millis(20);

/// Whether a request may be sent again when it is unknown what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or the same whether it is executed once or twice.
    Freely,
    /// Only while it is certain that it was not executed.
    UntilSent,
}

/// Calls of the partitions of one group, by one caller.
#[derive(Clone)]
pub(crate) struct Caller {
    host: Arc<Host>,
    group: String,
    give_up_at: Instant,
}

/// Where a request goes.
enum Way {
    Here,
    Elsewhere(String),
    Nowhere,
}

impl Caller {
    /// A caller of a group that this node hosts a part of, who has the patience that the metadata of the call says.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] while the node goes down; [`ErrorCode::NotFound`], or [`ErrorCode::Invalid`] when the
    /// group must be named.
    pub(crate) fn new(host: &Arc<Host>, group: &str, metadata: &MetadataMap) -> Result<Self, Error> {
        host.drain.admit_call()?;
        let give_up_at = Instant::now() + patience(metadata).unwrap_or(PATIENCE);
        Ok(Self { host: host.clone(), group: host.resolve(group)?, give_up_at })
    }

    /// The full name of the group.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// The node that takes the call.
    pub(crate) const fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// When the caller loses patience.
    pub(crate) const fn give_up_at(&self) -> Instant {
        self.give_up_at
    }

    /// The same caller with fresh patience, for what has to be done although he is gone.
    pub(crate) fn with_patience(&self) -> Self {
        Self { give_up_at: Instant::now() + PATIENCE, ..self.clone() }
    }

    /// Sends a request to the leader of a partition and returns its one answer, which is not an error.
    pub(crate) async fn call(
        &self,
        partition: u32,
        body: request::Body,
        repeat: Repeat,
    ) -> Result<Reply, WireError> {
        let running = self.host.running(&self.group, partition).map_err(WireError::from)?;
        let mut glance = running.glance();
        let mut hint = None;
        loop {
            glance.mark_unchanged();
            let error = match self.try_once(&running, partition, body.clone(), hint.take()).await {
                Ok(Reply { body: Some(reply::Body::Error(error)), .. }) => error,
                Ok(reply) => return Ok(reply),
                Err(error) => error.into(),
            };
            // A replica that is gone hears of no leader any more: the next try is for another node.
            let is_over = running.is_gone() || Instant::now() + PAUSE >= self.give_up_at;
            if is_over || !may_repeat(&error, repeat) {
                return Err(error);
            }
            hint = error.leader.map(|leader| leader.client_address).filter(|address| !address.is_empty());
            // Either way it is tried again.
            let _ = timeout(PAUSE, glance.changed()).await;
        }
    }

    /// Asks the leader, as far as it is known: the one that a replica named, or the one that the replica here knows.
    async fn try_once(
        &self,
        running: &Arc<Running>,
        partition: u32,
        body: request::Body,
        hint: Option<String>,
    ) -> Result<Reply, Error> {
        let way = hint.map_or_else(|| way(&running.glance()), Way::Elsewhere);
        let answer = async {
            match way {
                Way::Here => Call::begin(&self.host, running.clone(), body)?.answer().await,
                Way::Elsewhere(address) => {
                    self.host.forwarder.forward(&address, &self.group, partition, body).await
                }
                Way::Nowhere => {
                    Err(Error::new(ErrorCode::NotLeader, "no leader is known: an election may be under way"))
                }
            }
        };
        timeout_at(self.give_up_at, answer).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// Begins a request with many answers, which any replica serves: a watch, or a scan.
    ///
    /// # Errors
    /// When no replica of the partition runs here, or it takes nothing.
    pub(crate) fn stream(&self, partition: u32, body: request::Body) -> Result<Call, Error> {
        Call::begin(&self.host, self.host.running(&self.group, partition)?, body)
    }
}

fn way(glance: &watch::Receiver<Glance>) -> Way {
    let glance = glance.borrow();
    if glance.standing.role == Role::Leader {
        return Way::Here;
    }
    let leader = glance.standing.leader.map_or(0, |leader| leader.get());
    let address = glance.members.iter().find(|member| member.id == leader);
    address.map_or(Way::Nowhere, |leader| Way::Elsewhere(leader.client_address.clone()))
}

fn may_repeat(error: &WireError, repeat: Repeat) -> bool {
    let passes = [ErrorCode::NotLeader, ErrorCode::Unavailable].contains(&ErrorCode::from_number(error.code));
    passes && (repeat == Repeat::Freely || !error.may_have_happened)
}

fn no_answer() -> Error {
    Error::ambiguous(ErrorCode::Timeout, "no answer in time: the request may still be executed")
}

/// How long the caller waits: the header `grpc-timeout`, a number of at most 8 digits and a unit.
fn patience(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok().filter(|_| number.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// A request to a replica on this node. Dropping it withdraws it, as far as that is possible.
pub(crate) struct Call {
    running: Arc<Running>,
    client: u64,
    outlet: Outlet,
}

impl Call {
    fn begin(host: &Host, running: Arc<Running>, body: request::Body) -> Result<Self, Error> {
        let client = host.next_client();
        let (sender, outlet) = outbox();
        running.mail(Mail::Connect(client, sender));
        let call = Self { running, client, outlet };
        call.running.ask(client, vec![Request { tag: 1, body: Some(body) }])?;
        Ok(call)
    }

    async fn answer(mut self) -> Result<Reply, Error> {
        let mut outgoing = self.next().await?;
        outgoing
            .replies
            .pop()
            .ok_or_else(|| Error::new(ErrorCode::Internal, "an answer came without an answer"))
    }

    /// What comes next. Events in it count as passed on.
    pub(crate) async fn next(&mut self) -> Result<Outgoing, Error> {
        let outgoing = self.outlet.take().await;
        let outgoing = outgoing
            .ok_or_else(|| Error::ambiguous(ErrorCode::Unavailable, "the replica here has stopped"))?;
        let events = outgoing.deliveries.iter().flat_map(|delivery| &delivery.events);
        let bytes: usize = events.map(|event| event.len()).sum();
        if bytes > 0 {
            self.running.mail(Mail::Input(synod_replica::Input::EventsSent(self.client, bytes)));
        }
        Ok(outgoing)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.running.mail(Mail::Disconnect(self.client));
    }
}
