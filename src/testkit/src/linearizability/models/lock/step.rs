//! What an operation does to a lock in whose state nothing is left open, and whether its answer fits.

use std::time::Duration;

use synod_types::ErrorCode;

use super::super::{Answer, ClockBound};
use super::state::{Lease, LockState, Since};
use super::{Acquire, Action, Input, Output, Shown};
use crate::linearizability::model::Call;

/// What a lock will answer, with grants by their places instead of their fences.
enum Expected {
    Granted(usize),
    Queued(usize),
    Renewed(Duration),
    Released(bool),
    Done,
    Shown,
    Current(bool),
}

/// The state after an operation; none if it cannot be answered as it was.
pub(super) fn step(
    mut state: LockState,
    call: Call<'_, Input, Answer<Output>>,
    clock: ClockBound,
) -> Option<LockState> {
    let since = Since { at: call.invoked_at, clock };
    let expected = match &call.input.action {
        Action::Acquire(acquire) => state.acquire(acquire, since),
        Action::Renew { request, fence, lease } => state.renew(request, *fence, *lease, since),
        Action::Release { request, session, fence } => state.give_back(request, *session, *fence, since),
        Action::ForceRelease(fence) => state.force_release(*fence, since),
        Action::Get => Ok(Expected::Shown),
        Action::CheckFence(fence) => Ok(Expected::Current(state.under(*fence).is_some())),
        Action::EndSession(session) => {
            state.end_session(*session, since);
            Ok(Expected::Done)
        }
    };
    let fits = match (expected, call.output) {
        (_, None) => true,
        (Ok(expected), Some(Ok(output))) => state.answers(&expected, output),
        (Err(expected), Some(Err(code))) => expected == *code,
        _ => false,
    };
    fits.then_some(state)
}

impl LockState {
    /// Whether an answer is the expected one. Learns the fences that it shows.
    fn answers(&mut self, expected: &Expected, output: &Output) -> bool {
        match (expected, output) {
            (Expected::Granted(place), Output::Granted(fence)) => self.learn(*place, *fence),
            (Expected::Queued(ahead), Output::Queued(told)) => *ahead as u64 == *told,
            (Expected::Renewed(length), Output::Renewed(told)) => length == told,
            (Expected::Released(held), Output::Released(told)) => held == told,
            (Expected::Current(current), Output::Current(told)) => current == told,
            (Expected::Done, Output::Done) => true,
            (Expected::Shown, Output::Shown(shown)) => self.shows(shown),
            _ => false,
        }
    }

    fn shows(&mut self, shown: &Shown) -> bool {
        let holders = self.grants.iter().enumerate();
        let holders: Vec<_> = holders
            .flat_map(|(place, grant)| grant.requests.iter().map(move |request| (place, request)))
            .collect();
        let same_holders =
            holders.iter().map(|(_, request)| *request).eq(shown.holders.iter().map(|(id, _)| id));
        let same_queue = self.queue.iter().map(|waiter| &waiter.request).eq(&shown.queue);
        let same_mode = self.grants.is_empty() || self.reading == shown.reading;
        if !(same_holders && same_queue && same_mode) {
            return false;
        }
        let places: Vec<_> = holders.into_iter().map(|(place, _)| place).collect();
        let mut fences = places.into_iter().zip(&shown.holders);
        fences.all(|(place, (_, fence))| self.learn(place, *fence)) && self.learn_last(shown.last_fence)
    }

    fn acquire(&mut self, acquire: &Acquire, since: Since) -> Answer<Expected> {
        let unbound = acquire.lease.is_none() || acquire.reentrant;
        if acquire.session == 0 && unbound {
            return Err(ErrorCode::Invalid);
        }
        if let Some(known) = self.known(acquire) {
            return known;
        }
        let waiter = Self::waiter(acquire, since);
        if let Some(place) = self.grant_of(acquire.session).filter(|_| acquire.reentrant) {
            if self.reading && !acquire.reading {
                return Err(ErrorCode::Invalid);
            }
            self.reading = acquire.reading;
            if let Some(grant) = self.grants.get_mut(place) {
                grant.requests.push(waiter.request);
            }
            self.finish(since);
            return Ok(Expected::Granted(place));
        }
        if self.queue.is_empty() && self.is_free_for(acquire.reading) {
            self.grant(waiter, since);
            return Ok(Expected::Granted(self.grants.len() - 1));
        }
        if acquire.max_wait == Some(Duration::ZERO) {
            return Err(ErrorCode::Expired);
        }
        self.queue.push(waiter);
        Ok(Expected::Queued(self.queue.len() - 1))
    }

    /// The answer to a request id that was used before.
    fn known(&self, acquire: &Acquire) -> Option<Answer<Expected>> {
        let owned = |owner: Option<u64>, answer| {
            if owner == Some(acquire.session) { Ok(answer) } else { Err(ErrorCode::AlreadyExists) }
        };
        if let Some(place) = self.holding(&acquire.request) {
            let owner = self.grants.get(place).map(|grant| grant.session);
            return Some(owned(owner, Expected::Granted(place)));
        }
        if let Some(place) = self.waiting(&acquire.request) {
            let owner = self.queue.get(place).map(|waiter| waiter.session);
            return Some(owned(owner, Expected::Queued(place)));
        }
        self.over.contains_key(&acquire.request).then_some(Err(ErrorCode::NotHeld))
    }

    fn renew(
        &mut self,
        request: &str,
        fence: u64,
        lease: Option<Duration>,
        since: Since,
    ) -> Answer<Expected> {
        let place = self.holding(request).filter(|place| self.under(fence) == Some(*place));
        let grant = place.and_then(|place| self.grants.get_mut(place)).ok_or(ErrorCode::NotHeld)?;
        let length = lease.or(grant.lease.as_ref().map(|lease| lease.length)).ok_or(ErrorCode::Invalid)?;
        grant.lease = Some(Lease { length, ends: since.clock.earliest_end(since.at, length) });
        Ok(Expected::Renewed(length))
    }

    fn give_back(&mut self, request: &str, session: u64, fence: u64, since: Since) -> Answer<Expected> {
        if let Some(place) = self.holding(request) {
            let owner = self.grants.get(place).map(|grant| grant.session);
            let allowed = if fence == 0 { owner == Some(session) } else { self.under(fence) == Some(place) };
            if !allowed {
                return Err(ErrorCode::NotHeld);
            }
            self.release(place, request, since);
            self.finish(since);
            return Ok(Expected::Released(true));
        }
        if let Some(place) = self.waiting(request) {
            let owner = self.queue.get(place).map(|waiter| waiter.session);
            if fence != 0 || owner != Some(session) {
                return Err(ErrorCode::NotHeld);
            }
            self.give_up(place, since);
            self.finish(since);
        } else if fence != 0 && self.under(fence).is_some() {
            return Err(ErrorCode::NotHeld);
        } else if fence == 0 && !self.over.contains_key(request) {
            self.remember(request.to_owned(), since);
        }
        Ok(Expected::Released(false))
    }

    fn force_release(&mut self, fence: u64, since: Since) -> Answer<Expected> {
        let place = self.under(fence).ok_or(ErrorCode::NotHeld)?;
        self.lose(place, true, since);
        self.finish(since);
        Ok(Expected::Done)
    }

    /// Ends what a session has, all of it before anybody else is granted. Without a session nothing ends.
    fn end_session(&mut self, session: u64, since: Since) {
        if session == 0 {
            return;
        }
        while let Some(place) = self.grants.iter().position(|grant| grant.session == session) {
            self.lose(place, false, since);
        }
        while let Some(place) = self.queue.iter().position(|waiter| waiter.session == session) {
            self.give_up(place, since);
        }
        self.finish(since);
    }
}
