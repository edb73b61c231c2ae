//! The lock: a read-write lock with fences, which lives whole on the partition of its name.
//!
//! Invariants:
//! - One writer holds, or any number of readers, or nobody.
//! - First come, first served: whoever cannot be granted waits, and nobody is granted before one who has waited longer.
//!   Readers who wait next to each other are granted together. So while anybody waits, the first cannot be granted.
//! - A request id is granted at most once. When it is over it is remembered for ten minutes, also if it was withdrawn
//!   before it came, so that an acquisition that was delayed on its way holds nothing that nobody knows of. Deleting
//!   the lock deletes this memory.
//! - Releasing ends the grant of the given request id and fence, and never another one.
//! - The fences of a lock are unique and grow with every grant, over its deletion and creation as well.
//!
//! # Fences
//!
//! The fence of a grant is the index of the command that granted it less the number of those who still wait, and greater
//! than the last fence in any case. Why that is enough: whoever waits was queued by a command of its own, so the indexes
//! since the last grant leave room for one fence each, and counting down keeps every fence at or below the index. It can
//! be one above only if a timer, which counts as the command that follows it, used that index up. A lock that is deleted
//! and created again took a command for each and a third to acquire it, so its fences start above all earlier ones,
//! though nothing of it was kept.
//!
//! # Time
//!
//! A wait ends at the deadline that was fixed when it began. A lease that a leader change interrupts runs for its full
//! length from the change; its timer is set anew when it fires too early. After a loss, which a release is not, the
//! lock stays unavailable for the delay that the lost grant asked for.
//!
//! Records: `Header`, the lock as a whole; `Holder`, a grant under its fence; `Queue`, a waiter under the index of the
//! command that queued it; `Request`, what became of a request id.

mod acquire;
mod check_fence;
mod delete;
mod force_release;
mod get;
mod record;
mod release;
mod renew;
mod session;
mod timer;
mod transition;

#[cfg(test)]
mod model;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

pub(crate) use delete::delete_primitive;
pub(crate) use session::session_ended;
pub(crate) use timer::timer_fired;

use synod_proto::lock::v1::Event;
use synod_proto::lock::v1::event::Event as What;
use synod_proto::primitive::v1::event;
use synod_types::{Error, ErrorCode, Fence};

use crate::bounds;
use crate::context::{Context, Failure};

/// The longest request id.
const REQUEST_ID_BYTES: u64 = 128;

fn check_request_id(request_id: &str) -> Result<(), Error> {
    bounds::name("request_id", request_id, REQUEST_ID_BYTES)
}

fn check_lease(lease_ms: Option<u64>) -> Result<(), Error> {
    lease_ms.map_or(Ok(()), |lease_ms| bounds::duration("lease_ms", lease_ms, 100, 86_400_000))
}

fn emit(context: &mut Context<'_>, request_id: String, event: What) {
    let of = request_id.clone();
    let event = Event { request_id, event: Some(event) };
    context.emit(of, event::Event::Lock(event));
}

fn not_held(request_id: &str, fence: Fence) -> Failure {
    let message = format!("request \"{request_id}\" does not hold the lock under fence {fence}");
    Failure::rejected(ErrorCode::NotHeld, message)
}
