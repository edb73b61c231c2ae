//! The groups as they are now, for everybody who wants to know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use synod_proto::controller::v1::Group;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often a change of nothing but lag is worth telling. Under load it changes all the time.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// The namespace and name of a group.
pub type GroupKey = (String, String);

/// All groups at one moment.
pub type Groups = Arc<BTreeMap<GroupKey, Arc<Group>>>;

/// The groups as they are now.
#[derive(Debug)]
pub struct Catalog {
    groups: watch::Sender<Groups>,
    state: std::sync::Mutex<State>,
}

#[derive(Debug)]
struct State {
    last_revision: u64,
    /// When each group was last published.
    published: BTreeMap<GroupKey, Instant>,
}

impl Catalog {
    /// A catalog without groups. Its revisions are greater than `revision`: with the wall clock in milliseconds they
    /// grow from one run of the controller to the next.
    pub fn new(revision: u64) -> Self {
        let state = State { last_revision: revision, published: BTreeMap::new() };
        Self { groups: watch::Sender::new(Groups::default()), state: std::sync::Mutex::new(state) }
    }

    /// The groups, now and whenever they change.
    pub fn subscribe(&self) -> watch::Receiver<Groups> {
        self.groups.subscribe()
    }

    /// Publishes a group as it is now; its revision is set here. What differs in nothing, or for less than a second
    /// in nothing but lag, is not published.
    pub fn publish(&self, mut group: Group) {
        let mut state = self.state();
        let key = (group.namespace.clone(), group.name.clone());
        let now = Instant::now();
        if let Some(before) = self.groups.borrow().get(&key) {
            group.revision = before.revision;
            let recently = state.published.get(&key).is_some_and(|at| now < *at + LAG_INTERVAL);
            if group == **before || (recently && without_lag(&group) == without_lag(before)) {
                return;
            }
        }
        state.last_revision += 1;
        group.revision = state.last_revision;
        state.published.insert(key.clone(), now);
        self.groups.send_modify(|groups| drop(Arc::make_mut(groups).insert(key, Arc::new(group))));
    }

    /// A group is no more.
    pub fn remove(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.state().published.remove(&key);
        self.groups.send_if_modified(|groups| {
            groups.contains_key(&key) && Arc::make_mut(groups).remove(&key).is_some()
        });
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn without_lag(group: &Group) -> Group {
    let mut group = group.clone();
    for member in group.partitions.iter_mut().flat_map(|partition| &mut partition.members) {
        member.lag = 0;
    }
    group
}

#[cfg(test)]
mod tests {
    use synod_proto::controller::v1::{Member, Partition};

    use super::*;

    fn group(term: u64, lag: u64) -> Group {
        let members = vec![Member { id: 1, lag, ..Member::default() }];
        let partitions = vec![Partition { id: 0, leader: 1, term, members }];
        Group { namespace: "default".into(), name: "sample".into(), partitions, ..Group::default() }
    }

    fn newest(catalog: &Catalog) -> Arc<Group> {
        catalog.subscribe().borrow().values().next().unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn revisions_grow_with_changes_and_only_with_them() {
        let catalog = Catalog::new(100);
        catalog.publish(group(1, 0));
        assert_eq!(newest(&catalog).revision, 101);
        let mut watcher = catalog.subscribe();
        catalog.publish(group(1, 0));
        assert!(!watcher.has_changed().unwrap());
        catalog.publish(group(2, 0));
        assert!(watcher.has_changed().unwrap());
        assert_eq!(watcher.borrow_and_update().values().next().unwrap().revision, 102);
        catalog.remove("default", "sample");
        assert!(watcher.borrow_and_update().is_empty());
        catalog.remove("default", "sample");
        assert!(!watcher.has_changed().unwrap());
        catalog.publish(group(1, 0));
        assert_eq!(newest(&catalog).revision, 103, "also for another group of the same name");
    }

    #[tokio::test(start_paused = true)]
    async fn lag_alone_is_told_once_a_second() {
        let catalog = Catalog::new(0);
        catalog.publish(group(1, 0));
        catalog.publish(group(1, 5));
        assert_eq!(newest(&catalog).partitions[0].members[0].lag, 0);
        tokio::time::advance(LAG_INTERVAL).await;
        catalog.publish(group(1, 6));
        assert_eq!(newest(&catalog).partitions[0].members[0].lag, 6);
    }
}
