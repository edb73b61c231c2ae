//! A model of leader leases: can a leader answer a read from its lease while somebody else leads already?
//!
//! Three members, explored exhaustively with `stateright`: every order of every event.
//!
//! | in the model | in the code |
//! |---|---|
//! | `State::hear_round`, `Member::bars` | `Raft::deliver`, `Promise::renew` and `Promise::bars`, which are called |
//! | `Event::Round`, `Group::hear_ack` | `Raft::begin_round`, `Raft::round_confirmed` |
//! | `Member::reads` | `Raft::read`, by `Lease`, which is called |
//! | `Group::suspect`, `Event::Campaign` | `Raft::suspect`, `Raft::campaign_if_due` |
//! | `State::hear_request` | `Raft::deliver` of requests for votes, `Election::defer`, what the crate itself refuses |
//! | `Group::transfer`, `State::hear_timeout_now` | `Raft::transfer`, the crate's `MsgTimeoutNow` |
//! | `Group::restart` | `Raft::new`: `is_newborn`, `Promise::forgotten` |
//! | `Event::StepDown` | what the crate does without a majority, or when an answer tells of a newer term |
//!
//! **Time** passes by `Event::Pass` only, a step at once, and has no end: moments are kept as ages. A member may do
//! nothing for as long as it takes, and what waited for it is there when it goes on: that is a pause. Clocks may drift as
//! far as the lease allows, and are always at their worst: when they count a lease they count 9 units a step, when they
//! count a promise 10. The lease of 20 units, of which leaders count on 18, is then two steps long for both of them.
//!
//! **Messages** stay where they are: each may be heard late, twice, never, and in any order. Of the rounds of a term and
//! of their acknowledgements the newest alone is kept: an older one does the same, but for a shorter lease.
//!
//! **Left out.** The log, and whom it forbids to be elected: more elections succeed than in truth, and the
//! acknowledgement of a round stands for that of the leader's first entry as well. Election timeouts: without suspicion
//! they lead to the same campaigns, later. Pre-votes, which prevent campaigns. Membership changes. Disks: terms and votes
//! are durable at once. The moment between the look at the clock and the answer: the clock is read after the request came
//! (`Work::run` in the node), so that the answer was right at a moment after that.
//!
//! **Bounds.** Elections in two terms, and in one more for each step of `SYNOD_MODEL_DEPTH`. A restart is tried where there
//! is a promise to forget, as it does nothing else that a pause does not. A run ends when nobody can lead in any term
//! but the last, as only who leads in an earlier one can be wrong.

mod steps;
mod tests;

use std::time::Duration;

use stateright::{Model, Property};

/// For how long a follower promises, in units of clocks.
const LEASE: Duration = Duration::from_nanos(20);

/// A round of this age grants no lease by any clock, so that older ones need not be told apart.
const AGE_MAX: u8 = 3;

/// The term of a genesis, in which nobody leads.
const GENESIS: usize = 1;

/// One more than the greatest term that a run can have.
const TERMS: usize = 6;

/// To whom something was promised by a member that has forgotten it.
const NOBODY: usize = 3;

const NO_STALE_READ: &str = "nobody reads by a lease after a later leader has committed";
const EXCLUSIVE: &str = "nobody reads by a lease while another leads in a later term";
const ELECTION_SAFETY: &str = "nobody leads in the term of another";
const READS: &str = "a lease is valid";
const FAILS_OVER: &str = "a leader that promises were made to is replaced without its doing";
const HANDS_OVER: &str = "somebody leads who is bound to another";

/// The design, or one that differs from it in one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Design {
    Ours,
    /// A member that restarts takes itself for one that has promised nothing.
    RestartForgets,
    /// Where one clock counts 10 units, another may count 8.
    ClocksDriftTooFar,
    /// A lease counts from when the leader hears the acknowledgement.
    LeaseFromAck,
    /// A leader keeps its lease while it hands over.
    LeaseSurvivesTransfer,
    /// A lease counts the ticks that the leader has handled.
    LeaseInTicks,
    /// A broken connection to the leader ends the promise.
    SuspicionEndsPromise,
}

struct Group {
    design: Design,
    term_max: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    members: [Member; 3],
    /// What was sent, by term.
    wire: [Sent; TERMS],
    /// The latest term in which a leader has committed something.
    committed: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    term: usize,
    role: Role,
    /// The last round that it has heard, and how long ago, while the promise binds.
    heard: Option<Round>,
    knows_leader: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Round {
    from: usize,
    age: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Follower,
    Candidate,
    Leader {
        /// The age of the newest round that a majority has acknowledged, while it grants a lease.
        lease: Option<u8>,
        given_up: bool,
    },
}

/// What was sent in one term. The lists are by member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Sent {
    /// The newest round.
    round: Option<Round>,
    /// The age of the newest round that was acknowledged.
    acks: [Option<u8>; 3],
    /// Who campaigns, and whether it was called to.
    requests: [Option<bool>; 3],
    /// Who was voted for.
    votes: [Option<usize>; 3],
    /// Who is called to campaign.
    calls: [bool; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Pass,
    /// Time passes while this leader does not run. Makes a difference only to who counts ticks.
    PassAsleep(usize),
    Round(usize),
    HearRound {
        term: usize,
        to: usize,
    },
    HearAck {
        term: usize,
        from: usize,
    },
    Suspect(usize),
    Campaign(usize),
    HearRequest {
        term: usize,
        from: usize,
        to: usize,
    },
    HearVote {
        term: usize,
        from: usize,
    },
    Transfer {
        from: usize,
        to: usize,
    },
    HearTimeoutNow {
        term: usize,
        to: usize,
    },
    StepDown(usize),
    Restart(usize),
}

impl Model for Group {
    type State = State;
    type Action = Event;

    /// A group at its birth. To find what is wrong with a broken design, one that has just elected its first leader.
    fn init_states(&self) -> Vec<State> {
        let newborn = Member::of(GENESIS, Role::Follower);
        let mut state = State {
            members: [newborn.clone(), newborn.clone(), newborn],
            wire: std::array::from_fn(|_| Sent::default()),
            committed: 0,
        };
        if self.design != Design::Ours {
            state.campaign(0, false);
            state.hear_request(GENESIS + 1, 0, 1);
            state.hear_vote(GENESIS + 1, 1);
        }
        vec![state]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        events.push(Event::Pass);
        for member in 0..3 {
            self.events_of(state, member, events);
        }
    }

    fn next_state(&self, before: &State, event: Event) -> Option<State> {
        let mut state = before.clone();
        match event {
            Event::Pass => self.pass(&mut state, None),
            Event::PassAsleep(member) => self.pass(&mut state, Some(member)),
            Event::Round(from) => {
                state.wire[before.members[from].term].round = Some(Round { from, age: 0 });
            }
            Event::HearRound { term, to } => state.hear_round(term, to)?,
            Event::HearAck { term, from } => self.hear_ack(&mut state, term, from)?,
            Event::Suspect(member) => self.suspect(&mut state.members[member]),
            Event::Campaign(member) => state.campaign(member, false),
            Event::HearRequest { term, from, to } => state.hear_request(term, from, to)?,
            Event::HearVote { term, from } => state.hear_vote(term, from)?,
            Event::Transfer { from, to } => self.transfer(&mut state, from, to),
            Event::HearTimeoutNow { term, to } => state.hear_timeout_now(term, to)?,
            Event::StepDown(member) => state.members[member].role = Role::Follower,
            Event::Restart(member) => self.restart(&mut state.members[member]),
        }
        self.tidy(&mut state);
        (state != *before).then_some(state)
    }

    /// Whether somebody leads in a term before the last, or may yet.
    fn within_boundary(&self, state: &State) -> bool {
        (GENESIS + 1..self.term_max).any(|term| {
            let at = |member: &Member| member.term == term;
            let runs = state.members.iter().any(|member| at(member) && member.role != Role::Follower);
            let has_vote = |(number, member): &(usize, &Member)| {
                member.term < term || (at(member) && state.wire[term].votes[*number].is_none())
            };
            runs || state.members.iter().enumerate().filter(has_vote).count() >= 2
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NO_STALE_READ, |group: &Self, state: &State| {
                state.members.iter().all(|member| !group.reads(member) || state.committed <= member.term)
            }),
            Property::always(EXCLUSIVE, |group, state: &State| {
                let leads_after = |term| state.members.iter().any(|other| other.leads() && other.term > term);
                state.members.iter().all(|member| !group.reads(member) || !leads_after(member.term))
            }),
            Property::always(ELECTION_SAFETY, |_, state: &State| {
                let leaders = state.members.iter().filter(|member| member.leads());
                let mut terms: Vec<_> = leaders.map(|leader| leader.term).collect();
                terms.sort_unstable();
                terms.windows(2).all(|pair| pair[0] < pair[1])
            }),
            Property::sometimes(READS, |group, state: &State| {
                state.members.iter().any(|member| group.reads(member))
            }),
            Property::sometimes(FAILS_OVER, |_, state: &State| {
                let willing = Role::Leader { lease: None, given_up: false };
                let of = |term| move |member: &Member| member.term == term && member.role == willing;
                (GENESIS + 1..TERMS - 1).any(|term| {
                    let is_replaced =
                        state.members.iter().any(of(term)) && state.members.iter().any(of(term + 1));
                    is_replaced && state.committed == term
                })
            }),
            Property::sometimes(HANDS_OVER, |_, state: &State| {
                let is_bound = |(number, member): (usize, &Member)| member.leads() && member.bars(number);
                state.members.iter().enumerate().any(is_bound)
            }),
        ]
    }
}
