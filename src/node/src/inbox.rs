//! The queue in front of a task: many put in, one takes everything out at once.
//!
//! It may be filled from any thread. Whoever puts the first thing in wakes the task, which runs after what is ready on
//! its runtime already: what all connections had to say at one moment comes out together.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// A queue that is emptied in one go, so that a busy owner pays for one lock per batch.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    arrived: Notify,
}

#[derive(Debug)]
struct State<T> {
    mail: Vec<T>,
    /// What the mail weighs, as far as it was weighed.
    bytes: usize,
    /// The owner sleeps and must be woken.
    asleep: bool,
    closed: bool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        let state = State { mail: Vec::new(), bytes: 0, asleep: false, closed: false };
        Self { state: Mutex::new(state), arrived: Notify::new() }
    }
}

impl<T> Inbox<T> {
    /// Puts something in. False if nobody will ever take it out.
    pub(crate) fn push(&self, item: T) -> bool {
        self.push_weighed(item, 0)
    }

    /// Puts something large in; the same otherwise.
    pub(crate) fn push_weighed(&self, item: T, bytes: usize) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.mail.push(item);
        state.bytes += bytes;
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.arrived.notify_one();
        }
        true
    }

    /// Waits until there is something, the time is over or the inbox is closed, and takes out what there is. Lets
    /// others on the runtime run in any case.
    pub(crate) async fn take(&self, into: &mut Vec<T>, timeout: Duration) {
        let sleeps = {
            let mut state = self.lock();
            state.asleep = state.mail.is_empty() && !state.closed && !timeout.is_zero();
            state.asleep
        };
        if sleeps {
            let _ = tokio::time::timeout(timeout, self.arrived.notified()).await;
        } else {
            tokio::task::yield_now().await;
        }
        let mut state = self.lock();
        state.asleep = false;
        std::mem::swap(&mut state.mail, into);
        state.bytes = 0;
    }

    /// Takes nothing in any more, drops what nobody will take out, and wakes the owner.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.asleep = false;
        let mail = std::mem::take(&mut state.mail);
        drop(state);
        self.arrived.notify_one();
        drop(mail);
    }

    /// Whether it takes nothing in any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How much waits: items, and the bytes of those that were weighed.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.mail.len(), state.bytes)
    }

    /// Whoever panicked while holding the lock left a queue behind, which is whole at any moment.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_was_put_in_and_never_taken_out_is_not_kept() {
        let (inbox, item) = (Inbox::default(), Arc::new(()));
        assert!(inbox.push(item.clone()));
        assert_eq!(Arc::strong_count(&item), 2);
        inbox.abandon();
        assert_eq!(Arc::strong_count(&item), 1);
        assert!(!inbox.push(item));
    }

    #[tokio::test]
    async fn everything_comes_out_once_and_in_order() {
        let inbox = Arc::new(Inbox::default());
        let sender = {
            let inbox = inbox.clone();
            thread::spawn(move || (0..10_000).for_each(|number| assert!(inbox.push(number))))
        };
        let (mut seen, mut batch) = (Vec::new(), Vec::new());
        while seen.len() < 10_000 {
            inbox.take(&mut batch, LONG).await;
            seen.append(&mut batch);
        }
        sender.join().unwrap();
        assert_eq!(seen, (0..10_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_closed_inbox_wakes_its_owner_and_takes_nothing() {
        let inbox = Arc::new(Inbox::<u8>::default());
        let owner = {
            let inbox = inbox.clone();
            tokio::spawn(async move { inbox.take(&mut Vec::new(), LONG).await })
        };
        inbox.abandon();
        owner.await.unwrap();
        assert!(!inbox.push(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_owner_wakes_when_the_time_is_over() {
        let begin = tokio::time::Instant::now();
        Inbox::<u8>::default().take(&mut Vec::new(), LONG).await;
        assert!(begin.elapsed() >= LONG);
    }

    #[tokio::test]
    async fn what_waits_is_weighed() {
        let inbox = Inbox::default();
        for bytes in [100, 20, 3] {
            inbox.push_weighed("letter", bytes);
        }
        assert_eq!(inbox.load(), (3, 123));
        inbox.take(&mut Vec::new(), LONG).await;
        assert_eq!(inbox.load(), (0, 0));
    }
}
