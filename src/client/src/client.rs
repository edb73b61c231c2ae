//! The client of a cluster: finds groups, and keeps what they share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use synod_types::Application;

use crate::builder::ClientBuilder;
use crate::controller::Controller;
use crate::error::Result;
use crate::group::{Environment, Group, Shared as SharedGroup};
use crate::resolver::Resolver;

/// Stands for the one group of the namespace: no group is called this.
const THE_ONE: &str = "";

/// A program's way to the groups of a namespace. Cloning is cheap, and all clones share streams and sessions.
///
/// It works on the Tokio runtime on which it is first used. When that goes down, so does the client: what is asked
/// afterwards fails as if it was closed, and its sessions expire.
///
/// A client that is dropped, with all that came from it, closes its sessions as far as it still can; [`Client::close`]
/// waits for that.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) controller: Option<Controller>,
    pub(crate) namespace: String,
    pub(crate) group: Option<String>,
    pub(crate) application: Application,
    pub(crate) environment: Environment,
    pub(crate) groups: Mutex<HashMap<String, Arc<SharedGroup>>>,
}

impl Client {
    /// What a client can be told. Without anything it takes what the environment says:
    ///
    /// | variable | stands for | if it is missing |
    /// |---|---|---|
    /// | `SYNOD_CONTROLLER` | the controller | `https://synod-controller.synod-system:5679` in a pod, else `http://127.0.0.1:5679` |
    /// | `SYNOD_CONTROLLER_CA` | a file with the certificates of those who vouch for the controller | what the API server says in a pod |
    /// | `SYNOD_TOKEN`, `SYNOD_TOKEN_FILE` | who asks the controller | the token of the pod's ServiceAccount, if it has one |
    /// | `SYNOD_NAMESPACE` | the namespace | that of the pod, else `default` |
    /// | `SYNOD_GROUP` | the default group | the one group of the namespace |
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// A group of the namespace.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](synod_types::ErrorCode::NotFound) when there is none of that name; a retryable error when
    /// the controller cannot be reached within the timeout of a request.
    pub async fn group(&self, name: &str) -> Result<Group> {
        let known = self.groups().get(name).cloned();
        let shared = match known {
            Some(shared) => shared,
            None => self.resolve(Some(name)).await?,
        };
        Ok(Group::new(shared, self.shared.application.clone()))
    }

    /// The group that the client was told, or the one group of the namespace.
    ///
    /// # Errors
    /// As [`Client::group`]; also when the namespace has several groups and the client was told none.
    pub async fn default_group(&self) -> Result<Group> {
        match &self.shared.group {
            Some(name) => self.group(name).await,
            None => {
                let known = self.groups().get(THE_ONE).cloned();
                let shared = match known {
                    Some(shared) => shared,
                    None => self.resolve(None).await?,
                };
                Ok(Group::new(shared, self.shared.application.clone()))
            }
        }
    }

    /// The controller, if the client was told one rather than a resolver.
    pub fn controller(&self) -> Option<&Controller> {
        self.shared.controller.as_ref()
    }

    /// The namespace whose groups it finds.
    pub fn namespace(&self) -> &str {
        &self.shared.namespace
    }

    /// Finishes what waits and closes all sessions: locks are released and candidates withdrawn at once instead of after
    /// the session timeout. Takes at most some seconds. What is asked afterwards fails with
    /// [`ErrorCode::Cancelled`](synod_types::ErrorCode::Cancelled).
    pub async fn close(&self) {
        let groups: Vec<_> = self.groups().values().cloned().collect();
        futures::future::join_all(groups.iter().map(|group| group.close())).await;
        #[cfg(any(test, feature = "embedded"))]
        if let Some(embedded) = self.shared.environment.embedded.clone() {
            // A thread that does not end has nothing to say about why.
            let _ = tokio::task::spawn_blocking(move || embedded.stop()).await;
        }
    }

    /// Where the embedded group keeps everything.
    #[cfg(test)]
    pub(crate) fn embedded_dir(&self) -> Option<std::path::PathBuf> {
        self.shared.environment.embedded.as_ref().and_then(|embedded| embedded.dir())
    }

    async fn resolve(&self, name: Option<&str>) -> Result<Arc<SharedGroup>> {
        let Shared { resolver, namespace, environment, .. } = &*self.shared;
        let found = SharedGroup::resolve(resolver.clone(), namespace, name, environment.clone()).await?;
        let mut groups = self.groups();
        // Whoever was first is used by all.
        let found = groups.entry(found.short_name()).or_insert(found).clone();
        if name.is_none() {
            groups.insert(THE_ONE.to_owned(), found.clone());
        }
        Ok(found)
    }

    fn groups(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<SharedGroup>>> {
        self.shared.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
