//! Checks of one promise each, in linear time or nearly so.
//!
//! The search of [`linearizability`](crate::linearizability) judges any history, at a price. These judge what they are
//! made for on every run, however long, and say exactly what is wrong:
//!
//! | oracle | promise |
//! |---|---|
//! | [`counter`] | every read lies between what was certainly counted and what may have been |
//! | [`expiry`] | nothing with a lease or TTL ends early, and everything ends |
//! | [`fenced_register`] | a resource that refuses lower fences sees no stale holder |
//! | [`lock`] | what clients believe to hold never overlaps, and fences grow |
//! | [`session`] | a session reads what it wrote and never reads backwards |
//! | [`version`] | versions grow, no version comes twice, and no update is lost |
//! | [`watch`] | a watcher gets every change that it asked for, once, in order |
//!
//! Each takes plain data of its own, so that the simulator and tests with real processes can feed it alike, and returns
//! what is violated: nothing, if the promise was kept. All moments are readings of one clock, that of the recorder; an
//! operation is before another if it returned at an earlier moment than the other was invoked.
//!
//! What they do not cover: an oracle sees necessary conditions only. A history that all of them accept may still not be
//! linearizable; what no client has read back is not missed. See
//! [`linearizability`](crate::linearizability#what-it-does-not-cover).
//!
//! What must not go here: recording, and anything that needs a search.

mod clock;
pub mod counter;
pub mod expiry;
pub mod fenced_register;
pub mod lock;
pub mod session;
pub mod version;
pub mod watch;

pub use clock::ClockBound;

use synod_types::Monotonic;

/// A running summary of what had happened before a moment: feeds on things in the order of one moment, and is asked in
/// any order of another.
struct Before<T> {
    moments: Vec<(Monotonic, T)>,
}

impl<T: Copy> Before<T> {
    /// Summarises `things`, each by the moment at which it happened and its contribution.
    fn new<U>(things: impl Iterator<Item = (Monotonic, U)>, start: T, add: impl Fn(T, U) -> T) -> Self {
        let mut things: Vec<_> = things.collect();
        things.sort_by_key(|(at, _)| *at);
        let mut sum = start;
        let moments = things.into_iter().map(|(at, thing)| {
            sum = add(sum, thing);
            (at, sum)
        });
        Self { moments: moments.collect() }
    }

    /// The summary of all that happened earlier than `at`; none if nothing did.
    fn earlier_than(&self, at: Monotonic) -> Option<T> {
        self.up_to(self.moments.partition_point(|(moment, _)| *moment < at))
    }

    /// The summary of all that happened no later than `at`; none if nothing did.
    fn no_later_than(&self, at: Monotonic) -> Option<T> {
        self.up_to(self.moments.partition_point(|(moment, _)| *moment <= at))
    }

    fn up_to(&self, count: usize) -> Option<T> {
        count.checked_sub(1).and_then(|place| self.moments.get(place)).map(|(_, sum)| *sum)
    }
}
