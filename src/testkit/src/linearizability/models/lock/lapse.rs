//! What may have happened to a lock by itself, and what is not known of it.

use std::sync::Arc;

use synod_types::Monotonic;

use super::super::ClockBound;
use super::state::{LockState, Since};
use super::{Acquire, Action};

impl LockState {
    /// Every state that this one may have become by then without anybody's doing, itself first.
    pub(super) fn by(&self, latest: Monotonic, clock: ClockBound) -> Vec<Self> {
        let mut states = vec![self.clone()];
        let mut next = 0;
        while let Some(state) = states.get(next) {
            for lapsed in state.lapsed(latest, clock) {
                if !states.contains(&lapsed) {
                    states.push(lapsed);
                }
            }
            next += 1;
        }
        states
    }

    /// The states that are one lapse away: of a lease, of a wait, or of the delay after a loss.
    fn lapsed(&self, latest: Monotonic, clock: ClockBound) -> Vec<Self> {
        let mut states = Vec::new();
        let mut lapse = |at: Monotonic, change: &dyn Fn(&mut Self, Since)| {
            if at <= latest {
                let (mut state, since) = (self.clone(), Since { at, clock });
                change(&mut state, since);
                state.finish(since);
                states.push(state);
            }
        };
        for (place, grant) in self.grants.iter().enumerate() {
            if let Some(lease) = &grant.lease {
                lapse(lease.ends, &|state, since| state.lose(place, false, since));
            }
        }
        for (place, waiter) in self.queue.iter().enumerate() {
            if let Some(gives_up) = waiter.gives_up {
                lapse(gives_up, &|state, since| state.give_up(place, since));
            }
        }
        if let Some(available) = self.unavailable {
            lapse(available, &|state, _| state.unavailable = None);
        }
        states
    }

    /// Every way in which what an action asks about may be: whether its request id is still remembered, and whose
    /// fence the fence is that it names.
    pub(super) fn variants(self, action: &Action, latest: Monotonic) -> Vec<Self> {
        let request = match action {
            Action::Acquire(Acquire { request, .. }) | Action::Release { request, .. } => Some(request),
            _ => None,
        };
        let mut states = vec![self];
        if let Some(request) = request {
            let forgetful =
                states.iter().filter(|state| state.over.get(request).is_some_and(|end| *end <= latest));
            let forgetful: Vec<_> = forgetful.cloned().collect();
            states.extend(forgetful.into_iter().map(|mut state| {
                Arc::make_mut(&mut state.over).remove(request);
                state
            }));
        }
        let fence = match action {
            Action::Renew { fence, .. }
            | Action::Release { fence, .. }
            | Action::ForceRelease(fence)
            | Action::CheckFence(fence) => *fence,
            Action::Acquire(_) | Action::Get | Action::EndSession(_) => 0,
        };
        if fence != 0 {
            let learned: Vec<_> = states.iter().flat_map(|state| state.learning(fence)).collect();
            states.extend(learned);
        }
        states
    }

    /// For each grant whose fence may turn out to be this one, the state in which it is.
    fn learning(&self, fence: u64) -> impl Iterator<Item = Self> + use<'_> {
        let unknown =
            self.grants.iter().enumerate().filter(move |(_, grant)| grant.fence.may_turn_out_to_be(fence));
        unknown.filter_map(move |(place, _)| {
            let mut state = self.clone();
            state.learn(place, fence).then_some(state)
        })
    }
}
