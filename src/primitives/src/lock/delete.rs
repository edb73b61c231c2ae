//! What the deletion of the primitive does to a lock.

use prost::Message;
use synod_proto::lock::v1::event::{Event as What, GaveUp, Lost, Reason};
use synod_types::Fence;

use super::record::{Header, Holder, Request, State, Waiter};
use super::timer::Purpose;
use crate::context::{Context, Failure, Outcome};
use crate::keys::Record;

/// Removes all that the primitive holds. Those who hold lose, those who wait give up, and nobody is granted.
pub(crate) fn delete_primitive(context: &mut Context<'_>) -> Outcome<()> {
    let reason = Reason::Forced.into();
    let holders: Vec<(u64, Holder)> = all(context, Record::Holder)?;
    for (fence, holder) in holders {
        if let Some(lease) = holder.lease {
            context.cancel_timer(lease.timer(), &Purpose::Lease(Fence(fence)).encode())?;
        }
        context.delete(Record::Holder, &fence.to_be_bytes())?;
        let session = holder.session();
        for request_id in holder.request_ids {
            context.disown(session, request_id.as_bytes())?;
            super::emit(context, request_id, What::Lost(Lost { fence, reason }));
        }
    }
    let waiters: Vec<(u64, Waiter)> = all(context, Record::Queue)?;
    for (place, waiter) in waiters {
        if let Some(wait) = waiter.wait {
            context.cancel_timer(wait.timer(), &Purpose::Wait(place).encode())?;
        }
        context.delete(Record::Queue, &place.to_be_bytes())?;
        context.disown(waiter.session(), waiter.request_id.as_bytes())?;
        super::emit(context, waiter.request_id, What::GaveUp(GaveUp { reason }));
    }
    forget_requests(context)?;
    if let Some(delay) = Header::read(&context.view())?.delay {
        context.cancel_timer(delay.timer(), &Purpose::Delay.encode())?;
    }
    Ok(context.delete(Record::Header, b"")?)
}

fn all<M: Message + Default>(context: &Context<'_>, record: Record) -> Outcome<Vec<(u64, M)>> {
    context.view().numbered(record, "lock record").collect()
}

fn forget_requests(context: &mut Context<'_>) -> Outcome<()> {
    let requests: Vec<_> = context.view().scan(Record::Request).collect::<Result<_, _>>()?;
    for (request_id, _) in requests {
        let request_id = str::from_utf8(&request_id).map_err(|_| Failure::unreadable("lock request"))?;
        if let Some(State::Ended(ended)) = Request::read(&context.view(), request_id)? {
            context.cancel_timer(ended.timer.timer(), &Purpose::Memory(request_id).encode())?;
        }
        context.delete(Record::Request, request_id.as_bytes())?;
    }
    Ok(())
}
