//! The controller: what groups and primitives there are, and making more.

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use synod_proto::controller::v1 as wire;
use synod_proto::controller::v1::controller_client::ControllerClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::connections;
use crate::credentials::Credentials;
use crate::error::{Error, Result};

pub use crate::discovery::{ApiServer, Authorities};
pub use synod_proto::controller::v1::{
    Group, Member, MovedSlot, Partition, Primitive, Role, WatchGroupsResponse as GroupChange,
};

/// The most bytes of one answer: many groups with many partitions.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Speaks with the controller of a cluster, or of `synod dev`.
#[derive(Clone, Debug)]
pub struct Controller {
    client: ControllerClient<InterceptedService<Channel, Credentials>>,
}

/// Names a primitive, wherever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrimitiveAddress {
    /// The namespace of the group; "default" if empty.
    pub namespace: String,
    /// The group; may be empty where the namespace has one.
    pub group: String,
    /// The application; "default" if empty.
    pub application: String,
    /// The kind, as [`synod_types::PrimitiveKind::as_str`] gives it.
    pub kind: String,
    /// The name.
    pub name: String,
}

impl Controller {
    /// A controller at `http://host:port`, or in a pod that of its cluster at `https://synod-controller.NAMESPACE:port`,
    /// which is told who asks. Connects when it is first asked, on the runtime of the caller.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`](synod_types::ErrorCode::Invalid) when that is no address, when nobody knows who vouches for
    /// it, or when those are no credentials.
    pub fn new(address: &str, credentials: Credentials) -> Result<Self> {
        Self::over(connections::channel_to_controller(address, None)?, credentials)
    }

    /// The same at `https://host:port`, if certain authorities vouch for it: nobody else is told anything.
    ///
    /// # Errors
    /// As [`Controller::new`].
    pub fn trusting(authorities: Authorities, address: &str, credentials: Credentials) -> Result<Self> {
        Self::over(connections::channel_to_controller(address, Some(authorities))?, credentials)
    }

    fn over(channel: Channel, credentials: Credentials) -> Result<Self> {
        credentials.check()?;
        let client = ControllerClient::with_interceptor(channel, credentials);
        Ok(Self { client: client.max_decoding_message_size(ANSWER_BYTES_MAX) })
    }

    /// The groups of a namespace; of all namespaces if it is empty.
    ///
    /// # Errors
    /// Whatever the controller says, or that it cannot be reached.
    pub async fn groups(&self, namespace: &str) -> Result<Vec<Group>> {
        let request = wire::ListGroupsRequest { namespace: namespace.to_owned() };
        let response = self.client.clone().list_groups(request).await.map_err(read)?;
        Ok(response.into_inner().groups)
    }

    /// A group. The name may be empty where the namespace has one group, the namespace if it is "default".
    ///
    /// # Errors
    /// As [`Controller::groups`].
    pub async fn group(&self, namespace: &str, name: &str) -> Result<Group> {
        let request = wire::GetGroupRequest { namespace: namespace.to_owned(), name: name.to_owned() };
        Ok(self.client.clone().get_group(request).await.map_err(read)?.into_inner())
    }

    /// The groups of a namespace, or the one with a name, as they are; then each one that changes. The stream ends with
    /// the connection: watch again.
    ///
    /// # Errors
    /// As [`Controller::groups`].
    pub async fn watch_groups(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<BoxStream<'static, Result<GroupChange>>> {
        let request = wire::WatchGroupsRequest { namespace: namespace.to_owned(), name: name.to_owned() };
        let changes = self.client.clone().watch_groups(request).await.map_err(read)?.into_inner();
        Ok(changes.map_err(read).boxed())
    }

    /// Creates a group from the YAML or JSON of a `PartitionGroup`.
    ///
    /// # Errors
    /// As [`Controller::groups`].
    pub async fn create_group(&self, manifest: impl Into<String>) -> Result<Group> {
        let request = wire::CreateGroupRequest { manifest: manifest.into() };
        Ok(self.client.clone().create_group(request).await.map_err(write)?.into_inner())
    }

    /// Deletes a group with all that it holds.
    ///
    /// # Errors
    /// As [`Controller::groups`].
    pub async fn delete_group(&self, namespace: &str, name: &str) -> Result<()> {
        let request = wire::DeleteGroupRequest { namespace: namespace.to_owned(), name: name.to_owned() };
        self.client.clone().delete_group(request).await.map_err(write)?;
        Ok(())
    }

    /// The primitives of a group; those of one application if it is not empty.
    ///
    /// # Errors
    /// As [`Controller::groups`].
    pub async fn primitives(
        &self,
        namespace: &str,
        group: &str,
        application: &str,
    ) -> Result<Vec<Primitive>> {
        let request = wire::ListPrimitivesRequest {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            application: application.to_owned(),
        };
        let response = self.client.clone().list_primitives(request).await.map_err(read)?;
        Ok(response.into_inner().primitives)
    }

    /// One primitive.
    ///
    /// # Errors
    /// As [`Controller::groups`].
    pub async fn primitive(&self, address: PrimitiveAddress) -> Result<Primitive> {
        let PrimitiveAddress { namespace, group, application, kind, name } = address;
        let request = wire::GetPrimitiveRequest { namespace, group, application, kind, name };
        Ok(self.client.clone().get_primitive(request).await.map_err(read)?.into_inner())
    }

    /// Creates a primitive from the YAML or JSON of a `Primitive`.
    ///
    /// # Errors
    /// As [`Controller::groups`].
    pub async fn create_primitive(&self, manifest: impl Into<String>) -> Result<Primitive> {
        let request = wire::CreatePrimitiveRequest { manifest: manifest.into() };
        Ok(self.client.clone().create_primitive(request).await.map_err(write)?.into_inner())
    }

    /// Deletes a primitive with all that it holds.
    ///
    /// # Errors
    /// As [`Controller::groups`].
    pub async fn delete_primitive(&self, address: PrimitiveAddress) -> Result<()> {
        let PrimitiveAddress { namespace, group, application, kind, name } = address;
        let request = wire::DeletePrimitiveRequest { namespace, group, application, kind, name };
        self.client.clone().delete_primitive(request).await.map_err(write)?;
        Ok(())
    }
}

fn write(status: tonic::Status) -> Error {
    Error::from_status(&status).within("the controller")
}

/// What only reads leaves no doubt about what was written.
fn read(status: tonic::Status) -> Error {
    let error = write(status);
    Error::new(error.code(), error.message())
}
