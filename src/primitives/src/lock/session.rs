//! What the end of a session does to a lock.

use synod_proto::lock::v1::event::Reason;
use synod_types::Fence;

use super::record::{Holder, Request, State, Waiter};
use super::transition::Transition;
use crate::context::{Context, Failure, Outcome};

/// Ends the requests of a session that has ended, all of them before anybody else is granted.
pub(crate) fn session_ended(context: &mut Context<'_>, request_ids: Vec<Vec<u8>>) -> Outcome<()> {
    let mut transition = Transition::start(context)?;
    for request_id in request_ids {
        let request_id = str::from_utf8(&request_id).map_err(|_| Failure::unreadable("lock request"))?;
        let view = transition.context.view();
        match Request::read(&view, request_id)? {
            Some(State::Held(fence)) => {
                let fence = Fence(fence);
                let holder = Holder::expect(&view, fence)?;
                transition.lose(fence, holder, Reason::SessionEnded)?;
            }
            Some(State::Waiting(place)) => {
                let waiter = Waiter::expect(&view, place)?;
                transition.give_up(place, waiter, Reason::SessionEnded)?;
            }
            // It shared a grant that was lost just before.
            Some(State::Ended(_)) | None => {}
        }
    }
    transition.finish()
}
