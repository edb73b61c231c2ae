//! What clients have seen, as the fast [oracles](crate::oracle) want it: each judges one promise exactly and says what is
//! wrong, also where the search for a linearization gives up.
//!
//! Some promises can be judged only where nobody does what voids them: see [`workload::is_plain`].

use std::collections::BTreeMap;

use synod_types::{Monotonic, PrimitiveId};

use super::history::Recorder;
use super::invariants::{Check, Violation};
use super::workload;
use crate::linearizability::Operation;
use crate::linearizability::models::lock::{Action, Output as LockOutput};
use crate::linearizability::models::primitives::{Input, Output};
use crate::linearizability::models::{EntryAnswer, counter, lock as locks, map};
use crate::oracle::{ClockBound, counter as counters, expiry, lock, version};

type Op = Operation<Input, Output>;

/// Judges a history by every oracle for it.
pub(super) fn check(recorder: &Recorder, clock: ClockBound) -> Check {
    let operations = &recorder.operations;
    for (counter, history) in counter_histories(operations) {
        none("counter bounds", counters::violations(&history).first().map(|found| (counter, found)))?;
    }
    none("versions", version::violations(&versions(operations)).first())?;
    let holdings = Holdings::of(recorder, clock);
    for (lock, holdings) in &holdings.of_lock {
        none("lock intervals", lock::violations(holdings).first().map(|found| (lock, found, holdings)))?;
    }
    none("sessions end in time", expiry::violations(&recorder.lives, clock, None).first())
}

fn none(promise: &'static str, found: Option<impl std::fmt::Debug>) -> Check {
    found.map_or(Ok(()), |found| Err(Violation::new(promise, format!("{found:?}"))))
}

fn counter_histories(operations: &[Op]) -> BTreeMap<PrimitiveId, counters::History> {
    let mut histories: BTreeMap<PrimitiveId, counters::History> = BTreeMap::new();
    for Operation { input, invoked_at, returned, .. } in operations {
        let Input::Counter(counter::Input { counter, action }) = *input else { continue };
        let answered = match returned {
            Some((at, Output::Counter(Ok(number)))) => Some((*at, number.value)),
            // What was refused has not happened.
            Some(_) => continue,
            None => None,
        };
        if !workload::is_plain(counter) {
            continue;
        }
        let history = histories.entry(counter).or_default();
        let (invoked_at, delta) = match action {
            counter::Action::Increment(delta) => (*invoked_at, delta),
            counter::Action::Decrement(delta) => (*invoked_at, -delta),
            _ => {
                let read = answered.map(|(returned_at, value)| counters::Read {
                    value,
                    invoked_at: *invoked_at,
                    returned_at,
                });
                history.reads.extend(read);
                continue;
            }
        };
        history.changes.push(counters::Change { delta, invoked_at, answered });
    }
    histories
}

/// The versions of values and of the entries of maps. They are all of one partition.
fn versions(operations: &[Op]) -> version::History<(PrimitiveId, String)> {
    // A write of unknown outcome, or one with others in a transaction, does not tell its version.
    let mut history = version::History { writes: Vec::new(), reads: Vec::new(), is_complete: false };
    for Operation { input, invoked_at, returned, .. } in operations {
        let Some((returned_at, output)) = returned else { continue };
        let (key, answer) = match (input, output) {
            (Input::Value(input), Output::Value(Ok(answer))) => ((input.value, String::new()), answer),
            (
                Input::Map(map::Input { shard, action: map::Action::One(key, _) }),
                Output::Map(Ok(map::Output::One(answer))),
            ) => ((shard.primitive, key.clone()), answer),
            _ => continue,
        };
        let (invoked_at, returned_at) = (*invoked_at, *returned_at);
        let read = |version| version::Read { key: key.clone(), version, invoked_at, returned_at };
        match answer {
            EntryAnswer::Found(found) => history.reads.push(read(found.version)),
            EntryAnswer::Written { version, previous } => {
                let (version, previous) = (*version, previous.as_ref().map_or(0, |item| item.version));
                if version == previous {
                    history.reads.push(read(version));
                } else {
                    let previous = Some(previous);
                    history.writes.push(version::Write { key, version, previous, invoked_at, returned_at });
                }
            }
            _ => {}
        }
    }
    history
}

/// What clients believe to hold.
#[derive(Default)]
struct Holdings {
    of_lock: BTreeMap<PrimitiveId, Vec<lock::Holding>>,
}

/// What is known of one request for a lock.
struct Request {
    requested_at: Monotonic,
    reading: bool,
    /// It was sent in both modes: nobody knows which one counts.
    is_mixed: bool,
    /// By then its client no longer believes to hold.
    until: Monotonic,
    /// When it learned that it holds, under which fence.
    granted: Option<(Monotonic, u64)>,
    session: u64,
}

impl Holdings {
    fn of(recorder: &Recorder, clock: ClockBound) -> Self {
        let ends: BTreeMap<_, _> =
            recorder.sessions.iter().map(|life| (life.session.get(), life.expires_at)).collect();
        let mut requests: BTreeMap<(PrimitiveId, &str), Request> = BTreeMap::new();
        for operation in &recorder.operations {
            let Input::Lock(locks::Input { lock, action: Action::Acquire(acquire) }) = &operation.input
            else {
                continue;
            };
            if !workload::is_plain(*lock) {
                continue;
            }
            let (requested_at, session) = (operation.invoked_at, acquire.session);
            let request = requests.entry((*lock, &acquire.request)).or_insert_with(|| Request {
                requested_at,
                reading: acquire.reading,
                is_mixed: false,
                until: ends.get(&session).copied().unwrap_or_default(),
                granted: None,
                session,
            });
            request.requested_at = request.requested_at.min(requested_at);
            request.is_mixed |= request.reading != acquire.reading;
            let lease_end = acquire.lease.map(|lease| clock.earliest_end(requested_at, lease));
            request.until = request.until.min(lease_end.unwrap_or(request.until));
            if let Some((at, Output::Lock(Ok(LockOutput::Granted(fence))))) = &operation.returned {
                request.granted =
                    Some(request.granted.map_or((*at, *fence), |first| first.min((*at, *fence))));
            }
        }
        shorten(&mut requests, &recorder.operations, clock);
        let mut holdings = Self::default();
        for ((lock, _), request) in requests {
            let Some((from, fence)) = request.granted.filter(|_| !request.is_mixed) else { continue };
            let Request { session: holder, reading, requested_at, until, .. } = request;
            let holding = lock::Holding { holder, fence, reading, requested_at, from, until };
            holdings.of_lock.entry(lock).or_default().push(holding);
        }
        holdings
    }
}

/// Who sends a release believes no longer; a renewal may make a lease shorter.
fn shorten<'a>(
    requests: &mut BTreeMap<(PrimitiveId, &'a str), Request>,
    operations: &'a [Op],
    clock: ClockBound,
) {
    for operation in operations {
        let Input::Lock(locks::Input { lock, action }) = &operation.input else { continue };
        let sent_at = operation.invoked_at;
        let (name, end) = match action {
            Action::Release { request, .. } => (request, sent_at),
            Action::Renew { request, lease: Some(lease), .. } => {
                (request, clock.earliest_end(sent_at, *lease))
            }
            _ => continue,
        };
        if let Some(request) = requests.get_mut(&(*lock, name.as_str())) {
            request.until = request.until.min(end);
        }
    }
}
