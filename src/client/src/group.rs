//! A group: where its partitions are, and the handles of what it holds.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use synod_types::{Application, ErrorCode, PartitionId, PrimitiveId};
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::clock;
use crate::connections::Connections;
use crate::error::{Error, Result};
use crate::partition::pipeline::Settings;
use crate::partition::{LastLeader, Partition, Purpose, Surroundings};
use crate::primitives::{Counter, Election, Lock, Map, Set, Value};
use crate::resolver::{Resolver, Topology};

/// How often the controller is asked again when it does not answer: first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A partition group, as one application uses it. Cloning is cheap, and all clones share streams and sessions.
///
/// The handles that it gives ask nobody: a primitive is created when it is first used, unless the handle is told that it
/// must exist already.
#[derive(Clone, Debug)]
pub struct Group {
    shared: Arc<Shared>,
    application: Application,
}

/// What all users of a group in one client share.
#[derive(Debug)]
pub(crate) struct Shared {
    name: String,
    topology: watch::Receiver<Arc<Topology>>,
    partitions: Vec<OnceLock<Arc<Partition>>>,
    /// Primitives that were seen to exist on their home partition.
    known: Mutex<HashSet<PrimitiveId>>,
    settings: Settings,
    request_timeout: Duration,
    connections: Arc<Connections>,
    /// Lives as long as the group is used.
    #[cfg(any(test, feature = "embedded"))]
    _embedded: Option<Arc<crate::embedded::Embedded>>,
}

/// What a group needs of its client.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    pub(crate) settings: Settings,
    pub(crate) request_timeout: Duration,
    pub(crate) connections: Arc<Connections>,
    #[cfg(any(test, feature = "embedded"))]
    pub(crate) embedded: Option<Arc<crate::embedded::Embedded>>,
}

impl Shared {
    /// Finds a group, and follows it for as long as it is used.
    pub(crate) async fn resolve(
        resolver: Arc<dyn Resolver>,
        namespace: &str,
        name: Option<&str>,
        environment: Environment,
    ) -> Result<Arc<Self>> {
        let (first, changes) = find(&*resolver, namespace, name, environment.request_timeout).await?;
        let first = Arc::new(first);
        let (sender, topology) = watch::channel(first.clone());
        tokio::spawn(follow(resolver, changes, sender));
        Ok(Arc::new(Self {
            name: first.full_name(),
            topology,
            partitions: first.partitions.iter().map(|_| OnceLock::new()).collect(),
            known: Mutex::default(),
            settings: environment.settings,
            request_timeout: environment.request_timeout,
            connections: environment.connections,
            #[cfg(any(test, feature = "embedded"))]
            _embedded: environment.embedded,
        }))
    }

    /// The name within the namespace.
    pub(crate) fn short_name(&self) -> String {
        self.topology.borrow().name.clone()
    }

    /// Closes what was opened.
    pub(crate) async fn close(&self) {
        let opened = self.partitions.iter().filter_map(OnceLock::get);
        futures::future::join_all(opened.map(|partition| partition.close())).await;
    }
}

impl Group {
    pub(crate) const fn new(shared: Arc<Shared>, application: Application) -> Self {
        Self { shared, application }
    }

    /// `namespace/name`.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The application whose primitives the handles are for.
    pub fn application(&self) -> &str {
        self.application.as_str()
    }

    /// The same group, for the primitives of another application.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] when that is no name of an application.
    pub fn with_application(&self, application: &str) -> Result<Self> {
        let application = Application::new(application)?;
        Ok(Self { application, ..self.clone() })
    }

    /// What the group looks like, as far as is known.
    pub fn topology(&self) -> Arc<Topology> {
        self.shared.topology.borrow().clone()
    }

    /// The changes of what the group looks like.
    pub fn topology_changes(&self) -> watch::Receiver<Arc<Topology>> {
        self.shared.topology.clone()
    }

    /// A 64-bit signed number.
    pub fn counter(&self, name: impl Into<String>) -> Counter {
        Counter::new(self, name.into())
    }

    /// One versioned byte string.
    pub fn value(&self, name: impl Into<String>) -> Value {
        Value::new(self, name.into())
    }

    /// Byte strings under string keys.
    pub fn map(&self, name: impl Into<String>) -> Map {
        Map::new(self, name.into())
    }

    /// Distinct strings.
    pub fn set(&self, name: impl Into<String>) -> Set {
        Set::new(self, name.into())
    }

    /// A read-write lock with fences.
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        Lock::new(self, name.into())
    }

    /// A leader election.
    pub fn election(&self, name: impl Into<String>) -> Election {
        Election::new(self, name.into())
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.shared.request_timeout
    }

    /// The partition that holds a key.
    pub(crate) fn partition_of(&self, key: &[u8]) -> PartitionId {
        self.shared.topology.borrow().slots.partition_of(key)
    }

    /// All partitions.
    pub(crate) fn partition_ids(&self) -> impl Iterator<Item = PartitionId> + use<> {
        let count = u32::try_from(self.shared.partitions.len()).unwrap_or(u32::MAX);
        (0..count).map(PartitionId)
    }

    /// A partition. Its streams open when they are first used.
    ///
    /// # Errors
    /// [`ErrorCode::WrongPartition`] when there is none of that id: the slot table contradicts the group.
    pub(crate) fn partition(&self, id: PartitionId) -> Result<Arc<Partition>> {
        let index = usize::try_from(id.get()).unwrap_or(usize::MAX);
        let slot = self.shared.partitions.get(index).ok_or_else(|| {
            Error::new(ErrorCode::WrongPartition, format!("group \"{}\" has no partition {id}", self.name()))
        })?;
        let partition = slot.get_or_init(|| {
            let Shared { name, topology, settings, connections, .. } = &*self.shared;
            let client = settings.client_name.clone();
            let surroundings = Surroundings {
                purpose: Purpose { group: name.clone(), partition: id, client },
                connections: connections.clone(),
                topology: topology.clone(),
                seen: Arc::new(AtomicU64::new(0)),
                leader: LastLeader::default(),
            };
            Arc::new(Partition::new(settings.clone(), surroundings))
        });
        Ok(partition.clone())
    }

    /// Whether a primitive was seen to exist on its home partition.
    pub(crate) fn is_known(&self, primitive: PrimitiveId) -> bool {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&primitive)
    }

    /// A primitive was seen to exist on its home partition, or not to.
    pub(crate) fn note_known(&self, primitive: PrimitiveId, exists: bool) {
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        if exists {
            known.insert(primitive);
        } else {
            known.remove(&primitive);
        }
    }
}

type Changes = BoxStream<'static, Result<Topology>>;

/// Asks until there is an answer, or the time is over.
async fn find(
    resolver: &dyn Resolver,
    namespace: &str,
    name: Option<&str>,
    timeout: Duration,
) -> Result<(Topology, Changes)> {
    let deadline = clock::now() + timeout;
    let mut backoff = Backoff::new(RETRY.0, RETRY.1, clock::random());
    loop {
        let mut changes = resolver.watch(namespace, name);
        let left = deadline.since(clock::now());
        let error = match tokio::time::timeout(left, changes.next()).await {
            Ok(Some(Ok(topology))) => return Ok((topology, changes)),
            Ok(Some(Err(error))) => error,
            Ok(None) => Error::new(ErrorCode::Unavailable, "nothing is said about the group"),
            Err(_) => Error::new(ErrorCode::Timeout, "the controller does not answer"),
        };
        let wait = backoff.next();
        if !error.is_retryable() || clock::now() + wait >= deadline {
            return Err(error.within("cannot find the group"));
        }
        tokio::time::sleep(wait).await;
    }
}

/// Follows the changes of a group until nobody uses it any more.
async fn follow(resolver: Arc<dyn Resolver>, mut changes: Changes, sender: watch::Sender<Arc<Topology>>) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1, clock::random());
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = sender.closed() => return,
        };
        match change {
            Some(Ok(topology)) => {
                backoff.reset();
                update(&sender, topology);
            }
            Some(Err(_)) | None => {
                tokio::select! {
                    () = tokio::time::sleep(backoff.next()) => {}
                    () = sender.closed() => return,
                }
                let known = sender.borrow().clone();
                changes = resolver.watch(&known.namespace, Some(&known.name));
            }
        }
    }
}

fn update(sender: &watch::Sender<Arc<Topology>>, topology: Topology) {
    sender.send_if_modified(|known| {
        if topology.partitions.len() != known.partitions.len() {
            let group = topology.full_name();
            tracing::warn!(group, "the group seems to have another number of partitions: ignored");
            return false;
        }
        let is_news = **known != topology;
        if is_news {
            *known = Arc::new(topology);
        }
        is_news
    });
}
