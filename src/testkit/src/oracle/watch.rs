//! Watch against log: a watcher gets every change that passes its filter, once, in order, as it was made; it can go on
//! where it stopped, on any replica; and progress is never ahead of what was delivered.
//!
//! A hole in what a watcher knows is allowed only where it is explicit: the watcher is told COMPACTED, reads the state
//! again, and goes on from the position of that.

use std::collections::BTreeSet;

use bytes::Bytes;

/// A change in the history of a partition, as all replicas agree on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<E> {
    /// Its place. Places count up by one.
    pub position: u64,
    /// The command that made it.
    pub index: u64,
    /// Whose change it is.
    pub primitive: u64,
    /// What watchers filter by.
    pub key: Bytes,
    /// What happened.
    pub event: E,
}

/// What a watch asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Changes of this primitive.
    pub primitive: u64,
    /// Of these keys.
    pub keys: Keys,
}

/// Which keys of a primitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// All.
    All,
    /// This one.
    Exactly(Bytes),
    /// Those that start with this.
    Prefix(Bytes),
}

impl Filter {
    /// Whether a change passes.
    pub fn passes<E>(&self, change: &Change<E>) -> bool {
        self.primitive == change.primitive
            && match &self.keys {
                Keys::All => true,
                Keys::Exactly(key) => change.key == *key,
                Keys::Prefix(prefix) => change.key.starts_with(prefix),
            }
    }
}

/// A change as a watcher received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<E> {
    /// Its place in the history.
    pub position: u64,
    /// The command that made it.
    pub index: u64,
    /// What happened.
    pub event: E,
}

/// What a watcher has gone through, one thing after another. A stream that breaks is nothing of its own: the next start
/// says where the watcher goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<E> {
    /// A watch was accepted.
    Started {
        /// After which position the watcher asked to go on; 0 for what comes from now on.
        after: u64,
        /// After which position the server said that it delivers.
        position: u64,
    },
    /// Events came, or a notice of progress if there are none.
    Delivered {
        /// The events, in the order in which they came.
        events: Vec<Event<E>>,
        /// Up to where everything was delivered, as the server said.
        position: u64,
    },
    /// The watch was refused or ended, because the history no longer reaches back to where it is.
    Compacted,
    /// The watcher has read the state again, as of this position.
    Restated {
        /// The position of the listing.
        position: u64,
    },
}

/// One watcher, over all its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watcher<E> {
    /// What it asks for.
    pub filter: Filter,
    /// What it has gone through.
    pub received: Vec<Received<E>>,
    /// If it had time enough to catch up: up to which position it must know everything.
    pub caught_up_to: Option<u64>,
}

/// What is wrong. `step` is the place in what the watcher received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The history itself has a hole, a repetition, or goes back.
    #[error("change #{place} of the history has position {position} and index {index}, which do not follow")]
    History {
        /// The place in the list.
        place: usize,
        /// Its position.
        position: u64,
        /// Its index.
        index: u64,
    },
    /// Something was delivered before any watch was accepted, or after the watcher was told COMPACTED.
    #[error("step {step} delivers to a watcher that has no watch")]
    NotStarted {
        /// Where.
        step: usize,
    },
    /// The server does not go on where the watcher asked it to.
    #[error("step {step} starts after position {position}, although the watcher asked for {after}")]
    StartedElsewhere {
        /// Where.
        step: usize,
        /// What the watcher asked for.
        after: u64,
        /// What it got.
        position: u64,
    },
    /// The watcher goes back behind what it knows, so that it will see changes twice.
    #[error("step {step} goes back to position {position}, although the watcher knows all up to {known}")]
    WentBack {
        /// Where.
        step: usize,
        /// Where it goes back to.
        position: u64,
        /// Up to where the watcher knows everything.
        known: u64,
    },
    /// A change was left out.
    #[error("step {step} skips the change at position {missing}")]
    Gap {
        /// Where.
        step: usize,
        /// The first change that was left out.
        missing: u64,
    },
    /// A change came twice.
    #[error("step {step} delivers the change at position {position} again")]
    Duplicate {
        /// Where.
        step: usize,
        /// Its position.
        position: u64,
    },
    /// A change came after a later one, or after its position was reported as passed.
    #[error("step {step} delivers the change at position {position} after position {known}")]
    OutOfOrder {
        /// Where.
        step: usize,
        /// Its position.
        position: u64,
        /// Up to where the watcher knew everything.
        known: u64,
    },
    /// A change came that the watcher did not ask for.
    #[error("step {step} delivers the change at position {position}, which does not pass the filter")]
    NotAsked {
        /// Where.
        step: usize,
        /// Its position.
        position: u64,
    },
    /// A change came that is not what happened.
    #[error("step {step} delivers a change at position {position} that is not the one in the history")]
    Altered {
        /// Where.
        step: usize,
        /// Its position.
        position: u64,
    },
    /// A position was told that the history does not have.
    #[error("step {step} tells of position {position}, which the history does not have")]
    Future {
        /// Where.
        step: usize,
        /// The position.
        position: u64,
    },
    /// Progress was reported over a change that was not delivered.
    #[error("step {step} reports progress to position {position} without the change at {missing}")]
    ProgressAhead {
        /// Where.
        step: usize,
        /// The progress.
        position: u64,
        /// The first change that is missing.
        missing: u64,
    },
    /// At the end, changes are missing.
    #[error("at the end the change at position {missing} is missing")]
    Missing {
        /// The first change that is missing.
        missing: u64,
    },
}

/// What is wrong with the history of a partition itself: positions count up by one, indexes never go down.
pub fn history_violations<E>(log: &[Change<E>]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (place, pair) in (1..).zip(log.windows(2)) {
        if let [before, Change { position, index, .. }] = pair
            && (before.position + 1 != *position || before.index > *index)
        {
            violations.push(Violation::History { place, position: *position, index: *index });
        }
    }
    violations
}

/// What is wrong with what a watcher received, given the whole history of the partition in order, in linear time.
pub fn violations<E: PartialEq>(log: &[Change<E>], watcher: &Watcher<E>) -> Vec<Violation> {
    let passing = log.iter().filter(|change| watcher.filter.passes(change));
    let mut replay = Replay {
        log,
        filter: &watcher.filter,
        passing: passing.map(|change| change.position).collect(),
        known: None,
        is_started: false,
        delivered: BTreeSet::new(),
        violations: history_violations(log),
    };
    for (step, received) in watcher.received.iter().enumerate() {
        replay.receive(step, received);
    }
    if let Some(end) = watcher.caught_up_to
        && let Some(missing) = replay.skipped(end)
    {
        replay.violations.push(Violation::Missing { missing });
    }
    replay.violations
}

/// What a watcher knows while its story is replayed.
struct Replay<'a, E> {
    log: &'a [Change<E>],
    filter: &'a Filter,
    /// The positions that the watcher asked for.
    passing: Vec<u64>,
    /// It knows everything up to here. None before the first start.
    known: Option<u64>,
    is_started: bool,
    delivered: BTreeSet<u64>,
    violations: Vec<Violation>,
}

impl<E: PartialEq> Replay<'_, E> {
    /// The first change that the watcher asked for and does not know, up to and including a position.
    fn skipped(&self, up_to: u64) -> Option<u64> {
        let known = self.known?;
        let next = self.passing.partition_point(|position| *position <= known);
        self.passing.get(next).copied().filter(|position| *position <= up_to)
    }

    fn change_at(&self, position: u64) -> Option<&Change<E>> {
        let first = self.log.first()?.position;
        self.log.get(usize::try_from(position.checked_sub(first)?).ok()?)
    }

    /// Checks that the history reaches up to a position. One without any change ends where it begins, and a watcher is
    /// told that first.
    fn check_exists(&mut self, step: usize, position: u64) {
        let last = self.log.last().map(|change| change.position).or(self.known).unwrap_or(position);
        if position > last {
            self.violations.push(Violation::Future { step, position });
        }
    }

    fn receive(&mut self, step: usize, received: &Received<E>) {
        match received {
            Received::Started { after, position } => self.start(step, *after, *position),
            Received::Restated { position } => {
                self.check_exists(step, *position);
                self.check_forward(step, *position);
                self.known = self.known.max(Some(*position));
            }
            Received::Compacted => self.is_started = false,
            Received::Delivered { .. } if !self.is_started => {
                self.violations.push(Violation::NotStarted { step });
            }
            Received::Delivered { events, position } => {
                for event in events {
                    self.deliver(step, event);
                }
                self.progress(step, *position);
            }
        }
    }

    fn check_forward(&mut self, step: usize, position: u64) {
        if let Some(known) = self.known.filter(|known| position < *known) {
            self.violations.push(Violation::WentBack { step, position, known });
        }
    }

    fn start(&mut self, step: usize, after: u64, position: u64) {
        self.check_exists(step, position);
        if after != 0 && after != position {
            self.violations.push(Violation::StartedElsewhere { step, after, position });
        }
        self.check_forward(step, position);
        if let Some(missing) = self.skipped(position) {
            self.violations.push(Violation::Gap { step, missing });
        }
        self.known = self.known.max(Some(position));
        self.is_started = true;
    }

    fn deliver(&mut self, step: usize, event: &Event<E>) {
        let position = event.position;
        let known = self.known.unwrap_or(0);
        match self.change_at(position) {
            None => return self.violations.push(Violation::Future { step, position }),
            Some(change) if !self.filter.passes(change) => {
                return self.violations.push(Violation::NotAsked { step, position });
            }
            Some(change) if change.index != event.index || change.event != event.event => {
                self.violations.push(Violation::Altered { step, position });
            }
            Some(_) => {}
        }
        if !self.delivered.insert(position) {
            self.violations.push(Violation::Duplicate { step, position });
        } else if position <= known {
            self.violations.push(Violation::OutOfOrder { step, position, known });
        } else if let Some(missing) = self.skipped(position - 1) {
            self.violations.push(Violation::Gap { step, missing });
        }
        self.known = self.known.max(Some(position));
    }

    fn progress(&mut self, step: usize, position: u64) {
        self.check_exists(step, position);
        self.check_forward(step, position);
        if let Some(missing) = self.skipped(position) {
            self.violations.push(Violation::ProgressAhead { step, position, missing });
        }
        self.known = self.known.max(Some(position));
    }
}
