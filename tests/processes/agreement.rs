//! That all replicas have the same state at the same place in the log, whenever two of them are seen there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use synod_client::admin::{Phase, Replica};
use tokio::task::JoinHandle;

use crate::view::{PARTITIONS, Seen, View, look};

/// How often to look.
const AGAIN: Duration = Duration::from_millis(25);

/// Of each partition and log index: the hash of the state there, and who was seen there.
type States = BTreeMap<(u32, u64), (String, Vec<String>)>;

/// Looks at the replicas all the time.
pub(crate) struct Agreement {
    stop: Arc<AtomicBool>,
    looks: JoinHandle<States>,
}

impl Agreement {
    pub(crate) fn start(view: &View) -> Self {
        let (admins, stop) = (view.admins(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let looks = tokio::spawn(async move {
            let mut states = States::new();
            while !stopped.load(Ordering::SeqCst) {
                note(&mut states, &look(&admins).await);
                tokio::time::sleep(AGAIN).await;
            }
            states
        });
        Self { stop, looks }
    }

    /// Waits until all replicas have applied the same, which they will once nobody writes.
    pub(crate) async fn judge(self, view: &View) {
        self.stop.store(true, Ordering::SeqCst);
        let mut states = self.looks.await.unwrap();
        let compared = states.values().filter(|(_, nodes)| nodes.len() > 1).count();
        view.see("all replicas have applied the same", |seen| {
            note(&mut states, seen);
            (0..PARTITIONS as u32).all(|partition| are_level(partition, seen)).then_some(())
        })
        .await;
        println!("{compared} states were seen on more than one replica during the run, and all at the end");
    }
}

fn note(states: &mut States, seen: &[Seen]) {
    for Seen { node, replica } in seen {
        let Replica { partition, applied_log_index, state_hash, .. } = replica;
        if replica.phase() != Phase::Running || *applied_log_index == 0 {
            continue;
        }
        let known = states.entry((*partition, *applied_log_index));
        let (hash, nodes) = known.or_insert_with(|| (state_hash.clone(), Vec::new()));
        assert_eq!(
            hash, state_hash,
            "partition {partition} at log index {applied_log_index}: {node} differs from {nodes:?}"
        );
        if !nodes.contains(node) {
            nodes.push(node.clone());
        }
    }
}

/// Whether all three replicas of a partition have applied the same number of entries, and have the same state.
fn are_level(partition: u32, seen: &[Seen]) -> bool {
    let replicas: Vec<_> =
        seen.iter().map(|seen| &seen.replica).filter(|replica| replica.partition == partition).collect();
    let state = |replica: &Replica| (replica.applied_log_index, replica.state_hash.clone());
    replicas.len() == 3 && replicas.iter().all(|replica| state(replica) == state(replicas[0]))
}
