//! The members of one partition: who they are, who they should be, and the next step from here to there.
//!
//! ```text
//!   status of each node ──► Observation ──► plan ──► Step ──► carry_out ──► nodes
//!                              ▲             ▲
//!                        desired nodes    Genesis, if the partition has ever begun
//! ```
//!
//! [`plan`] is pure: an ordered list of checks, of which the first that finds something to do says what, and why. It
//! remembers nothing between two calls, so that it does not matter who called it last, or what became of the step:
//! the next observation tells.
//!
//! Rules:
//! - A partition begins once. [`Step::Begin`] is planned only if it never did, every desired node answers, and none
//!   holds data; what was decided is then remembered before anything else happens ([`Genesis`]).
//! - A replica that lost its data is another member: the old one goes out first, then the new one comes in as a learner
//!   and is promoted once it has caught up.
//! - One change at a time, and none that would leave less than a caught-up majority (`quorum`).
//! - What needs a person is said with the exact next step ([`Step::Stuck`]), and nothing is guessed.
//!
//! What must not go here: how nodes are started and found.

mod carry_out;
mod genesis;
mod nodes;
mod observation;
mod plan;
mod quorum;

#[cfg(test)]
mod model;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;

pub use carry_out::carry_out;
pub use genesis::{Founder, Genesis};
pub use nodes::{AdminChannel, Nodes};
pub use observation::{Member, Node, Observation, Replica, Role, Running};
pub use plan::{Action, Restart, Step, ailing, may_leave, most_complete, plan, plan_recovery, plan_restart};
pub use quorum::{CAUGHT_UP_ENTRIES, majority_answers};
