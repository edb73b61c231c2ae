//! What a cluster has behind its API server, as far as the operator can tell: a controller of StatefulSets, kubelets,
//! and members of groups, thousands of them in this one process.
//!
//! A pod has an address of its own in 127.64.0.0/10, all of which is this machine, so the members share one listener and
//! tell by the address who was asked.

mod members;
mod membership;
mod primitives;
mod sets;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::Runtime;

pub(crate) use self::members::Members;

/// All pods there are share one port, so that there is one cluster at a time.
static ONE: Mutex<()> = Mutex::new(());

/// A cluster that runs until this is dropped.
pub(crate) struct Simulation {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    pub(crate) members: Arc<Members>,
    // The last to go: until then the port is in use.
    _one: MutexGuard<'static, ()>,
}

impl Simulation {
    pub(crate) fn start(kubeconfig: &Path) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = Runtime::new().unwrap();
        let members = Arc::new(Members::default());
        let client = runtime.block_on(async {
            let client = client(kubeconfig).await;
            members::serve(members.clone()).await;
            tokio::spawn(sets::keep(client.clone(), members.clone()));
            client
        });
        Self { runtime, client, members, _one: one }
    }
}

/// A client of the API server that takes every answer for an answer.
pub(crate) async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}
