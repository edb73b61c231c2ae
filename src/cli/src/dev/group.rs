//! One group: its nodes, and the loop that keeps its members as they are declared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use synod_node::SystemClock;
use synod_operator::controller::{Catalog, GroupView, PartitionView};
use synod_operator::membership::{
    AdminChannel, Founder, Genesis, Node as SeenNode, Nodes, Observation, Replica, Step, carry_out,
    may_leave, plan,
};
use synod_proto::controller::v1 as wire;
use synod_types::{Clock as _, Error, PartitionId, slot_count};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use super::console;
use super::launch::Launch;
use super::news::News;
use super::node::{Node, Order, View, forward};
use super::settings::Settings;
use super::state::{GroupState, NodeState, StateFile};

/// How long to wait before a step that was refused is planned again.
const RETRY: Duration = Duration::from_millis(200);

/// What all groups share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) state: StateFile,
    pub(super) catalog: Catalog,
}

/// One group.
pub(super) struct Group {
    shared: Arc<Shared>,
    /// What is remembered of it.
    state: GroupState,
    /// "namespace/name".
    label: String,
    nodes: BTreeMap<String, Node>,
    admin: Nodes,
    partitions: Vec<Partition>,
    steps: JoinSet<(PartitionId, Result<(), Error>)>,
    wake: Arc<Notify>,
    news: News,
}

/// One partition of it.
struct Partition {
    id: PartitionId,
    observation: Observation,
    step: Step,
    /// The step is being carried out.
    is_busy: bool,
    /// What became of the last step shows only in what nodes were asked for after this.
    observe_after: Instant,
}

impl Group {
    /// A group that is remembered. Its nodes are started, and it is in the catalog.
    pub(super) fn start(shared: Arc<Shared>, state: GroupState) -> anyhow::Result<Self> {
        let (namespace, name) = state.key();
        let begin = |id| Partition {
            id: PartitionId(id),
            observation: Observation::default(),
            step: Step::Wait("the nodes start".to_owned()),
            is_busy: false,
            observe_after: Instant::now(),
        };
        let mut group = Self {
            shared,
            label: format!("{namespace}/{name}"),
            nodes: BTreeMap::new(),
            admin: Nodes::default(),
            partitions: (0..state.manifest.spec.partitions).map(begin).collect(),
            steps: JoinSet::new(),
            wake: Arc::new(Notify::new()),
            news: News::default(),
            state,
        };
        for node in group.state.nodes.clone() {
            group.start_node(&node)?;
        }
        group.observe();
        group.publish()?;
        Ok(group)
    }

    fn start_node(&mut self, node: &NodeState) -> anyhow::Result<()> {
        let settings = &self.shared.settings;
        let key = self.state.key();
        let launch = Launch::new(settings, &self.state, node);
        let dir = settings.node_dir(&key, &node.name);
        let channel = AdminChannel::new(&settings.address(node.ports.client))?;
        self.admin.insert(&node.name, channel.clone());
        let kept = Node::start(&node.name, &self.label, launch, dir, channel, self.wake.clone());
        self.nodes.insert(node.name.clone(), kept);
        Ok(())
    }

    /// Keeps the group until it is told to stop, and then stops its nodes.
    pub(super) async fn run(mut self, mut order: watch::Receiver<Order>) {
        while *order.borrow_and_update() == Order::Run {
            tokio::select! {
                () = self.wake.notified() => {}
                Some(done) = self.steps.join_next() => self.step_done(done),
                _ = order.changed() => continue,
            }
            if let Err(error) = self.turn().await {
                console::warn(format_args!("group {}: {error:#}", self.label));
                sleep(RETRY).await;
            }
        }
        self.steps.abort_all();
        forward(self.nodes.into_values().map(Node::dismiss), order).await;
    }

    /// Looks at everything, and begins what is to be done.
    async fn turn(&mut self) -> anyhow::Result<()> {
        let fresh = self.observe();
        self.plan(&fresh)?;
        if !self.state.manifest.spec.paused {
            self.act(&fresh);
            self.retire().await?;
        }
        let group = self.publish()?;
        self.news.group(&self.label, &group);
        let steps = self.partitions.iter().map(|partition| (&partition.observation, &partition.step));
        self.news.steps(&self.label, steps);
        Ok(())
    }

    /// Looks at all partitions. Returns those of which enough is seen to plan the next step.
    fn observe(&mut self) -> Vec<PartitionId> {
        let views: Vec<(&NodeState, Option<View>)> =
            self.state.nodes.iter().map(|node| (node, self.nodes.get(&node.name).map(Node::view))).collect();
        let mut fresh = Vec::new();
        for partition in &mut self.partitions {
            let nodes = views.iter().map(|(node, view)| {
                let status = view.as_ref().and_then(|view| view.status.as_ref());
                let of_status = |status| Replica::of_status(status, &self.label, partition.id);
                SeenNode {
                    name: node.name.clone(),
                    peer_address: self.shared.settings.address(node.ports.peer),
                    client_address: self.shared.settings.address(node.ports.client),
                    desired: !node.leaving,
                    replica: status.map_or(Replica::Unreachable, of_status),
                }
            });
            partition.observation = Observation { nodes: nodes.collect() };
            let is_new = |view: &View| view.asked_at > partition.observe_after;
            let all_new = views.iter().all(|(_, view)| view.as_ref().is_some_and(is_new));
            if all_new && !partition.is_busy {
                fresh.push(partition.id);
            }
        }
        fresh
    }

    /// Plans the next steps. What is decided once is remembered before anything comes of it.
    fn plan(&mut self, fresh: &[PartitionId]) -> anyhow::Result<()> {
        let mut born = Vec::new();
        for partition in self.partitions.iter_mut().filter(|partition| fresh.contains(&partition.id)) {
            partition.step = plan(&partition.observation, self.state.born.get(&partition.id.get()));
            if let Step::Begin { founders } = &partition.step {
                born.push((partition.id, genesis(&self.state, founders)?));
            }
        }
        if born.is_empty() || self.state.manifest.spec.paused {
            return Ok(());
        }
        let ids: Vec<_> = born.iter().map(|(id, _)| *id).collect();
        self.remember(|state| state.born.extend(born.into_iter().map(|(id, genesis)| (id.get(), genesis))))?;
        self.plan(&ids)
    }

    /// Begins to carry out what was planned.
    fn act(&mut self, fresh: &[PartitionId]) {
        for partition in self.partitions.iter_mut().filter(|partition| fresh.contains(&partition.id)) {
            let Step::Act { action, reason } = &partition.step else { continue };
            let (id, group, nodes, action) =
                (partition.id, self.label.clone(), self.admin.clone(), action.clone());
            tracing::debug!(group, partition = %id, ?action, reason, "step");
            partition.is_busy = true;
            self.steps.spawn(async move { (id, carry_out(&action, &group, id, &nodes).await) });
        }
    }

    fn step_done(&mut self, done: Result<(PartitionId, Result<(), Error>), JoinError>) {
        let Ok((id, outcome)) = done else { return };
        let Some(partition) = self.partitions.iter_mut().find(|partition| partition.id == id) else { return };
        partition.is_busy = false;
        partition.observe_after = Instant::now();
        match outcome {
            Ok(()) => self.nodes.values().for_each(Node::ask_now),
            Err(error) => {
                tracing::debug!(group = self.label, partition = %id, %error, "step refused");
                partition.observe_after += RETRY;
            }
        }
    }

    /// Stops a node on which nobody counts any more, and deletes what it has: it is of no use.
    async fn retire(&mut self) -> anyhow::Result<()> {
        let is_free = |node: &&NodeState| {
            node.leaving
                && self.partitions.iter().all(|partition| {
                    let born = self.state.born.get(&partition.id.get());
                    !partition.is_busy && may_leave(&partition.observation, born, &node.name)
                })
        };
        let Some(name) = self.state.nodes.iter().find(is_free).map(|node| node.name.clone()) else {
            return Ok(());
        };
        self.admin.remove(&name);
        if let Some(node) = self.nodes.remove(&name) {
            let order = watch::Sender::new(Order::Stop);
            forward([node.dismiss()].into_iter(), order.subscribe()).await;
        }
        let dir = self.shared.settings.node_dir(&self.state.key(), &name);
        tokio::fs::remove_dir_all(&dir).await.or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error).with_context(|| format!("cannot delete \"{}\"", dir.display())),
        })?;
        self.remember(|state| state.nodes.retain(|node| node.name != name))?;
        console::say(format_args!("{name} of {} is no longer needed and is gone", self.label));
        Ok(())
    }

    fn remember(&mut self, change: impl FnOnce(&mut GroupState)) -> anyhow::Result<()> {
        let key = self.state.key();
        self.state = self.shared.state.update(|state| {
            let group = state.group_mut(&key).context("the group is not remembered any more")?;
            change(group);
            Ok(group.clone())
        })?;
        Ok(())
    }

    /// Lets clients see how the group is.
    fn publish(&self) -> anyhow::Result<wire::Group> {
        let spec = &self.state.manifest.spec;
        let (namespace, name) = self.state.key();
        let view = GroupView {
            namespace: &namespace,
            name: &name,
            protocol: format!("{:?}", spec.protocol.protocol),
            replicas: spec.replicas,
            slots: slot_count(spec.partitions)?,
            partitions: self
                .partitions
                .iter()
                .map(|partition| PartitionView { observation: &partition.observation, step: &partition.step })
                .collect(),
        };
        let group = view.describe();
        self.shared.catalog.publish(group.clone());
        Ok(group)
    }
}

fn genesis(state: &GroupState, founders: &[Founder]) -> anyhow::Result<Genesis> {
    let spec = &state.manifest.spec;
    Ok(Genesis::new(founders.to_vec(), spec.partitions, &spec.limits(), SystemClock.wall_ms())?)
}
