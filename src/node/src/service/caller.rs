//! Calls of a partition by whoever holds no stream of his own: taken at any replica, passed on to the leader.

use std::sync::Arc;
use std::time::Duration;

use synod_proto::session::v1::{Reply, Request, reply, request};
use synod_proto::types::v1::Error as WireError;
use synod_types::{Error, ErrorCode};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::Status;

use crate::driver::Mail;
use crate::host::{Host, Running};
use crate::outbox::{Outgoing, Outlet, outbox};
use crate::service::forward::forward;
use crate::service::status;

/// How long a call tries to find a leader.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits before it asks again who leads.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls of the partitions of one group.
pub(crate) struct Caller<'a> {
    host: &'a Arc<Host>,
    group: String,
}

impl<'a> Caller<'a> {
    /// A caller of a group that this node hosts a part of.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`], or [`ErrorCode::Invalid`] when the group must be named.
    pub(crate) fn new(host: &'a Arc<Host>, group: &str) -> Result<Self, Error> {
        Ok(Self { host, group: host.resolve(group)? })
    }

    /// Sends a request to the leader of a partition and returns its one answer. A request that changes something is
    /// sent once: if its outcome is unknown, the error says so.
    pub(crate) async fn call(&self, partition: u32, body: request::Body) -> Result<Reply, Status> {
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            let error = match self.try_once(partition, body.clone(), give_up_at).await {
                Ok(Reply { body: Some(reply::Body::Error(error)), .. }) => error,
                Ok(reply) => return Ok(reply),
                Err(error) => error.into(),
            };
            let again = ErrorCode::from_number(error.code) == ErrorCode::NotLeader;
            if !again || Instant::now() + PAUSE >= give_up_at {
                return Err(error.into());
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks the replica here, and the leader that it names if it does not lead.
    async fn try_once(
        &self,
        partition: u32,
        body: request::Body,
        give_up_at: Instant,
    ) -> Result<Reply, Error> {
        let running = self.host.running(&self.group, partition)?;
        let asked = Call::begin(self.host, running, body.clone()).answer();
        let reply = timeout_at(give_up_at, asked).await.unwrap_or_else(|_| Err(no_answer()))?;
        match leader_elsewhere(&reply) {
            Some(address) => {
                let forwarded = forward(&address, &self.group, partition, body);
                timeout_at(give_up_at, forwarded).await.unwrap_or_else(|_| Err(no_answer()))
            }
            None => Ok(reply),
        }
    }

    /// Begins a request with many answers, which any replica serves: a watch, or a scan.
    ///
    /// # Errors
    /// When no replica of the partition runs here.
    pub(crate) fn stream(&self, partition: u32, body: request::Body) -> Result<Call, Status> {
        let running = self.host.running(&self.group, partition).map_err(status)?;
        Ok(Call::begin(self.host, running, body))
    }
}

/// Where to go instead, if an answer says that another replica leads.
fn leader_elsewhere(reply: &Reply) -> Option<String> {
    match &reply.body {
        Some(reply::Body::Error(WireError { code, leader: Some(leader), .. }))
            if *code == ErrorCode::NotLeader.number() && !leader.client_address.is_empty() =>
        {
            Some(leader.client_address.clone())
        }
        _ => None,
    }
}

fn no_answer() -> Error {
    Error::ambiguous(ErrorCode::Timeout, "no answer in time: the request may still be executed")
}

/// A request to a replica on this node. Dropping it withdraws it, as far as that is possible.
pub(crate) struct Call {
    running: Arc<Running>,
    client: u64,
    outlet: Outlet,
}

impl Call {
    fn begin(host: &Host, running: Arc<Running>, body: request::Body) -> Self {
        let client = host.next_client();
        let (sender, outlet) = outbox();
        running.mail(Mail::Connect(client, sender));
        running.mail(Mail::Requests(client, vec![Request { tag: 1, body: Some(body) }]));
        Self { running, client, outlet }
    }

    async fn answer(mut self) -> Result<Reply, Error> {
        let mut outgoing = self.next().await?;
        outgoing
            .replies
            .pop()
            .ok_or_else(|| Error::new(ErrorCode::Internal, "an answer came without an answer"))
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Result<Outgoing, Error> {
        let outgoing = self.outlet.take().await;
        outgoing.ok_or_else(|| Error::ambiguous(ErrorCode::Unavailable, "the replica has stopped"))
    }

    /// Events of this many bytes were passed on.
    pub(crate) fn events_sent(&self, bytes: usize) {
        self.running.mail(Mail::Input(synod_replica::Input::EventsSent(self.client, bytes)));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.running.mail(Mail::Disconnect(self.client));
    }
}
