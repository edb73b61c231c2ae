//! What the service asks of whoever keeps the groups.

use synod_api::PartitionGroup;
use synod_types::Error;
use tokio::sync::watch;

use super::catalog::Groups;

/// Whoever keeps the groups: the supervisor of `synod dev`, or the operator on Kubernetes.
pub trait Directory: Send + Sync + 'static {
    /// The groups as they are, now and whenever they change.
    fn groups(&self) -> watch::Receiver<Groups>;

    /// Takes on a new group, which has been validated. Done when it is remembered and in [`Directory::groups`]; it need
    /// not serve yet.
    ///
    /// # Errors
    /// [`AlreadyExists`](synod_types::ErrorCode::AlreadyExists), or why it cannot be had.
    fn create_group(&self, group: PartitionGroup) -> impl Future<Output = Result<(), Error>> + Send;

    /// Gives a group up. Done when it is no longer in [`Directory::groups`]; what becomes of its data, its spec says.
    ///
    /// # Errors
    /// [`NotFound`](synod_types::ErrorCode::NotFound).
    fn delete_group(&self, namespace: &str, name: &str) -> impl Future<Output = Result<(), Error>> + Send;
}
