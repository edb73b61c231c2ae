//! Leases, TTLs and session timeouts: nothing ends early, and everything ends.
//!
//! A duration is a promise of at least that long, counted from its last refresh. Early is only what is certainly early:
//! counted from the moment at which the refresh was sent, on a clock that may be off by a [`ClockBound`].

use std::time::Duration;

use synod_types::Monotonic;

use super::ClockBound;

/// What begins a duration or begins it anew: a grant, a renewal, a keep-alive, a write with a TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// How long it shall last from now.
    pub duration: Duration,
    /// No later than the moment at which it was sent for the first time.
    pub invoked_at: Monotonic,
    /// When it was answered that it has succeeded; none if that is not known.
    pub answered_at: Option<Monotonic>,
}

/// The life of one thing that ends by itself, and that nobody has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// What kept it alive, in any order. One that was refused is not among them.
    pub refreshes: Vec<Refresh>,
    /// The first moment at which anybody knew that it was gone: when the answer came.
    pub gone_at: Option<Monotonic>,
    /// The last moment at which it would have been seen that it was gone.
    pub watched_until: Monotonic,
}

/// When things must end at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Since when nothing has gone wrong any more: no leader change, no fault. A leader change lets everything begin
    /// anew.
    pub since: Monotonic,
    /// How much longer an end may take to be seen.
    pub within: Duration,
}

/// What is wrong. Lives are named by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It ended before its time.
    #[error("life #{life} was gone at {gone_at:?}, although it was to last until {earliest:?}")]
    Early {
        /// Which life.
        life: usize,
        /// When it was gone.
        gone_at: Monotonic,
        /// When it could end at the earliest.
        earliest: Monotonic,
    },
    /// It was refreshed although it was gone.
    #[error("life #{life} was gone at {gone_at:?}, and refreshed at {refreshed_at:?}")]
    Revived {
        /// Which life.
        life: usize,
        /// When it was gone.
        gone_at: Monotonic,
        /// When a refresh was sent that succeeded.
        refreshed_at: Monotonic,
    },
    /// It did not end in time.
    #[error("life #{life} was not gone at {latest:?}")]
    Late {
        /// Which life.
        life: usize,
        /// When it had to be gone at the latest.
        latest: Monotonic,
    },
}

/// What is wrong with the ends of some lives, in linear time. Without `settled`, an end may come at any time.
pub fn violations(lives: &[Life], clock: ClockBound, settled: Option<Settled>) -> Vec<Violation> {
    let judged = lives.iter().enumerate().flat_map(|(life, lived)| {
        let revived = revived(life, lived);
        let early = revived.is_none().then(|| early(life, lived, clock)).flatten();
        let late = settled.and_then(|settled| late(life, lived, clock, settled));
        revived.into_iter().chain(early).chain(late)
    });
    judged.collect()
}

fn revived(life: usize, lived: &Life) -> Option<Violation> {
    let gone_at = lived.gone_at?;
    let successes = lived.refreshes.iter().filter(|refresh| refresh.answered_at.is_some());
    let refreshed_at = successes.map(|refresh| refresh.invoked_at).max()?;
    (refreshed_at > gone_at).then_some(Violation::Revived { life, gone_at, refreshed_at })
}

fn early(life: usize, lived: &Life, clock: ClockBound) -> Option<Violation> {
    let gone_at = lived.gone_at?;
    // A refresh is over as soon as another one was sent after it was answered, and has succeeded.
    let successes = || lived.refreshes.iter().filter(|refresh| refresh.answered_at.is_some());
    let last_sent = successes().map(|refresh| refresh.invoked_at).max()?;
    let first_of_last = successes().filter(|refresh| refresh.answered_at >= Some(last_sent));
    let began = first_of_last.clone().map(|refresh| refresh.invoked_at).min()?;
    // One that may or may not have succeeded can have made it shorter, if it took effect after those.
    let doubtful = lived.refreshes.iter().filter(|refresh| refresh.answered_at.is_none());
    let ends = first_of_last
        .chain(doubtful)
        .map(|refresh| clock.earliest_end(refresh.invoked_at.max(began), refresh.duration));
    let earliest = ends.min()?;
    (gone_at < earliest).then_some(Violation::Early { life, gone_at, earliest })
}

fn late(life: usize, lived: &Life, clock: ClockBound, settled: Settled) -> Option<Violation> {
    let longest = lived.refreshes.iter().map(|refresh| refresh.duration).max()?;
    let ends = lived.refreshes.iter().map(|refresh| {
        let latest_start = refresh.answered_at.unwrap_or(refresh.invoked_at.max(settled.since));
        clock.latest_end(latest_start, refresh.duration)
    });
    let anew = clock.latest_end(settled.since, longest);
    let latest = ends.chain([anew]).max()? + settled.within;
    let is_gone = lived.gone_at.is_some_and(|gone_at| gone_at <= latest);
    (!is_gone && lived.watched_until > latest).then_some(Violation::Late { life, latest })
}
