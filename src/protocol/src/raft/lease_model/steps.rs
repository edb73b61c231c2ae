//! What the events do.

use std::time::Duration;

use synod_types::{MemberId, Monotonic};

use super::super::lease::{Lease, Promise};
use super::{AGE_MAX, Design, Event, GENESIS, Group, LEASE, Member, NOBODY, Role, Round, State, TERMS};

const NOW: Monotonic = Monotonic::from_nanos(1_000);

/// What a clock showed that counts `rate` units a step.
fn ago(age: u8, rate: u64) -> Monotonic {
    NOW - Duration::from_nanos(rate * u64::from(age))
}

fn id(member: usize) -> MemberId {
    MemberId(member as u64 + 1)
}

impl Member {
    pub(super) const fn of(term: usize, role: Role) -> Self {
        Self { term, role, heard: None, knows_leader: false }
    }

    pub(super) fn leads(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// Until when it has promised something, by its own clock.
    fn bound_until(&self) -> Option<Monotonic> {
        self.heard.map(|heard| ago(heard.age, 10) + LEASE)
    }

    /// Whether a promise keeps it from helping a candidate.
    pub(super) fn bars(&self, candidate: usize) -> bool {
        let (Some(heard), Some(until)) = (self.heard, self.bound_until()) else { return false };
        let mut promise = Promise::forgotten(until);
        if heard.from != NOBODY {
            promise.renew(id(heard.from), until);
        }
        promise.bars(id(candidate), NOW).is_some()
    }

    /// Learns of a term.
    fn enter(&mut self, term: usize) {
        if self.term < term {
            (self.term, self.role, self.knows_leader) = (term, Role::Follower, false);
        }
    }
}

impl State {
    pub(super) fn campaign(&mut self, member: usize, called: bool) {
        let term = self.members[member].term + 1;
        self.members[member].enter(term);
        self.members[member].role = Role::Candidate;
        self.wire[term].requests[member] = Some(called);
        self.wire[term].votes[member] = Some(member);
    }

    pub(super) fn hear_round(&mut self, term: usize, to: usize) -> Option<()> {
        let round = self.wire[term].round.filter(|round| round.from != to)?;
        let member = &mut self.members[to];
        if member.term > term {
            return None;
        }
        member.enter(term);
        (member.role, member.knows_leader) = (Role::Follower, true);
        member.heard = Some(Round { age: 0, ..round });
        let ack = &mut self.wire[term].acks[to];
        *ack = Some(ack.map_or(round.age, |age| age.min(round.age)));
        Some(())
    }

    /// A request that a promise bars stays on the wire, and so is as good as put off.
    pub(super) fn hear_request(&mut self, term: usize, from: usize, to: usize) -> Option<()> {
        let called = self.wire[term].requests[from].filter(|_| from != to)?;
        let member = &mut self.members[to];
        let is_led = member.term < term && (member.leads() || member.knows_leader);
        if member.term > term || (!called && (is_led || member.bars(from))) {
            return None;
        }
        member.enter(term);
        let vote = &mut self.wire[term].votes[to];
        if vote.is_none() && !member.knows_leader {
            *vote = Some(from);
        }
        Some(())
    }

    /// With its own vote, this one gives the candidate a majority.
    pub(super) fn hear_vote(&mut self, term: usize, from: usize) -> Option<()> {
        let candidate = self.wire[term].votes[from].filter(|candidate| *candidate != from)?;
        let candidate = &mut self.members[candidate];
        if candidate.term != term || candidate.role != Role::Candidate {
            return None;
        }
        candidate.role = Role::Leader { lease: None, given_up: false };
        Some(())
    }

    pub(super) fn hear_timeout_now(&mut self, term: usize, to: usize) -> Option<()> {
        let member = &self.members[to];
        if !self.wire[term].calls[to] || member.term != term || member.role != Role::Follower {
            return None;
        }
        self.campaign(to, true);
        Some(())
    }
}

impl Group {
    #[expect(clippy::disallowed_methods, reason = "how much is explored is up to who runs the test")]
    pub(super) fn new(design: Design) -> Self {
        let deeper = std::env::var("SYNOD_MODEL_DEPTH").ok().and_then(|depth| depth.parse().ok());
        let term_max = (GENESIS + 2 + deeper.unwrap_or(0)).min(TERMS - 1);
        Self { design, term_max }
    }

    /// Whether a member answers reads without asking anybody.
    pub(super) fn reads(&self, member: &Member) -> bool {
        let Role::Leader { lease: Some(age), .. } = member.role else { return false };
        let mut lease = Lease::default();
        let round = lease.begin_round(ago(age, if self.design == Design::ClocksDriftTooFar { 8 } else { 9 }));
        lease.confirm(round, LEASE);
        lease.is_valid(NOW)
    }

    pub(super) fn pass(&self, state: &mut State, asleep: Option<usize>) {
        for (number, member) in state.members.iter_mut().enumerate() {
            if let Role::Leader { lease: Some(age), .. } = &mut member.role {
                *age += u8::from(asleep != Some(number));
            }
            member.heard = member.heard.map(|heard| Round { age: heard.age + 1, ..heard });
            if member.bound_until().is_some_and(|until| until <= NOW) {
                member.heard = None;
            }
        }
        for sent in &mut state.wire {
            let round = sent.round.as_mut().map(|round| &mut round.age);
            for age in sent.acks.iter_mut().flatten().chain(round) {
                *age = AGE_MAX.min(*age + 1);
            }
        }
    }

    pub(super) fn hear_ack(&self, state: &mut State, term: usize, from: usize) -> Option<()> {
        let acknowledged = state.wire[term].acks[from]?;
        let age = if self.design == Design::LeaseFromAck { 0 } else { acknowledged };
        let leader = state.members.iter_mut().find(|member| member.term == term && member.leads())?;
        if let Role::Leader { lease, given_up: false } = &mut leader.role {
            *lease = Some(lease.map_or(age, |before| before.min(age)));
        }
        state.committed = state.committed.max(term);
        Some(())
    }

    pub(super) fn suspect(&self, member: &mut Member) {
        member.knows_leader = false;
        if self.design == Design::SuspicionEndsPromise {
            member.heard = None;
        }
    }

    pub(super) fn transfer(&self, state: &mut State, from: usize, to: usize) {
        let leader = &mut state.members[from];
        state.wire[leader.term].calls[to] = true;
        if self.design != Design::LeaseSurvivesTransfer {
            leader.role = Role::Leader { lease: None, given_up: true };
        }
    }

    pub(super) fn restart(&self, member: &mut Member) {
        let is_newborn = member.term == GENESIS || self.design == Design::RestartForgets;
        member.heard = (!is_newborn).then_some(Round { from: NOBODY, age: 0 });
        member.knows_leader = false;
    }

    /// Forgets what cannot have an effect any more, so that states are not told apart by it.
    pub(super) fn tidy(&self, state: &mut State) {
        for number in 0..3 {
            let over = !self.reads(&state.members[number]);
            if let Role::Leader { lease, .. } = &mut state.members[number].role {
                *lease = lease.filter(|_| !over);
            }
        }
        let State { members, wire, .. } = state;
        for (term, sent) in wire.iter_mut().enumerate() {
            let is = |number: usize, role: fn(&Role) -> bool| {
                members[number].term == term && role(&members[number].role)
            };
            let passed: [bool; 3] = std::array::from_fn(|number| members[number].term > term);
            let led = (0..3).any(|number| is(number, |role| matches!(role, Role::Leader { .. })));
            let given_up =
                (0..3).any(|number| is(number, |role| matches!(role, Role::Leader { given_up: true, .. })));
            for number in 0..3 {
                let mut others = (0..3).filter(|other| *other != number);
                if others.all(|other| passed[other] || sent.votes[other].is_some()) {
                    sent.requests[number] = None;
                }
                if passed[number] {
                    sent.calls[number] = false;
                    sent.votes[number] =
                        sent.votes[number].filter(|chosen| is(*chosen, |role| *role == Role::Candidate));
                }
                sent.acks[number] = sent.acks[number].filter(|_| led);
            }
            sent.round = sent.round.filter(|round| (0..3).any(|to| to != round.from && !passed[to]));
            if given_up || term == self.term_max {
                let round = sent.round.as_mut().map(|round| &mut round.age);
                sent.acks.iter_mut().flatten().chain(round).for_each(|age| *age = AGE_MAX);
            }
        }
    }

    pub(super) fn events_of(&self, state: &State, number: usize, events: &mut Vec<Event>) {
        let member = &state.members[number];
        let others = (0..3).filter(|other| *other != number);
        let may_call = member.term < self.term_max;
        match member.role {
            Role::Leader { .. } => {
                events.extend([Event::Round(number), Event::StepDown(number)]);
                let transfers = others.clone().filter(|_| may_call);
                events.extend(transfers.map(|to| Event::Transfer { from: number, to }));
                events.extend((self.design == Design::LeaseInTicks).then_some(Event::PassAsleep(number)));
            }
            _ if member.knows_leader => events.push(Event::Suspect(number)),
            _ if may_call && !member.bars(number) => events.push(Event::Campaign(number)),
            _ => {}
        }
        if member.role == Role::Follower && member.heard.is_some_and(|heard| heard.from != NOBODY) {
            events.push(Event::Restart(number));
        }
        for (term, sent) in state.wire.iter().enumerate() {
            let requests = others.clone().filter(|from| sent.requests[*from].is_some());
            events.extend(requests.map(|from| Event::HearRequest { term, from, to: number }));
            events.extend(sent.round.map(|_| Event::HearRound { term, to: number }));
            events.extend(sent.acks[number].map(|_| Event::HearAck { term, from: number }));
            events.extend(sent.votes[number].map(|_| Event::HearVote { term, from: number }));
            events.extend(sent.calls[number].then_some(Event::HearTimeoutNow { term, to: number }));
        }
    }
}
