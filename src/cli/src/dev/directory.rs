//! The groups that run here, for the controller service: it creates and deletes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use synod_api::{PartitionGroup, VolumePolicy};
use synod_operator::controller::{Directory, GroupKey, Groups};
use synod_types::{Error, ErrorCode};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::console;
use super::group::{Group, Shared};
use super::merge::{accept, set_aside};
use super::node::{Order, forward};
use super::ports;
use super::state::{NodeState, Origin, key_of};
use super::wanted::not_here;

/// The groups that run here.
#[derive(Debug)]
pub(super) struct LocalDirectory {
    shared: Arc<Shared>,
    running: Mutex<BTreeMap<GroupKey, Running>>,
}

#[derive(Debug)]
struct Running {
    order: watch::Sender<Order>,
    task: JoinHandle<()>,
}

impl LocalDirectory {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: Mutex::default() }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Starts a group that is remembered.
    pub(super) async fn start(&self, key: &GroupKey) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        self.start_locked(&mut running, key)
    }

    fn start_locked(&self, running: &mut BTreeMap<GroupKey, Running>, key: &GroupKey) -> anyhow::Result<()> {
        let state = self.shared.state.get().group(key).cloned().context("the group is not remembered")?;
        let group = Group::start(self.shared.clone(), state)?;
        let order = watch::Sender::new(Order::Run);
        let task = tokio::spawn(group.run(order.subscribe()));
        running.insert(key.clone(), Running { order, task });
        Ok(())
    }

    /// Stops everything as ordered; done when no process is left.
    pub(super) async fn stop_all(&self, order: watch::Receiver<Order>) {
        let running = std::mem::take(&mut *self.running.lock().await);
        forward(running.into_values().map(|Running { order, task }| (order, task)), order).await;
    }

    async fn create(&self, group: &PartitionGroup) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        let (key, settings) = (key_of(group), &self.shared.settings);
        let mut state = self.shared.state.get();
        if state.group(&key).is_some() {
            let message = format!("there is a group {}/{} already", key.0, key.1);
            return Err(Error::new(ErrorCode::AlreadyExists, message).into());
        }
        if let Some(problem) = not_here(group) {
            return Err(Error::new(ErrorCode::Invalid, problem.to_string()).into());
        }
        accept(&mut state, settings, Origin::Api, group)?;
        let nodes = state.group(&key).map(|group| group.nodes.clone()).unwrap_or_default();
        check_ports(settings.listen, &key, &nodes, "stop that program").await?;
        set_aside(settings, &key)?;
        self.shared.state.update(|remembered| accept(remembered, settings, Origin::Api, group))?;
        console::say(format_args!("group {}/{} is created", key.0, key.1));
        self.start_locked(&mut running, &key)
    }

    async fn delete(&self, key: &GroupKey) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        let known = self.shared.state.get().group(key).cloned();
        let (Some(Running { order, task }), Some(known)) = (running.remove(key), known) else {
            let message = format!("there is no group {}/{}", key.0, key.1);
            return Err(Error::new(ErrorCode::NotFound, message).into());
        };
        order.send_replace(Order::Stop);
        task.await.context("the group did not stop in order")?;
        self.shared.catalog.remove(&key.0, &key.1);
        self.shared.state.update(|state| {
            state.groups.retain(|group| group.key() != *key);
            Ok(())
        })?;
        let aside = set_aside(&self.shared.settings, key)?;
        let fate = match aside {
            Some(aside) if known.manifest.spec.storage.when_deleted == VolumePolicy::Delete => {
                tokio::fs::remove_dir_all(&aside).await.context("cannot delete the data of the group")?;
                "its data is gone".to_owned()
            }
            Some(aside) => format!("its data is kept in \"{}\"", aside.display()),
            None => "there was no data".to_owned(),
        };
        console::say(format_args!("group {}/{} is deleted: {fate}", key.0, key.1));
        Ok(())
    }
}

/// Checks that the ports of nodes can be had.
pub(super) async fn check_ports(
    listen: std::net::IpAddr,
    (namespace, name): &GroupKey,
    nodes: &[NodeState],
    advice: &str,
) -> anyhow::Result<()> {
    for node in nodes {
        for (port, purpose) in node.ports.purposes() {
            if let Err(error) = ports::await_free(listen, port).await {
                let purpose = format!("{purpose} of {} of group {namespace}/{name}", node.name);
                anyhow::bail!(ports::refusal(listen, port, &purpose, &error, advice));
            }
        }
    }
    Ok(())
}

/// An error for a caller of the service: ours as it is, any other as one that lies with this machine.
fn told(error: anyhow::Error) -> Error {
    error.downcast().unwrap_or_else(|error| Error::new(ErrorCode::Unavailable, format!("{error:#}")))
}

impl Directory for LocalDirectory {
    fn groups(&self) -> watch::Receiver<Groups> {
        self.shared.catalog.subscribe()
    }

    async fn create_group(&self, group: PartitionGroup) -> Result<(), Error> {
        self.create(&group).await.map_err(told)
    }

    async fn delete_group(&self, namespace: &str, name: &str) -> Result<(), Error> {
        self.delete(&(namespace.to_owned(), name.to_owned())).await.map_err(told)
    }
}
