//! The next step of one partition: an ordered list of checks, the first that applies decides.

mod leaderless;
mod led;
mod recovery;
mod restart;

use synod_types::{MemberId, Term};

use super::genesis::{Founder, Genesis};
use super::observation::{Node, Observation, Replica};
use super::quorum::is_known_to_be_out;
use crate::message::{listed, shortened};
use leaderless::Leaderless;
use led::Led;
pub use recovery::{most_complete, plan_recovery};
pub use restart::{Restart, plan_restart};

/// What to do next about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every desired node has a voter that has caught up, and there are no other members.
    Nothing,
    /// Nothing can be done before something changes by itself. Why, for people.
    Wait(String),
    /// Somebody has to do something.
    Stuck {
        /// What is the matter.
        problem: String,
        /// What to do about it.
        next: String,
    },
    /// The partition is to begin with these members. Remember that durably, as a [`Genesis`], then plan again.
    Begin {
        /// The first members.
        founders: Vec<Founder>,
    },
    /// Something is to be asked of nodes.
    Act {
        /// What.
        action: Action,
        /// Why, for people.
        reason: String,
    },
}

/// What can be asked of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Gives the blank replicas on these nodes an id.
    Prepare {
        /// Which.
        nodes: Vec<String>,
    },
    /// Tells the replicas on these nodes, all of which wait, how the partition begins.
    Bootstrap {
        /// Which.
        nodes: Vec<String>,
        /// What was remembered.
        genesis: Genesis,
    },
    /// Takes a member out.
    Remove {
        /// The node that leads.
        leader: String,
        /// Who goes.
        member: MemberId,
    },
    /// Adds a member that does not count yet.
    AddLearner {
        /// The node that leads.
        leader: String,
        /// Who comes.
        learner: Founder,
    },
    /// Makes a learner a voter.
    Promote {
        /// The node that leads.
        leader: String,
        /// Who.
        member: MemberId,
    },
    /// Deletes what a member has that was taken out, so that another one can take its place.
    Discard {
        /// The node that leads: it is asked again before anything is deleted.
        leader: String,
        /// The node that holds the data.
        node: String,
        /// Whose it is.
        member: MemberId,
        /// The newest term that this member knows.
        term: Term,
    },
    /// Makes a member go on alone, without those that are lost.
    Recover {
        /// The node that hosts it.
        node: String,
        /// Who.
        member: MemberId,
    },
    /// Hands leadership over.
    TransferLeadership {
        /// The node that leads.
        leader: String,
        /// Who is to lead.
        to: MemberId,
    },
}

/// Plans the next step. `genesis` is what was remembered of the last [`Step::Begin`], if there ever was one.
pub fn plan(observation: &Observation, genesis: Option<&Genesis>) -> Step {
    let Some((node, running)) = observation.leader() else {
        let partition = Leaderless { observation, genesis };
        let checks = [Leaderless::begin, Leaderless::bootstrap, Leaderless::data_lost];
        return checks.into_iter().find_map(|check| check(&partition)).unwrap_or_else(|| partition.quorum());
    };
    let partition = Led { observation, node, leader: running };
    let checks = [
        Led::prepare_blank,
        Led::remove_replaced,
        Led::remove_undesired_learner,
        Led::finish_learner,
        Led::add_learner,
        Led::remove_undesired_voter,
        Led::discard_stranger,
        Led::tell_failed,
        Led::await_missing,
    ];
    checks.into_iter().find_map(|check| check(&partition)).unwrap_or(Step::Nothing)
}

/// Whether a node that is not desired can be switched off for good, and its data deleted, as far as one partition is
/// concerned: nobody counts on it. It must not be used again after that with what it had.
pub fn may_leave(observation: &Observation, genesis: Option<&Genesis>, node: &str) -> bool {
    match observation.leader() {
        Some((_, leader)) => is_known_to_be_out(observation, leader, |member| member.node == node),
        None => genesis.is_none() && observation.running().next().is_none(),
    }
}

fn act(action: Action, reason: impl Into<String>) -> Option<Step> {
    Some(Step::Act { action, reason: reason.into() })
}

fn wait(reason: impl Into<String>) -> Option<Step> {
    Some(Step::Wait(reason.into()))
}

/// What helps a replica that has stalled.
const MAKE_ROOM: &str = "it goes on by itself once there is room: raise spec.storage.size where the storage class lets \
                         volumes grow, or make room on the volume";

/// What helps a replica that cannot save a snapshot.
const LET_IT_SAVE: &str = "it tries again until it can: if there is no room, raise spec.storage.size where the storage class lets \
                           volumes grow, or make room on the volume";

/// How many bytes of what a replica says are told on: people have to read what to do about it, too.
const PROBLEM_BYTES_MAX: usize = 200;

/// What is said of a replica that has stalled.
fn stalled(node: &str, problem: &str) -> String {
    format!("{node} has stopped: {}", shortened(problem, PROBLEM_BYTES_MAX))
}

/// What is said of a replica that has failed.
fn failed(node: &str, problem: &str) -> String {
    format!("{node} has failed: {}", shortened(problem, PROBLEM_BYTES_MAX))
}

/// What is said of those that have stalled, if any has.
fn all_stalled<'a>(nodes: impl Iterator<Item = &'a Node>) -> Option<String> {
    and_others(nodes.filter_map(|node| match &node.replica {
        Replica::Stalled { problem, .. } => Some((node, stalled(&node.name, problem))),
        _ => None,
    }))
}

/// What is said of those that have failed, if any has.
fn all_failed<'a>(nodes: impl Iterator<Item = &'a Node>) -> Option<String> {
    and_others(nodes.filter_map(|node| match &node.replica {
        Replica::Failed { problem, .. } => Some((node, failed(&node.name, problem))),
        _ => None,
    }))
}

/// What ails those that run or wait, if anything does: nothing is to be done about it in the membership.
pub fn ailing(observation: &Observation) -> Option<(String, &'static str)> {
    let ailing = observation.nodes.iter().filter_map(|node| {
        let problem = node.replica.ailment()?;
        Some((node, format!("{}: {}", node.name, shortened(problem, PROBLEM_BYTES_MAX))))
    });
    and_others(ailing).map(|told| (told, LET_IT_SAVE))
}

/// What is said of the first, and the names of the others.
fn and_others<'a>(mut told: impl Iterator<Item = (&'a Node, String)>) -> Option<String> {
    let (_, first) = told.next()?;
    let others = names(told.map(|(node, _)| node));
    Some(if others.is_empty() { first } else { format!("{first}; also {}", listed(&others)) })
}

fn names<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Vec<String> {
    nodes.into_iter().map(|node| node.name.clone()).collect()
}

fn waiting(node: &Node) -> Option<MemberId> {
    match node.replica {
        Replica::Waiting { member, .. } => Some(member),
        _ => None,
    }
}
