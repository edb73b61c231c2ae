//! Which objects are to be looked at again.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use tokio::sync::Notify;

/// A set of things to look at. It is bounded by how many things there are, however often each is put in while nobody
/// takes any out.
#[derive(Debug)]
pub(super) struct Triggers<T> {
    pending: Mutex<HashSet<T>>,
    filled: Notify,
}

impl<T: Eq + Hash> Triggers<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { pending: Mutex::new(HashSet::new()), filled: Notify::new() })
    }

    pub(super) fn push(&self, thing: T) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(thing);
        self.filled.notify_one();
    }

    fn take_all(&self) -> HashSet<T> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything that is put in, for one reader. It never ends.
    pub(super) fn stream(self: Arc<Self>) -> impl Stream<Item = T> + Send
    where
        T: Send,
    {
        futures::stream::unfold((self, HashSet::new().into_iter()), |(triggers, mut taken)| async move {
            loop {
                if let Some(next) = taken.next() {
                    return Some((next, (triggers, taken)));
                }
                taken = triggers.take_all().into_iter();
                if taken.len() == 0 {
                    triggers.filled.notified().await;
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_put_in_twice_comes_out_once() {
        let triggers = Triggers::new();
        for number in [1, 2, 1] {
            triggers.push(number);
        }
        let mut stream = std::pin::pin!(triggers.clone().stream());
        let mut both = [stream.next().await, stream.next().await];
        both.sort_unstable();
        assert_eq!(both, [Some(1), Some(2)]);
        assert_eq!(stream.next().now_or_never(), None, "there is no more");
        triggers.push(1);
        assert_eq!(stream.next().await, Some(1));
    }
}
