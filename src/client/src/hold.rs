//! Whether something is still held: a lock, a candidacy.
//!
//! The state is computed from the clock whenever somebody asks, so it is right even in a process that was just paused for
//! a minute; that others are told of a change needs a task that runs. Once lost is lost for good.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use synod_types::Monotonic;
use tokio::sync::watch;

use crate::clock;
use crate::tenure::Tenure;

/// How sure the holder can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldState {
    /// It is held: the server confirmed it lately.
    Held,
    /// It is held, but no confirmation has come for half of the time that the server grants. Finish or pause what is not
    /// fenced.
    Doubtful,
    /// It is not held any more, or soon might not be. This is final.
    Lost,
}

/// Why something was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// No confirmation came in time. The server may still count it as held for a moment.
    Unconfirmed,
    /// The lease ran out.
    LeaseExpired,
    /// The session was closed or expired.
    SessionEnded,
    /// Somebody with the right to do so ended it: an operator, or whoever evicted the candidate.
    Forced,
    /// It was released by its owner.
    Released,
}

/// A time for which the server has promised to keep something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    end: Monotonic,
    length: Duration,
}

impl Span {
    /// A promise of `length` that runs out at `end`.
    pub(crate) const fn new(end: Monotonic, length: Duration) -> Self {
        Self { end, length }
    }

    fn doubtful_at(self) -> Monotonic {
        self.end - self.length / 2
    }

    fn lost_at(self) -> Monotonic {
        self.end - self.length / 10
    }
}

/// A lease, which is renewed on its own.
#[derive(Debug)]
pub(crate) struct Lease {
    length: Duration,
    ends: AtomicU64,
}

impl Lease {
    /// A lease of `length` that ends at `end`.
    pub(crate) const fn new(end: Monotonic, length: Duration) -> Self {
        Self { length, ends: AtomicU64::new(end.as_nanos()) }
    }

    /// The full length.
    pub(crate) const fn length(&self) -> Duration {
        self.length
    }

    /// It was renewed by a request sent at `sent_at`.
    fn renewed(&self, sent_at: Monotonic) {
        self.ends.fetch_max((sent_at + self.length).as_nanos(), Ordering::AcqRel);
    }

    fn span(&self) -> Span {
        Span::new(Monotonic::from_nanos(self.ends.load(Ordering::Acquire)), self.length)
    }
}

/// Something that is held under a session, and perhaps under a lease as well: whichever ends first ends it.
#[derive(Debug)]
pub(crate) struct Hold {
    tenure: Arc<Tenure>,
    lease: Option<Lease>,
    loss: OnceLock<Loss>,
    state: watch::Sender<HoldState>,
}

impl Hold {
    pub(crate) fn new(tenure: Arc<Tenure>, lease: Option<Lease>) -> Self {
        Self { tenure, lease, loss: OnceLock::new(), state: watch::Sender::new(HoldState::Held) }
    }

    pub(crate) fn tenure(&self) -> &Arc<Tenure> {
        &self.tenure
    }

    pub(crate) const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// The state at this moment.
    pub(crate) fn state(&self) -> HoldState {
        self.state_at(clock::now())
    }

    fn state_at(&self, now: Monotonic) -> HoldState {
        let state = if self.loss.get().is_some() {
            HoldState::Lost
        } else if self.tenure.has_ended() {
            self.lose(Loss::SessionEnded)
        } else if self.spans().any(|span| span.lost_at() <= now) {
            self.lose(Loss::Unconfirmed)
        } else if self.spans().any(|span| span.doubtful_at() <= now) {
            HoldState::Doubtful
        } else {
            HoldState::Held
        };
        self.tell(state);
        state
    }

    /// It is lost, for this reason unless there was one before.
    pub(crate) fn lose(&self, loss: Loss) -> HoldState {
        self.loss.get_or_init(|| loss);
        self.tell(HoldState::Lost);
        HoldState::Lost
    }

    /// Why it was lost, if it was.
    pub(crate) fn loss(&self) -> Option<Loss> {
        self.loss.get().copied()
    }

    /// The lease was renewed by a request sent at `sent_at`.
    pub(crate) fn renewed(&self, sent_at: Monotonic) {
        if let Some(lease) = &self.lease {
            lease.renewed(sent_at);
        }
        self.state();
    }

    /// The changes of state that a running task has seen.
    pub(crate) fn changes(&self) -> watch::Receiver<HoldState> {
        self.state.subscribe()
    }

    /// Keeps watchers told, until it is lost.
    pub(crate) async fn until_lost(&self) -> Loss {
        loop {
            let changed = self.tenure.changed();
            if self.state() == HoldState::Lost {
                return self.loss().unwrap_or(Loss::Unconfirmed);
            }
            let now = clock::now();
            let moments = self.spans().flat_map(|span| [span.doubtful_at(), span.lost_at()]);
            let next = moments.filter(|moment| *moment > now).min();
            let Some(next) = next else { continue };
            tokio::select! {
                () = changed => {}
                () = clock::sleep_until(next, Duration::from_secs(1)) => {}
            }
        }
    }

    fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        self.lease.iter().map(Lease::span).chain([self.tenure.span()])
    }

    fn tell(&self, state: HoldState) {
        self.state.send_if_modified(|told| {
            let news = *told != state && *told != HoldState::Lost;
            if news {
                *told = state;
            }
            news
        });
    }
}

#[cfg(test)]
mod tests {
    use synod_types::SessionId;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const START: Monotonic = Monotonic::from_nanos(1_000_000_000_000);

    fn tenure() -> Arc<Tenure> {
        Arc::new(Tenure::new(SessionId(7), SECOND * 10, START))
    }

    #[test]
    fn it_is_held_then_doubtful_then_lost_before_the_timeout() {
        let hold = Hold::new(tenure(), None);
        assert_eq!(hold.state_at(START + SECOND * 5 - Duration::from_nanos(1)), HoldState::Held);
        assert_eq!(hold.state_at(START + SECOND * 5), HoldState::Doubtful);
        assert_eq!(hold.state_at(START + SECOND * 9 - Duration::from_nanos(1)), HoldState::Doubtful);
        assert_eq!(hold.loss(), None);
        assert_eq!(hold.state_at(START + SECOND * 9), HoldState::Lost);
        assert_eq!(hold.loss(), Some(Loss::Unconfirmed));
    }

    #[test]
    fn a_confirmation_counts_from_when_it_was_sent_and_never_goes_back() {
        let tenure = tenure();
        let hold = Hold::new(tenure.clone(), None);
        assert_eq!(hold.state_at(START + SECOND * 6), HoldState::Doubtful);
        tenure.confirm(START + SECOND * 4);
        tenure.confirm(START + SECOND * 2);
        assert_eq!(hold.state_at(START + SECOND * 8), HoldState::Held);
        assert_eq!(hold.state_at(START + SECOND * 9), HoldState::Doubtful);
        assert_eq!(hold.state_at(START + SECOND * 13), HoldState::Lost);
    }

    #[test]
    fn lost_is_final() {
        let tenure = tenure();
        let hold = Hold::new(tenure.clone(), None);
        let changes = hold.changes();
        assert_eq!(hold.state_at(START + SECOND * 20), HoldState::Lost);
        tenure.confirm(START + SECOND * 20);
        assert_eq!(hold.state_at(START + SECOND * 20), HoldState::Lost);
        assert_eq!(*changes.borrow(), HoldState::Lost);
    }

    #[test]
    fn the_end_of_the_session_ends_it_at_once() {
        let tenure = tenure();
        let hold = Hold::new(tenure.clone(), None);
        tenure.end();
        assert_eq!(hold.state_at(START), HoldState::Lost);
        assert_eq!(hold.loss(), Some(Loss::SessionEnded));
    }

    #[test]
    fn of_session_and_lease_the_first_to_end_counts() {
        let hold = Hold::new(tenure(), Some(Lease::new(START + SECOND, SECOND)));
        assert_eq!(hold.state_at(START + SECOND / 2), HoldState::Doubtful);
        hold.lease().unwrap().renewed(START + SECOND / 2);
        assert_eq!(hold.state_at(START + SECOND * 9 / 10), HoldState::Held);
        assert_eq!(hold.state_at(START + SECOND * 14 / 10), HoldState::Lost);
    }
}
