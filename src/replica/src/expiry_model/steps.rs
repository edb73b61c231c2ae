//! What the events do.

use std::time::Duration;

use synod_types::SessionId;

use super::super::expiry::Expiry;
use super::{
    AGE_MAX, ANNOUNCED, CLOSES, Client, Design, Event, Group, Leading, Log, Replica, Request, Stage, State,
    TERMS, TIMEOUT,
};

const SESSION: SessionId = SessionId(1);

/// What a clock that counts `rate` units a step shows after some steps.
fn after(age: u8, rate: u64) -> Duration {
    Duration::from_nanos(rate * u64::from(age))
}

fn older(age: u8) -> u8 {
    AGE_MAX.min(age + 1)
}

impl Replica {
    pub(super) fn step_down(&mut self) {
        (self.leads, self.leading) = (false, None);
    }

    fn enter(&mut self, term: usize) {
        if self.term < term {
            self.term = term;
            self.step_down();
        }
    }

    /// Whether the session is to be closed, by the clock of this leader.
    fn is_due(&self) -> bool {
        let Some(Leading::Open(age)) = self.leading else { return false };
        let mut expiry = Expiry::default();
        expiry.grant(SESSION, TIMEOUT, Duration::ZERO);
        expiry.take_due(after(age, 10), 1) == [SESSION]
    }
}

/// What decides between two logs: the term of the last entry, then how many there are.
fn extent(log: &Log) -> (Option<usize>, u8) {
    (log.iter().rposition(|entries| *entries > 0), log.iter().sum())
}

/// Whether there is the end of the session among these entries.
fn closes(log: &[u8]) -> bool {
    log.contains(&CLOSES)
}

impl State {
    /// What the leader of a term reaches another with. The entry is committed if the leader still leads.
    pub(super) fn append(&mut self, term: usize, to: usize, entries: u8) -> Option<()> {
        let leader = self.elected[term].filter(|leader| *leader != to)?;
        let Replica { term: current, leads, log, .. } = self.replicas[leader].clone();
        let follower = &mut self.replicas[to];
        if current != term || follower.term > term || log[term] < entries {
            return None;
        }
        follower.enter(term);
        if follower.log[term] < entries {
            follower.log = log;
            follower.log[term] = entries;
        }
        self.closed |= leads && closes(&self.replicas[to].log);
        Some(())
    }

    pub(super) fn expire(&mut self, leader: usize) -> Option<()> {
        let leader = &mut self.replicas[leader];
        if !leader.is_due() {
            return None;
        }
        leader.leading = Some(Leading::Closing);
        leader.log[leader.term] = CLOSES;
        Some(())
    }

    pub(super) fn ask(&mut self, leader: usize) -> Option<()> {
        let request = self.client.request.as_mut()?;
        let leader = Some(&self.replicas[leader]).filter(|replica| replica.leads)?;
        request.stage = Stage::Asked(leader.term);
        Some(())
    }

    /// Another replica hears a round of the leader that was asked.
    pub(super) fn confirm(&mut self, other: usize) -> Option<()> {
        let request = self.client.request.as_mut()?;
        let Stage::Asked(term) = request.stage else { return None };
        if self.elected[term] == Some(other) || self.replicas[other].term > term {
            return None;
        }
        request.stage = Stage::Confirmed(term);
        self.replicas[other].enter(term);
        Some(())
    }
}

impl Group {
    #[expect(clippy::disallowed_methods, reason = "how much is explored is up to who runs the test")]
    pub(super) fn new(design: Design) -> Self {
        let deeper = std::env::var("SYNOD_MODEL_DEPTH").ok().and_then(|depth| depth.parse().ok());
        Self { design, term_max: (3 + deeper.unwrap_or(0)).min(TERMS - 1) }
    }

    /// Whether the client believes in its session.
    pub(super) fn believes(&self, client: &Client) -> bool {
        let rate = if self.design == Design::ClocksDriftTooFar { 8 } else { 9 };
        let believed = if self.design == Design::BeliefWithoutMargin { TIMEOUT } else { TIMEOUT * 9 / 10 };
        !client.told && client.confirmed.is_some_and(|age| after(age, rate) < believed)
    }

    pub(super) fn pass(&self, state: &mut State) {
        for replica in &mut state.replicas {
            if let Some(Leading::Open(age)) = &mut replica.leading {
                *age = older(*age);
            }
        }
        let client = &mut state.client;
        client.request = client.request.map(|request| Request { age: older(request.age), ..request });
        client.confirmed = client.confirmed.map(older);
        if !self.believes(client) {
            client.confirmed = None;
        }
    }

    pub(super) fn elect(&self, state: &mut State, leader: usize, voter: usize) -> Option<()> {
        let term = state.replicas[leader].term.max(state.replicas[voter].term) + 1;
        let outdated = extent(&state.replicas[leader].log) < extent(&state.replicas[voter].log);
        if term > self.term_max || outdated {
            return None;
        }
        // Somebody may have been elected in that term by others.
        state.elected[term].is_none().then_some(())?;
        for replica in [leader, voter] {
            state.replicas[replica].enter(term);
        }
        state.elected[term] = Some(leader);
        let elected = &mut state.replicas[leader];
        elected.leads = true;
        elected.log[term] = ANNOUNCED;
        if self.design == Design::AnswersBeforeApplied {
            elected.leading = Some(Leading::Open(0));
        }
        Some(())
    }

    pub(super) fn begin_to_lead(&self, state: &mut State, leader: usize) -> Option<()> {
        let replica = &state.replicas[leader];
        let term = replica.term;
        let others = state.replicas.iter().enumerate().filter(|(number, _)| *number != leader);
        let is_committed = others.map(|(_, other)| other.log[term]).any(|entries| entries >= ANNOUNCED);
        if !replica.leads || replica.leading.is_some() || !is_committed {
            return None;
        }
        let gone = closes(&replica.log[..term]);
        let grant = if self.design == Design::NoGrace { AGE_MAX } else { 0 };
        state.replicas[leader].leading = Some(if gone { Leading::Gone } else { Leading::Open(grant) });
        Some(())
    }

    pub(super) fn serve(&self, state: &mut State) -> Option<()> {
        let request = state.client.request.as_mut()?;
        let term = match request.stage {
            Stage::Confirmed(term) => term,
            Stage::Asked(term) if self.design == Design::NoConfirmation => term,
            _ => return None,
        };
        let leader = &mut state.replicas[state.elected[term]?];
        let leading = leader.leading.as_mut().filter(|_| leader.leads && leader.term == term)?;
        let alive = match leading {
            Leading::Open(_) => true,
            Leading::Closing if self.design == Design::RevivesTheClosing => true,
            // Nothing that the client could believe in.
            Leading::Closing => return None,
            Leading::Gone => false,
        };
        if let Leading::Open(age) = leading {
            *age = 0;
        }
        request.stage = Stage::Answered { term, alive };
        Some(())
    }

    pub(super) fn hear(&self, state: &mut State) -> Option<()> {
        let client = &mut state.client;
        let Request { age, stage: Stage::Answered { alive, .. } } = client.request.take()? else {
            return None;
        };
        if !alive {
            (client.told, client.confirmed) = (true, None);
            return Some(());
        }
        let age = if self.design == Design::BeliefFromAnswer { 0 } else { age };
        client.confirmed = Some(client.confirmed.map_or(age, |before| before.min(age)));
        if !self.believes(client) {
            client.confirmed = None;
        }
        Some(())
    }

    pub(super) fn events_of(&self, state: &State, number: usize, events: &mut Vec<Event>) {
        let replica = &state.replicas[number];
        for other in (0..3).filter(|other| *other != number) {
            events.push(Event::Elect { leader: number, voter: other });
            if state.elected[replica.term] == Some(number) {
                let appends = ANNOUNCED..=replica.log[replica.term];
                events.extend(appends.map(|entries| Event::Append {
                    term: replica.term,
                    to: other,
                    entries,
                }));
            }
        }
        if replica.leads {
            events.extend([Event::BeginToLead(number), Event::Expire(number), Event::StepDown(number)]);
        }
    }
}
