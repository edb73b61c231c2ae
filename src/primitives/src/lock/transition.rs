//! One step of a lock: who gets it, who loses it, who waits.

use synod_proto::lock::v1::event::{Event as What, GaveUp, Granted, Lost, Queued, Reason, Released};
use synod_types::Fence;

use super::record::{Ended, Header, Holder, Lease, Request, State, Waiter, mode};
use super::timer::Purpose;
use crate::context::{Context, Outcome};
use crate::keys::Record;

/// How long a request id that is over is remembered.
const MEMORY_MS: u64 = 600_000;

/// A lock in the middle of a step. Whatever is done to it, [`Transition::finish`] comes last: it grants what has become
/// free and stores the header.
pub(super) struct Transition<'c, 'a> {
    pub(super) context: &'c mut Context<'a>,
    pub(super) header: Header,
}

impl<'c, 'a> Transition<'c, 'a> {
    pub(super) fn start(context: &'c mut Context<'a>) -> Outcome<Self> {
        let header = Header::read(&context.view())?;
        Ok(Self { context, header })
    }

    pub(super) fn finish(mut self) -> Outcome<()> {
        while let Some((place, waiter)) = self.next_waiter()? {
            self.dequeue(place, &waiter)?;
            self.grant(waiter)?;
        }
        Ok(self.header.write(self.context)?)
    }

    /// The first waiter, if it can be granted now.
    fn next_waiter(&self) -> Outcome<Option<(u64, Waiter)>> {
        if self.header.waiters == 0 {
            return Ok(None);
        }
        let first = Waiter::first(&self.context.view())?;
        Ok(first.filter(|(_, waiter)| self.is_free_for(waiter.reading)))
    }

    /// Whether those who hold leave room for one more, the queue aside.
    pub(super) const fn is_free_for(&self, reading: bool) -> bool {
        self.header.delay.is_none() && (self.header.holders == 0 || (self.header.reading && reading))
    }

    /// The fence of the next grant; see the module documentation.
    fn next_fence(&self) -> Fence {
        let counted_down = self.context.environment.index.get().saturating_sub(self.header.waiters);
        Fence(counted_down.max(self.header.last_fence.saturating_add(1)))
    }

    /// Grants the lock to somebody who is not in the queue, or not any more.
    pub(super) fn grant(&mut self, claim: Waiter) -> Outcome<Fence> {
        let fence = self.next_fence();
        let lease = match claim.lease_ms {
            None => None,
            Some(length_ms) => {
                let deadline = self.context.now().plus_ms(length_ms);
                let timer = self.context.set_timer(deadline, &Purpose::Lease(fence).encode())?;
                Some(Lease::new(length_ms, timer))
            }
        };
        self.header.last_fence = fence.get();
        self.header.holders += 1;
        self.header.reading = claim.reading;
        Request::write(self.context, &claim.request_id, State::Held(fence.get()))?;
        let (session_id, mode) = (claim.session, claim.mode());
        let holder = Holder {
            request_ids: vec![claim.request_id.clone()],
            session: claim.session,
            lease,
            metadata: claim.metadata,
            delay_ms: claim.delay_ms,
        };
        holder.write(self.context, fence)?;
        let event = Granted { fence: fence.get(), mode: mode.into(), session_id, lease_ms: claim.lease_ms };
        super::emit(self.context, claim.request_id, What::Granted(event));
        Ok(fence)
    }

    /// Lets one more request share a grant, as a reader if it asks for that.
    pub(super) fn share(&mut self, fence: Fence, mut holder: Holder, claim: Waiter) -> Outcome<()> {
        self.header.reading = claim.reading;
        Request::write(self.context, &claim.request_id, State::Held(fence.get()))?;
        holder.request_ids.push(claim.request_id.clone());
        holder.write(self.context, fence)?;
        let event = Granted {
            fence: fence.get(),
            mode: mode(claim.reading).into(),
            session_id: claim.session,
            lease_ms: holder.lease.map(|lease| lease.length_ms),
        };
        super::emit(self.context, claim.request_id, What::Granted(event));
        Ok(())
    }

    /// Puts a request at the end of the queue and returns how many are in front.
    pub(super) fn enqueue(&mut self, mut claim: Waiter, max_wait_ms: Option<u64>) -> Outcome<u64> {
        let place = self.context.environment.index.get();
        if let Some(max_wait_ms) = max_wait_ms {
            let deadline = self.context.now().plus_ms(max_wait_ms);
            let timer = self.context.set_timer(deadline, &Purpose::Wait(place).encode())?;
            claim.wait = Some(timer.into());
        }
        let ahead = self.header.waiters;
        self.header.waiters += 1;
        Request::write(self.context, &claim.request_id, State::Waiting(place))?;
        self.context.write(Record::Queue, &place.to_be_bytes(), &claim)?;
        super::emit(self.context, claim.request_id, What::Queued(Queued { ahead }));
        Ok(ahead)
    }

    fn dequeue(&mut self, place: u64, waiter: &Waiter) -> Outcome<()> {
        if let Some(wait) = waiter.wait {
            self.context.cancel_timer(wait.timer(), &Purpose::Wait(place).encode())?;
        }
        self.header.waiters = self.header.waiters.saturating_sub(1);
        Ok(self.context.delete(Record::Queue, &place.to_be_bytes())?)
    }

    /// Ends a wait without a grant.
    pub(super) fn give_up(&mut self, place: u64, waiter: Waiter, reason: Reason) -> Outcome<()> {
        self.dequeue(place, &waiter)?;
        self.context.disown(waiter.session(), waiter.request_id.as_bytes())?;
        remember(self.context, &waiter.request_id, reason)?;
        let event = GaveUp { reason: reason.into() };
        super::emit(self.context, waiter.request_id, What::GaveUp(event));
        Ok(())
    }

    /// Takes one request out of a grant, which ends with the last.
    pub(super) fn release(&mut self, fence: Fence, mut holder: Holder, request_id: String) -> Outcome<()> {
        holder.request_ids.retain(|sharing| *sharing != request_id);
        self.context.disown(holder.session(), request_id.as_bytes())?;
        remember(self.context, &request_id, Reason::Unspecified)?;
        if holder.request_ids.is_empty() {
            self.end_grant(fence, &holder)?;
        } else {
            holder.write(self.context, fence)?;
        }
        let event = Released { fence: fence.get() };
        super::emit(self.context, request_id, What::Released(event));
        Ok(())
    }

    /// Ends a grant against the will of those who share it, and makes the lock unavailable for as long as the grant has
    /// asked for, unless it was an operator who ended it.
    pub(super) fn lose(&mut self, fence: Fence, holder: Holder, reason: Reason) -> Outcome<()> {
        self.end_grant(fence, &holder)?;
        if reason != Reason::Forced {
            self.delay(holder.delay_ms)?;
        }
        let session = holder.session();
        for request_id in holder.request_ids {
            self.context.disown(session, request_id.as_bytes())?;
            remember(self.context, &request_id, reason)?;
            let event = Lost { fence: fence.get(), reason: reason.into() };
            super::emit(self.context, request_id, What::Lost(event));
        }
        Ok(())
    }

    fn end_grant(&mut self, fence: Fence, holder: &Holder) -> Outcome<()> {
        if let Some(lease) = holder.lease {
            self.context.cancel_timer(lease.timer(), &Purpose::Lease(fence).encode())?;
        }
        self.header.holders = self.header.holders.saturating_sub(1);
        Ok(self.context.delete(Record::Holder, &fence.get().to_be_bytes())?)
    }

    /// Makes the lock unavailable for a while, unless it already is for longer.
    fn delay(&mut self, delay_ms: u64) -> Outcome<()> {
        let until = self.context.now().plus_ms(delay_ms);
        if let Some(delay) = self.header.delay {
            if delay.timer().deadline >= until {
                return Ok(());
            }
            self.context.cancel_timer(delay.timer(), &Purpose::Delay.encode())?;
        }
        if until > self.context.now() {
            let timer = self.context.set_timer(until, &Purpose::Delay.encode())?;
            self.header.delay = Some(timer.into());
        }
        Ok(())
    }
}

/// Remembers that a request id is over, so that it is not granted.
pub(super) fn remember(context: &mut Context<'_>, request_id: &str, reason: Reason) -> Outcome<()> {
    let until = context.now().plus_ms(MEMORY_MS);
    let timer = context.set_timer(until, &Purpose::Memory(request_id).encode())?;
    let ended = Ended { reason: reason.into(), timer: timer.into() };
    Ok(Request::write(context, request_id, State::Ended(ended))?)
}
