//! One operation on the group.

use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use synod_client::{Consistency, Counter, Group, Lock, Map, Result};

use super::keys::{Keys, Values};
use super::mix::{Kind, Mix};

/// The name of the map.
pub(super) const MAP: &str = "bench";

/// What all clients share.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) mix: Mix,
    pub(super) keys: Keys,
    pub(super) values: Values,
    pub(super) names: usize,
    pub(super) seed: u64,
}

/// What does operations, one after the other.
pub(super) struct Worker {
    work: Arc<Work>,
    random: SmallRng,
    map: Map,
    sequential: Map,
    counter: Counter,
    lock: Lock,
}

impl Worker {
    pub(super) fn new(work: &Arc<Work>, number: usize, group: &Group) -> Self {
        let name = number.checked_rem(work.names).unwrap_or(0);
        let seed = work.seed.wrapping_add(u64::try_from(number).unwrap_or(0));
        Self {
            work: work.clone(),
            random: SmallRng::seed_from_u64(seed),
            map: group.map(MAP),
            sequential: group.map(MAP).consistency(Consistency::Sequential),
            counter: group.counter(format!("bench-{name}")),
            lock: group.lock(format!("bench-{name}")),
        }
    }

    /// Decides what to do next.
    pub(super) fn choose(&mut self) -> Kind {
        self.work.mix.choose(&mut self.random)
    }

    /// Does it.
    pub(super) async fn perform(&mut self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Put => {
                let key = self.key();
                self.put(key).await
            }
            Kind::Get => {
                let key = self.key();
                self.map.get(key).await.map(drop)
            }
            Kind::GetSequential => {
                let key = self.key();
                self.sequential.get(key).await.map(drop)
            }
            Kind::Increment => self.counter.increment(1).await.map(drop),
            Kind::Lock => self.lock.acquire().await?.release().await,
        }
    }

    fn key(&mut self) -> String {
        self.work.keys.choose(&mut self.random)
    }

    /// Writes the key of a number.
    pub(super) async fn fill(&mut self, number: u64) -> Result<()> {
        self.put(self.work.keys.key(number)).await
    }

    async fn put(&mut self, key: String) -> Result<()> {
        let value = self.work.values.choose(&mut self.random);
        self.map.put(key, value).await.map(drop)
    }
}
