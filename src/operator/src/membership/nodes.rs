//! The admin service of each node, for whoever carries steps out.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_proto::admin::v1::StatusRequest;
use synod_proto::admin::v1::StatusResponse;
use synod_proto::admin::v1::admin_client::AdminClient;
use synod_proto::types::v1 as wire;
use synod_types::{Error, ErrorCode};
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::Channel;

use crate::channel::{Trust, endpoint};

/// The greatest status that is taken: that of a node with thousands of replicas.
const STATUS_BYTES_MAX: usize = 64 << 20;

/// The admin service of one node. Connects when it is first used, and again whenever that is needed.
#[derive(Clone, Debug)]
pub struct AdminChannel(AdminClient<Channel>);

impl AdminChannel {
    /// The admin service at a host:port, in plain text. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] when the address is none.
    pub fn new(address: &str) -> Result<Self, Error> {
        Self::trusting(address, None)
    }

    /// The same, if who answers there is to be trusted.
    pub(crate) fn trusting(address: &str, trust: Option<&Trust>) -> Result<Self, Error> {
        let channel = endpoint(address, trust)?.connect_lazy();
        Ok(Self(AdminClient::new(channel).max_decoding_message_size(STATUS_BYTES_MAX)))
    }

    /// What the node says of its replicas.
    ///
    /// # Errors
    /// When it does not answer within `patience`.
    pub async fn status(&self, patience: Duration) -> Result<StatusResponse, Error> {
        let mut client = self.client();
        within(patience, client.status(StatusRequest {})).await
    }

    pub(super) fn client(&self) -> AdminClient<Channel> {
        self.0.clone()
    }
}

/// Waits for the answer to a call.
pub(super) async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Error> {
    match timeout(patience, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(wire::Error::from_status(&status).into()),
        Err(_) => Err(Error::ambiguous(ErrorCode::Timeout, "the node does not answer in time")),
    }
}

/// The nodes of a group, by name.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    channels: BTreeMap<String, AdminChannel>,
}

impl Nodes {
    /// Makes a node known, in place of what was known under its name.
    pub fn insert(&mut self, name: impl Into<String>, channel: AdminChannel) {
        self.channels.insert(name.into(), channel);
    }

    /// Forgets a node.
    pub fn remove(&mut self, name: &str) {
        self.channels.remove(name);
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.channels.keys().map(String::as_str)
    }

    pub(super) fn client(&self, name: &str) -> Result<AdminClient<Channel>, Error> {
        let channel = self.channels.get(name);
        channel
            .map(AdminChannel::client)
            .ok_or_else(|| Error::new(ErrorCode::NotFound, format!("node \"{name}\" is not known")))
    }
}
