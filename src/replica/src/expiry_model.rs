//! A model of session expiry: can a session end, and its lock go to somebody else, while its client may still believe in
//! it?
//!
//! Three replicas, one session with one lock, one client, explored exhaustively with `stateright`: every order of every
//! event.
//!
//! | in the model | in the code |
//! |---|---|
//! | `Group::begin_to_lead` | `Replica::lead`, `Replica::begin_to_lead` |
//! | `Group::expire`, `Member::is_due` | `Replica::expire_sessions`, by `Expiry`, which is called |
//! | `Event::Ask`, `Event::Confirm` | `Replica::queue_read`, `Replica::confirm_reads`, a round of the leader or its lease |
//! | `Group::serve` | `Replica::serve_reads`, `Replica::keep_alive`, `Expiry::renew` |
//! | `Group::hear`, `State::believes` | `Tenure` and `Hold` of the client |
//! | `State::elect`, `State::append` | raft: terms, votes by the length of the log, the commit rule |
//!
//! **Time** passes by `Event::Pass` only, a step at once, and has no end: moments are kept as ages. Whoever does nothing for
//! a while is paused; the leader's clock, which stands still meanwhile, makes nothing earlier. Clocks may differ in speed
//! as far as the client allows for, and are always at their worst: leaders count 10 units a step, the client 9. The timeout
//! of 20 units, of which the client counts on 18, is then two steps long for both of them.
//!
//! **The log** of a replica is how many entries it has of each term: the first announces the leader, the second ends the
//! session. Entries travel late, twice or never. A leader that was replaced does not know it until it hears of the newer
//! term.
//!
//! **Left out.** How a lease confirms leadership, which is a model of its own (`raft::lease_model` of the protocol): here,
//! some other replica must be of no later term than the leader at some moment after the request came. The opening of the
//! session, writes, locks that are released, sessions that the client itself closes. Snapshots, membership changes.
//!
//! **Bounds.** Three terms, the first of which has begun, and one more for each step of `SYNOD_MODEL_DEPTH`. The client has
//! one request on its way, as it has in truth: what is answered to one that it gave up, it does not hear.

mod steps;
mod tests;

use std::time::Duration;

use stateright::{Model, Property};

/// The timeout of the session, in units of clocks.
const TIMEOUT: Duration = Duration::from_nanos(20);

/// What is older than this is over by every clock.
const AGE_MAX: u8 = 3;

/// One more than the greatest term that a run can have.
const TERMS: usize = 6;

/// What a log has of one term.
const ANNOUNCED: u8 = 1;
const CLOSES: u8 = 2;

const NOT_CLOSED_EARLY: &str = "no session is closed while its client believes in it";
const ONE_HOLDER: &str = "no lock is given away while its holder believes in it";
const TOLD_THE_TRUTH: &str = "nobody is told that a session is over which is open";
const CLOSES_IN_TIME: &str = "a session ends whose client is gone";
const SURVIVES: &str = "a session is kept alive by two leaders";
const LATE_ANSWER: &str = "a leader that was replaced answers a request that it confirmed before";

/// The design, or one that differs from it in one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Design {
    Ours,
    /// A leader answers keep-alives without asking whether it still leads.
    NoConfirmation,
    /// A new leader counts on from the last keep-alive that it knows of, which is the opening.
    NoGrace,
    /// A new leader answers before it has applied what was committed before it.
    AnswersBeforeApplied,
    /// A keep-alive revives a session whose end is proposed already.
    RevivesTheClosing,
    /// The client counts from when it hears the answer.
    BeliefFromAnswer,
    /// The client believes for the full timeout.
    BeliefWithoutMargin,
    /// Where the client's clock counts 8 units, the leader's may count 10.
    ClocksDriftTooFar,
}

struct Group {
    design: Design,
    term_max: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    replicas: [Replica; 3],
    /// By term, who was elected.
    elected: [Option<usize>; TERMS],
    client: Client,
    /// The end of the session is committed.
    closed: bool,
    /// Somebody else has learned that the lock is his.
    given_away: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Replica {
    term: usize,
    leads: bool,
    log: Log,
    /// Set once it has taken up leadership.
    leading: Option<Leading>,
}

/// How many entries of each term.
type Log = [u8; TERMS];

/// What a leader knows of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Leading {
    /// It is open, and was granted its full timeout so long ago.
    Open(u8),
    /// Its end is proposed.
    Closing,
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Client {
    /// How long ago the last request was sent that was answered, while that makes it believe.
    confirmed: Option<u8>,
    /// It was told that the session is over.
    told: bool,
    request: Option<Request>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Request {
    /// How long ago it was sent.
    age: u8,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Sent,
    /// It waits at a leader of a term.
    Asked(usize),
    /// Another replica has confirmed that leader since.
    Confirmed(usize),
    Answered {
        term: usize,
        alive: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Pass,
    Elect {
        leader: usize,
        voter: usize,
    },
    /// What the leader of a term had logged reaches another, up to so many entries of that term.
    Append {
        term: usize,
        to: usize,
        entries: u8,
    },
    /// A leader hears that its first entry is committed, and applies it.
    BeginToLead(usize),
    Expire(usize),
    StepDown(usize),
    Send,
    /// The request reaches somebody who takes himself for the leader.
    Ask(usize),
    Confirm(usize),
    Serve,
    Hear,
    /// The connection breaks.
    GiveUp,
    /// The next in line is told that the lock is his.
    GiveAway,
}

impl Model for Group {
    type State = State;
    type Action = Event;

    /// The first leader has just opened the session, and the client knows.
    fn init_states(&self) -> Vec<State> {
        let mut log = Log::default();
        log[1] = ANNOUNCED;
        let follower = Replica { term: 1, leads: false, log, leading: None };
        let leader = Replica { leads: true, leading: Some(Leading::Open(0)), ..follower.clone() };
        let mut elected = [None; TERMS];
        elected[1] = Some(0);
        vec![State {
            replicas: [leader, follower.clone(), follower],
            elected,
            client: Client { confirmed: Some(0), told: false, request: None },
            closed: false,
            given_away: false,
        }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        events.push(Event::Pass);
        for number in 0..3 {
            self.events_of(state, number, events);
        }
        let sends = state.client.request.is_none() && !state.client.told;
        events.extend(sends.then_some(Event::Send));
        events.extend(state.closed.then_some(Event::GiveAway));
        let Some(request) = state.client.request else { return };
        events.push(Event::GiveUp);
        match request.stage {
            Stage::Sent => events.extend((0..3).map(Event::Ask)),
            Stage::Asked(_) | Stage::Confirmed(_) => {
                events.extend((0..3).map(Event::Confirm));
                events.push(Event::Serve);
            }
            Stage::Answered { .. } => events.push(Event::Hear),
        }
    }

    fn next_state(&self, before: &State, event: Event) -> Option<State> {
        let mut state = before.clone();
        match event {
            Event::Pass => self.pass(&mut state),
            Event::Elect { leader, voter } => self.elect(&mut state, leader, voter)?,
            Event::Append { term, to, entries } => state.append(term, to, entries)?,
            Event::BeginToLead(leader) => self.begin_to_lead(&mut state, leader)?,
            Event::Expire(leader) => state.expire(leader)?,
            Event::StepDown(leader) => state.replicas[leader].step_down(),
            Event::Send => state.client.request = Some(Request { age: 0, stage: Stage::Sent }),
            Event::Ask(leader) => state.ask(leader)?,
            Event::Confirm(other) => state.confirm(other)?,
            Event::Serve => self.serve(&mut state)?,
            Event::Hear => self.hear(&mut state)?,
            Event::GiveUp => state.client.request = None,
            Event::GiveAway => state.given_away = true,
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOT_CLOSED_EARLY, |group: &Self, state: &State| {
                !state.closed || !group.believes(&state.client)
            }),
            Property::always(ONE_HOLDER, |group, state: &State| {
                !state.given_away || !group.believes(&state.client)
            }),
            Property::always(TOLD_THE_TRUTH, |_, state: &State| !state.client.told || state.closed),
            Property::sometimes(CLOSES_IN_TIME, |_, state: &State| state.closed && state.given_away),
            Property::sometimes(SURVIVES, |group, state: &State| {
                let later = state.client.request.is_some_and(
                    |request| matches!(request.stage, Stage::Answered { term, alive: true } if term > 1),
                );
                later && group.believes(&state.client)
            }),
            Property::sometimes(LATE_ANSWER, |_, state: &State| {
                let elected = (1..TERMS).rev().find(|term| state.elected[*term].is_some());
                state.client.request.is_some_and(|request| {
                    matches!(request.stage, Stage::Answered { term, alive: true } if Some(term) < elected)
                })
            }),
        ]
    }
}
