//! Before anything is changed: proof that a majority which has caught up remains.

use synod_types::{MemberId, Term};

use super::observation::{Member, Observation, Running};

/// A member this close to the end of what is committed counts as caught up. The nodes draw the same line before they
/// make a learner a voter.
pub const CAUGHT_UP_ENTRIES: u64 = 1_000;

/// Whether enough voters answer to elect a leader, as far as those that answer know who votes.
pub fn majority_answers(observation: &Observation) -> bool {
    let newest = observation.running().max_by_key(|(_, running)| (running.applied, running.term));
    let Some((_, newest)) = newest else { return false };
    let voters = newest.members.iter().filter(|member| member.votes);
    let answers = |member: &&Member| {
        observation.node(&member.node).is_some_and(|node| node.running_as(member.id).is_some())
    };
    voters.clone().filter(answers).count() >= majority_of(voters.count())
}

/// How many of `voters` are a majority.
pub(super) const fn majority_of(voters: usize) -> usize {
    voters / 2 + 1
}

/// How many entries the leader has committed that a member is not known to have.
pub(super) fn lag(leader: &Running, member: &Member) -> u64 {
    if member.id == leader.member {
        return 0;
    }
    leader.commit.get().saturating_sub(member.matched.get())
}

/// Whether a member is at hand: its node answers for it, the leader hears it, and it is close behind.
pub(super) fn has_caught_up(observation: &Observation, leader: &Running, member: &Member) -> bool {
    if member.id == leader.member {
        return true;
    }
    let answers = observation.node(&member.node).is_some_and(|node| node.running_as(member.id).is_some());
    answers && member.active && member.matched.get() > 0 && lag(leader, member) <= CAUGHT_UP_ENTRIES
}

/// Whether a member that held data before the leader was asked, and knew no later term than `term`, has been taken out
/// since.
pub(super) fn was_taken_out(leader: &Running, member: MemberId, term: Term) -> bool {
    term <= leader.term && leader.members.iter().all(|known| known.id != member)
}

/// Whether the leader, and a majority of its voters by what they say themselves, have no such member. As long as the
/// leader alone knows that a member was taken out, those who stay can come to count it again, and miss it together with
/// one of their own.
pub(super) fn is_known_to_be_out(
    observation: &Observation,
    leader: &Running,
    is_it: impl Fn(&Member) -> bool,
) -> bool {
    let knows = |running: &Running| !running.members.iter().any(&is_it);
    let says_so = |voter: &&Member| observation.running().any(|(_, it)| it.member == voter.id && knows(it));
    let voters = leader.members.iter().filter(|member| member.votes);
    knows(leader) && voters.clone().filter(says_so).count() >= majority_of(voters.count())
}

/// Proves that those of `voters` that have caught up are a majority of them.
///
/// # Errors
/// Why they are not.
pub(super) fn prove_majority<'a>(
    observation: &Observation,
    leader: &Running,
    voters: impl Iterator<Item = &'a Member>,
) -> Result<(), String> {
    let (ready, behind): (Vec<_>, Vec<_>) =
        voters.partition(|member| has_caught_up(observation, leader, member));
    let (all, needed) = (ready.len() + behind.len(), majority_of(ready.len() + behind.len()));
    if ready.len() >= needed {
        return Ok(());
    }
    let nodes: Vec<_> = behind.iter().map(|member| member.node.as_str()).collect();
    Err(format!(
        "only {} of {all} voters would be there and caught up, and {needed} are needed: {} must come back first",
        ready.len(),
        nodes.join(", "),
    ))
}

/// The voters without one of them.
pub(super) fn voters_without(leader: &Running, gone: MemberId) -> impl Iterator<Item = &Member> {
    leader.members.iter().filter(move |member| member.votes && member.id != gone)
}

/// The voters with a learner among them.
pub(super) fn voters_with(leader: &Running, learner: MemberId) -> impl Iterator<Item = &Member> {
    leader.members.iter().filter(move |member| member.votes || member.id == learner)
}
