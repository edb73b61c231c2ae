//! The timers of a lock: ends of leases, of waits, of the delay after a loss, and of the memory of request ids.

use synod_proto::lock::v1::event::Reason;
use synod_types::Fence;

use super::record::{Header, Holder, Lease, Request, State, Waiter};
use super::transition::Transition;
use crate::context::{Context, Failure, Outcome};
use crate::keys::{self, Record, Timer};

/// What a timer is for. Persisted as the own key of the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose<'a> {
    /// The end of the lease of a grant.
    Lease(Fence),
    /// The end of the wait in this place of the queue.
    Wait(u64),
    /// The end of the delay after a loss.
    Delay,
    /// The end of the memory of a request id.
    Memory(&'a str),
}

impl<'a> Purpose<'a> {
    pub(super) fn encode(self) -> Vec<u8> {
        match self {
            Self::Lease(fence) => [&b"l"[..], &fence.get().to_be_bytes()].concat(),
            Self::Wait(place) => [&b"w"[..], &place.to_be_bytes()].concat(),
            Self::Delay => b"d".to_vec(),
            Self::Memory(request_id) => [b"e", request_id.as_bytes()].concat(),
        }
    }

    fn decode(own: &'a [u8]) -> Option<Self> {
        match own.split_first()? {
            (b'l', fence) => Some(Self::Lease(Fence(keys::own_number(fence)?))),
            (b'w', place) => Some(Self::Wait(keys::own_number(place)?)),
            (b'd', []) => Some(Self::Delay),
            (b'e', request_id) => Some(Self::Memory(str::from_utf8(request_id).ok()?)),
            _ => None,
        }
    }
}

/// Does what a timer is for. A timer that no record knows of does nothing.
pub(crate) fn timer_fired(context: &mut Context<'_>, timer: Timer, own: &[u8]) -> Outcome<()> {
    match Purpose::decode(own) {
        Some(Purpose::Lease(fence)) => lease_over(context, timer, fence),
        Some(Purpose::Wait(place)) => wait_over(context, timer, place),
        Some(Purpose::Delay) => delay_over(context, timer),
        Some(Purpose::Memory(request_id)) => forget(context, timer, request_id),
        None => Err(Failure::unreadable("lock timer")),
    }
}

fn lease_over(context: &mut Context<'_>, timer: Timer, fence: Fence) -> Outcome<()> {
    let Some(mut holder) = Holder::read(&context.view(), fence)? else {
        return Ok(());
    };
    let Some(lease) = holder.lease.filter(|lease| lease.timer() == timer) else {
        return Ok(());
    };
    let end = lease.end(&context.environment);
    if end > timer.deadline {
        let again = context.set_timer(end, &Purpose::Lease(fence).encode())?;
        holder.lease = Some(Lease::new(lease.length_ms, again));
        return Ok(holder.write(context, fence)?);
    }
    let mut transition = Transition::start(context)?;
    transition.lose(fence, holder, Reason::LeaseExpired)?;
    transition.finish()
}

fn wait_over(context: &mut Context<'_>, timer: Timer, place: u64) -> Outcome<()> {
    let Some(waiter) = Waiter::read(&context.view(), place)? else {
        return Ok(());
    };
    if waiter.wait.is_none_or(|wait| wait.timer() != timer) {
        return Ok(());
    }
    let mut transition = Transition::start(context)?;
    transition.give_up(place, waiter, Reason::WaitExpired)?;
    transition.finish()
}

fn delay_over(context: &mut Context<'_>, timer: Timer) -> Outcome<()> {
    let header = Header::read(&context.view())?;
    if header.delay.is_none_or(|delay| delay.timer() != timer) {
        return Ok(());
    }
    let mut transition = Transition::start(context)?;
    transition.header.delay = None;
    transition.finish()
}

fn forget(context: &mut Context<'_>, timer: Timer, request_id: &str) -> Outcome<()> {
    match Request::read(&context.view(), request_id)? {
        Some(State::Ended(ended)) if ended.timer.timer() == timer => {
            Ok(context.delete(Record::Request, request_id.as_bytes())?)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The purposes are persisted: this test changes only together with a new format.
    #[test]
    fn the_purposes_are_pinned_and_read_back() {
        for (purpose, own) in [
            (Purpose::Lease(Fence(1)), &b"l\0\0\0\0\0\0\0\x01"[..]),
            (Purpose::Wait(2), b"w\0\0\0\0\0\0\0\x02"),
            (Purpose::Delay, b"d"),
            (Purpose::Memory("r1"), b"er1"),
        ] {
            assert_eq!(purpose.encode(), own);
            assert_eq!(Purpose::decode(own), Some(purpose));
        }
        for unknown in [&b""[..], b"l", b"dx", b"x", b"e\xff"] {
            assert_eq!(Purpose::decode(unknown), None);
        }
    }
}
