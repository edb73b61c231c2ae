//! What the supervisor remembers: the file `state.yaml` in the data directory.
//!
//! It holds what was decided once and must stay so: which groups there are, as their specs were accepted; where their
//! nodes listen, because members know each other by that; and how each partition began, because that happens once.
//! It is replaced as a whole, durably, before anything takes effect.
//!
//! PERSISTED: fields are added, never renamed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use synod_api::PartitionGroup;
use synod_operator::controller::GroupKey;
use synod_operator::membership::Genesis;
use synod_storage::disk::{RealDisk, replace_file};
use synod_types::DEFAULT_NAMESPACE;

use super::ports::{NodePorts, Scheme};

/// The name of the file. No namespace is called like it: the name has a dot.
const FILE: &str = "state.yaml";

/// The version of the layout.
const VERSION: u32 = 1;

/// Everything that is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    /// By which address members and clients know the nodes.
    pub(super) host: IpAddr,
    pub(super) ports: Scheme,
    pub(super) controller_port: u16,
    pub(super) groups: Vec<GroupState>,
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Header {
    version: u32,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GroupState {
    pub(super) origin: Origin,
    /// When it was created, in milliseconds since 1970.
    pub(super) created_ms: u64,
    /// As it was accepted last.
    pub(super) manifest: PartitionGroup,
    pub(super) nodes: Vec<NodeState>,
    /// How each partition began that did.
    #[serde(default)]
    pub(super) born: BTreeMap<u32, Genesis>,
}

/// Who wants a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Origin {
    /// A file; the group runs while that file is given.
    File,
    /// A call of the controller service; the group runs until another call deletes it.
    Api,
}

/// A node of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NodeState {
    pub(super) name: String,
    pub(super) ports: NodePorts,
    /// It is to go, and does so once no partition counts on it. It never comes back: another of its name would find
    /// what a member left that was taken out.
    #[serde(default)]
    pub(super) leaving: bool,
}

/// The namespace and name of a group.
pub(super) fn key_of(group: &PartitionGroup) -> GroupKey {
    let namespace = group.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    (namespace.to_owned(), group.metadata.name.clone().unwrap_or_default())
}

impl GroupState {
    pub(super) fn key(&self) -> GroupKey {
        key_of(&self.manifest)
    }

    /// How many nodes stay.
    pub(super) fn staying(&self) -> usize {
        self.nodes.iter().filter(|node| !node.leaving).count()
    }

    /// Brings the nodes in line with the replicas: those that are too many begin to leave, those that are missing are
    /// named, and listen where `place` says.
    pub(super) fn scale(
        &mut self,
        mut place: impl FnMut() -> anyhow::Result<NodePorts>,
    ) -> anyhow::Result<()> {
        let replicas = usize::try_from(self.manifest.spec.replicas).unwrap_or(usize::MAX);
        let too_many = self.staying().saturating_sub(replicas);
        for node in self.nodes.iter_mut().rev().filter(|node| !node.leaving).take(too_many) {
            node.leaving = true;
        }
        while self.staying() < replicas {
            let names: BTreeSet<_> = self.nodes.iter().map(|node| node.name.clone()).collect();
            let mut free = (0..).map(|number| format!("node-{number}")).filter(|name| !names.contains(name));
            let name = free.next().unwrap_or_default();
            self.nodes.push(NodeState { name, ports: place()?, leaving: false });
        }
        Ok(())
    }
}

impl State {
    /// What is remembered of nothing.
    pub(super) const fn new(host: IpAddr, ports: Scheme, controller_port: u16) -> Self {
        Self { version: VERSION, host, ports, controller_port, groups: Vec::new() }
    }

    pub(super) fn group(&self, key: &GroupKey) -> Option<&GroupState> {
        self.groups.iter().find(|group| group.key() == *key)
    }

    pub(super) fn group_mut(&mut self, key: &GroupKey) -> Option<&mut GroupState> {
        self.groups.iter_mut().find(|group| group.key() == *key)
    }

    /// The ports that nodes have.
    pub(super) fn taken(&self) -> BTreeSet<u16> {
        let nodes = self.groups.iter().flat_map(|group| &group.nodes);
        nodes.flat_map(|node| node.ports.all()).chain([self.controller_port]).collect()
    }

    /// Reads what was remembered in a directory, if anything was.
    pub(super) fn read(dir: &Path, shown: &str) -> anyhow::Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("cannot read \"{}\"", path.display()))?,
        };
        let advice = format!(
            "the data of the groups is of no use without it: bring it back from a backup, or move \"{shown}\" away and \
             begin anew, empty"
        );
        let damaged = || format!("\"{}\" is damaged; {advice}", path.display());
        let Header { version } = serde_yaml::from_str(&text).with_context(damaged)?;
        if version != VERSION {
            bail!("\"{}\" was written by a newer version of Synod: it has version {version}", path.display());
        }
        serde_yaml::from_str(&text).map(Some).with_context(damaged)
    }
}

/// What is remembered, and where.
#[derive(Debug)]
pub(super) struct StateFile {
    dir: PathBuf,
    state: Mutex<State>,
}

impl StateFile {
    /// Remembers this from now on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn create(dir: &Path, state: State) -> anyhow::Result<Self> {
        write(dir, &state)?;
        Ok(Self { dir: dir.to_owned(), state: Mutex::new(state) })
    }

    /// A copy of what is remembered.
    pub(super) fn get(&self) -> State {
        self.lock().clone()
    }

    /// Changes what is remembered; it is on disk on return.
    ///
    /// # Errors
    /// When `change` refuses, or it cannot be written. What was remembered before still is.
    pub(super) fn update<T>(
        &self,
        change: impl FnOnce(&mut State) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut state = self.lock();
        let mut changed = state.clone();
        let result = change(&mut changed)?;
        if changed != *state {
            write(&self.dir, &changed)?;
            *state = changed;
        }
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(dir: &Path, state: &State) -> anyhow::Result<()> {
    let cannot = || format!("cannot write \"{}\"", dir.join(FILE).display());
    let text = serde_yaml::to_string(state).with_context(cannot)?;
    replace_file(&RealDisk, dir, FILE, text.as_bytes()).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use synod_operator::membership::Founder;
    use synod_types::{Limits, MemberId};

    use super::*;

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn sample() -> GroupState {
        let text = super::super::wanted::SAMPLE;
        let manifest = synod_api::manifest::read("sample", text.as_bytes()).unwrap().remove(0);
        let synod_api::manifest::Object::PartitionGroup(manifest) = manifest.object else { panic!() };
        let manifest = *manifest;
        GroupState { origin: Origin::File, created_ms: 1, manifest, nodes: Vec::new(), born: BTreeMap::new() }
    }

    fn names(group: &GroupState) -> Vec<(&str, bool)> {
        group.nodes.iter().map(|node| (node.name.as_str(), node.leaving)).collect()
    }

    #[test]
    fn it_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert!(State::read(dir.path(), "x").unwrap().is_none());
        let file = StateFile::create(dir.path(), State::new(HOST, Scheme::From(7_000), 7_001)).unwrap();
        let mut group = sample();
        group.scale(|| Ok(NodePorts { client: 1, peer: 2, metrics: 3 })).unwrap();
        let founder = Founder {
            id: MemberId(9_007_199_254_740_991),
            node: "node-0".into(),
            peer_address: "127.0.0.1:2".into(),
            client_address: "127.0.0.1:1".into(),
        };
        group.born.insert(2, Genesis::new(vec![founder], 3, &Limits::default(), 7).unwrap());
        let change = |state: &mut State| {
            state.groups.push(group.clone());
            Ok(())
        };
        file.update(change).unwrap();
        let read = State::read(dir.path(), "x").unwrap().unwrap();
        assert_eq!(read, file.get());
        assert_eq!(read.group(&("default".into(), "sample".into())), Some(&group));
        assert_eq!(read.taken(), BTreeSet::from([1, 2, 3, 7_001]));
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::create(dir.path(), State::new(HOST, Scheme::Usual, 5_679)).unwrap();
        let refused: anyhow::Result<()> = file.update(|state| {
            state.controller_port = 1;
            bail!("no")
        });
        assert!(refused.is_err());
        assert_eq!(file.get().controller_port, 5_679);
        std::fs::remove_dir_all(dir.path()).unwrap();
        let unwritten = file.update(|state| {
            state.controller_port = 1;
            Ok(())
        });
        assert!(unwritten.unwrap_err().to_string().contains("cannot write"));
        assert_eq!(file.get().controller_port, 5_679);
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("version: 1\nhost: [", "is damaged; the data of the groups is of no use without it"),
            ("version: 1\n", "is damaged"),
            ("", "is damaged"),
        ] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let error = format!("{:#}", State::read(dir.path(), ".synod").unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
        std::fs::write(dir.path().join(FILE), "version: 2\nsomething: new\n").unwrap();
        let error = State::read(dir.path(), ".synod").unwrap_err().to_string();
        assert!(error.contains("a newer version of Synod"), "{error}");
    }

    #[test]
    fn nodes_come_and_go_with_the_replicas_and_none_comes_back() {
        let mut group = sample();
        let mut scale = |replicas| {
            group.manifest.spec.replicas = replicas;
            group.scale(|| Ok(NodePorts { client: 1, peer: 2, metrics: 3 })).unwrap();
            group.clone()
        };
        assert_eq!(names(&scale(3)), [("node-0", false), ("node-1", false), ("node-2", false)]);
        assert_eq!(names(&scale(1)), [("node-0", false), ("node-1", true), ("node-2", true)]);
        assert_eq!(
            names(&scale(3)),
            [("node-0", false), ("node-1", true), ("node-2", true), ("node-3", false), ("node-4", false)]
        );
    }
}
