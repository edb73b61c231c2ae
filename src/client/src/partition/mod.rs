//! One partition of a group, as everything in a client sees it.
//!
//! All writes and linearizable reads of a client go over one stream to the leader, under one session. Sequential reads go
//! to the other replicas, over a stream to each that needs no session. A listing has a stream of its own for as long as
//! it lasts, so that a slow reader holds nobody else up.

pub(crate) mod pipeline;

mod link;
mod route;
mod scan;
mod stream;

pub(crate) use link::{LastLeader, Surroundings, Watching};
pub(crate) use scan::Chunks;
pub(crate) use stream::Purpose;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use synod_proto::session::v1 as wire;
use synod_types::{Monotonic, PartitionId};

use self::link::Link;
use self::pipeline::{Answer, Settings, Under, Work};
use self::route::Target;
use crate::clock;
use crate::error::{Error, Result};

/// How long a replica that may lag behind is waited for before the leader is asked.
const REPLICA_PATIENCE: Duration = Duration::from_secs(1);

/// How fresh a read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// It sees every write that was acknowledged, to whomever, before the read began. The leader serves it.
    #[default]
    Linearizable,
    /// It sees everything that this client has seen or written itself, and may be behind what others have written. Any
    /// replica serves it.
    Sequential,
}

impl From<Consistency> for wire::Consistency {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::Linearizable => Self::Linearizable,
            Consistency::Sequential => Self::Sequential,
        }
    }
}

/// One partition.
#[derive(Debug)]
pub(crate) struct Partition {
    id: PartitionId,
    settings: Settings,
    surroundings: Surroundings,
    leader: Link,
    /// Started when the first sequential read comes.
    readers: Mutex<Vec<Arc<Link>>>,
    next_reader: AtomicUsize,
}

impl Partition {
    /// Must be called on a runtime.
    pub(crate) fn new(settings: Settings, surroundings: Surroundings) -> Self {
        Self {
            id: surroundings.purpose.partition,
            leader: Link::start(Target::Leader, settings.clone(), surroundings.clone()),
            settings,
            surroundings,
            readers: Mutex::default(),
            next_reader: AtomicUsize::new(0),
        }
    }

    pub(crate) const fn id(&self) -> PartitionId {
        self.id
    }

    /// Executes an encoded command, exactly once if this returns a result.
    pub(crate) async fn write(
        &self,
        command: Bytes,
        under: Under,
        patient: bool,
        deadline: Monotonic,
    ) -> Result<Answer> {
        self.leader.ask(Work::Write { command, under, patient }, deadline).await
    }

    /// Executes an encoded command under a session that is open, if there is still one. Nobody waits for the outcome.
    pub(crate) fn write_unattended(&self, command: Bytes, under: Under) {
        self.leader.ask_unattended(Work::Write { command, under, patient: true });
    }

    /// Answers an encoded query.
    pub(crate) async fn read(
        &self,
        query: Bytes,
        consistency: Consistency,
        deadline: Monotonic,
    ) -> Result<Answer> {
        if consistency == Consistency::Sequential {
            let patience = deadline.min(clock::now() + REPLICA_PATIENCE);
            let work = Work::Read { query: query.clone(), consistency: consistency.into() };
            let answer = self.reader().ask(work, patience).await;
            // A replica that is cut off from its leader may never catch up.
            if !answer.as_ref().is_err_and(Error::is_retryable) || patience == deadline {
                return answer;
            }
        }
        self.leader.ask(Work::Read { query, consistency: consistency.into() }, deadline).await
    }

    /// Begins to watch.
    pub(crate) fn watch(&self, watch: wire::Watch) -> Result<Watching> {
        self.leader.watch(watch)
    }

    /// Begins to read an encoded scan, and returns once there is a first chunk.
    pub(crate) async fn scan(
        &self,
        scan: Bytes,
        consistency: Consistency,
        deadline: Monotonic,
    ) -> Result<Chunks> {
        scan::begin(&self.surroundings, scan, consistency, deadline).await
    }

    /// The program has seen the effect of a command: later reads must not be older.
    pub(crate) fn note_seen(&self, index: u64) {
        self.surroundings.seen.fetch_max(index, Ordering::AcqRel);
    }

    /// Finishes what waits and closes the session.
    pub(crate) async fn close(&self) {
        self.leader.close().await;
        let readers = std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        for reader in readers {
            reader.close().await;
        }
    }

    /// The next stream for sequential reads, in turns.
    fn reader(&self) -> Arc<Link> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.is_empty() {
            let topology = self.surroundings.topology.borrow().partition(self.id);
            let followers = topology.endpoints.len().saturating_sub(1).max(1);
            let settings = Settings { stall_timeout: REPLICA_PATIENCE / 2, ..self.settings.clone() };
            readers.extend((0..followers).map(|index| {
                let surroundings = self.surroundings.clone();
                Arc::new(Link::start(Target::Replica(index), settings.clone(), surroundings))
            }));
        }
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed);
        // The list is not empty, so the remainder is an index into it.
        let index = turn.checked_rem(readers.len()).unwrap_or(0);
        readers.get(index).cloned().unwrap_or_else(|| {
            let (settings, surroundings) = (self.settings.clone(), self.surroundings.clone());
            Arc::new(Link::start(Target::Replica(0), settings, surroundings))
        })
    }
}
