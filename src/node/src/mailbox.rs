//! The queue in front of a thread: many put in, one takes everything out at once. In front of a task it is an
//! [`Inbox`](crate::inbox::Inbox).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A queue that is emptied in one go, so that a busy owner pays for one lock per batch.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct State<T> {
    mail: Vec<T>,
    /// The owner sleeps and must be woken.
    asleep: bool,
    closed: bool,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        let state = State { mail: Vec::new(), asleep: false, closed: false };
        Self { state: Mutex::new(state), arrived: Condvar::new() }
    }
}

impl<T> Mailbox<T> {
    /// Puts something in. False if nobody will ever take it out.
    pub(crate) fn push(&self, item: T) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.mail.push(item);
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.arrived.notify_one();
        }
        true
    }

    /// Waits until there is something, the time is over or the mailbox is closed, and takes out what there is.
    pub(crate) fn take(&self, into: &mut Vec<T>, timeout: Option<Duration>) {
        let mut state = self.lock();
        if state.mail.is_empty() && !state.closed && timeout != Some(Duration::ZERO) {
            state.asleep = true;
            state = match timeout {
                None => self
                    .arrived
                    .wait_while(state, |state| state.asleep)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    let waited = self.arrived.wait_timeout_while(state, timeout, |state| state.asleep);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.asleep = false;
        }
        std::mem::swap(&mut state.mail, into);
    }

    /// Takes nothing in any more, and wakes the owner.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.asleep = false;
        drop(state);
        self.arrived.notify_one();
    }

    /// Whether it takes nothing in any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
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

    #[test]
    fn everything_comes_out_once_and_in_order() {
        let mailbox = Arc::new(Mailbox::default());
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || (0..10_000).for_each(|number| assert!(mailbox.push(number))))
        };
        let (mut seen, mut batch) = (Vec::new(), Vec::new());
        while seen.len() < 10_000 {
            mailbox.take(&mut batch, None);
            seen.append(&mut batch);
        }
        sender.join().unwrap();
        assert_eq!(seen, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_closed_mailbox_wakes_its_owner_and_takes_nothing() {
        let mailbox = Arc::new(Mailbox::<u8>::default());
        let owner = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.take(&mut Vec::new(), None))
        };
        mailbox.close();
        owner.join().unwrap();
        assert!(!mailbox.push(1));
    }
}
