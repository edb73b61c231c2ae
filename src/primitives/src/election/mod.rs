//! The leader election, which lives whole on the partition of its name: a leader, and a queue of candidates who follow.
//!
//! Invariants:
//! - Nobody is in it twice, and the leader is not in the queue.
//! - If anybody waits, somebody leads.
//! - The term grows by one whenever another candidate takes over, and only then. It outlives the election, so that a
//!   fencing token never comes again: the header of a deleted election stays, with nothing but the term.
//!
//! Every change is one event with the state after it, also when the last leader leaves. Records: `Header`, the term and
//! the leader; `Queue`, the candidates in order.

mod anoint;
mod demote;
mod enter;
mod evict;
mod get;
mod promote;
mod state;
mod withdraw;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use synod_proto::election::v1::{Event, Term};
use synod_proto::primitive::v1::event;
use synod_types::Error;

use self::state::Election;
use crate::bounds;
use crate::context::{Context, Failure, Outcome};

fn check_candidate(candidate: &str) -> Result<(), Error> {
    bounds::name("candidate", candidate, 255)
}

/// Changes the election, tells watchers if that made a difference, and returns the state after it.
fn change(
    context: &mut Context<'_>,
    change: impl FnOnce(&mut Context<'_>, &mut Election) -> Outcome<()>,
) -> Outcome<Term> {
    let mut election = Election::read(&context.view())?;
    change(context, &mut election)?;
    let term = election.term();
    if election.is_changed() {
        election.write(context)?;
        let term = Some(term.clone());
        context.emit("", event::Event::Election(Event { term }));
    }
    Ok(term)
}

/// Takes the candidates of a session that has ended out, in one step, so that none of them leads in between.
pub(crate) fn session_ended(context: &mut Context<'_>, candidates: Vec<Vec<u8>>) -> Outcome<()> {
    let mut gone = BTreeSet::new();
    for candidate in candidates {
        gone.insert(String::from_utf8(candidate).map_err(|_| Failure::unreadable("candidate"))?);
    }
    change(context, |_, election| {
        election.remove(&gone);
        Ok(())
    })
    .map(|_| ())
}

/// Removes all that the primitive holds but the term.
pub(crate) fn delete_primitive(context: &mut Context<'_>) -> Outcome<()> {
    change(context, |context, election| {
        for candidate in election.candidates() {
            context.disown(candidate.session(), candidate.id.as_bytes())?;
        }
        election.clear();
        Ok(())
    })
    .map(|_| ())
}
