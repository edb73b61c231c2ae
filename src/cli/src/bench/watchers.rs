//! Watchers, of which a group has many while it is written to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use futures::StreamExt as _;
use tokio::task::JoinSet;

use super::connect::Connection;
use super::operation::MAP;

/// Watchers of the map, until this is dropped.
pub(super) struct Watchers {
    _tasks: JoinSet<()>,
    seen: Arc<AtomicU64>,
}

impl Watchers {
    /// Begins so many watches, spread over the connections, and returns once all have begun.
    pub(super) async fn begin(
        connections: &[Connection],
        count: usize,
        prefix: &str,
    ) -> anyhow::Result<Self> {
        let seen = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for connection in connections.iter().cycle().take(count) {
            let events = connection.group.map(MAP).events().prefix(prefix);
            let mut events = events.await.context("cannot begin to watch")?;
            let seen = seen.clone();
            tasks.spawn(async move {
                while let Some(event) = events.next().await {
                    match event {
                        Ok(_) => {
                            seen.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => tracing::warn!(%error, "a watch ended or missed events"),
                    }
                }
            });
        }
        Ok(Self { _tasks: tasks, seen })
    }

    /// How many events all of them have seen.
    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}
