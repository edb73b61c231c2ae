//! Runs requests of many clients against the machine and records what the clients see: every request takes effect at
//! one moment between its invocation and its return, unless the run is told to do it wrong.

use synod_testkit::linearizability::Operation;
use synod_testkit::linearizability::models::primitives::{Input, Output};
use synod_types::{Monotonic, PrimitiveKind};

use crate::judge::at;
use crate::machine::{Machine, Request};
use crate::random::Seeded;
use crate::requests::{Mix, Requests};

pub(crate) type Op = Operation<Input, Output>;

/// What may go wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// It is answered, and its effect is lost.
    LostEffect,
    /// It takes effect again later, as a retry does that is not recognised.
    DoubleEffect,
    /// It is answered from an old state and changes nothing.
    StaleAnswer,
    /// Two operations are answered what the other one should be.
    SwappedAnswers,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] =
        [Self::LostEffect, Self::DoubleEffect, Self::StaleAnswer, Self::SwappedAnswers];
}

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: PrimitiveKind,
    pub(crate) clients: u64,
    pub(crate) operations: u64,
    pub(crate) mix: Mix,
    /// One in so many answers never arrives; 0 for none.
    pub(crate) unanswered_one_in: u64,
    /// What goes wrong, if anything does, once in the middle of the run.
    pub(crate) fault: Option<Fault>,
}

/// A request on its way.
struct Pending {
    request: Request,
    invoked_at: Monotonic,
    output: Option<Output>,
}

/// A run in progress.
struct Run {
    plan: Plan,
    random: Seeded,
    machine: Machine,
    requests: Requests,
    now: u64,
    executed: u64,
    /// What is still to go wrong.
    fault: Option<Fault>,
    /// A request that is to take effect again.
    again: Option<Request>,
    /// The machine as it was at times, for answers from old states.
    old: Vec<Machine>,
    /// Requests whose clients have given up, which may still take effect.
    abandoned: Vec<Request>,
    history: Vec<(Op, Request)>,
}

/// Runs a plan. The same seed gives the same history.
pub(crate) fn record(plan: Plan, seed: u64) -> Vec<Op> {
    record_with_requests(plan, seed).0
}

/// Runs a plan, and also returns the request behind each operation.
pub(crate) fn record_with_requests(plan: Plan, seed: u64) -> (Vec<Op>, Vec<Request>) {
    let mut run = Run {
        plan,
        random: Seeded::new(seed),
        machine: Machine::new(),
        requests: Requests::new(plan.kind, plan.mix),
        now: 0,
        executed: 0,
        fault: plan.fault,
        again: None,
        old: Vec::new(),
        abandoned: Vec::new(),
        history: Vec::new(),
    };
    run.go();
    let (mut history, requests): (Vec<_>, Vec<_>) = run.history.into_iter().unzip();
    if plan.fault == Some(Fault::SwappedAnswers) {
        swap_answers(&mut history, &mut run.random);
    }
    (history, requests)
}

/// The name of what an operation does.
fn name(operation: &Op) -> String {
    let text = format!("{:?}", operation.input);
    let action = text.split("action: ").nth(1).unwrap();
    action.chars().take_while(|letter| letter.is_alphabetic()).collect()
}

/// Swaps the answers of two operations that do the same, so that each makes sense by itself.
fn swap_answers(history: &mut [Op], random: &mut Seeded) {
    let mut pairs = Vec::new();
    for (one, first) in history.iter().enumerate() {
        for (other, second) in history.iter().enumerate().skip(one + 1) {
            let answered = first.output().is_some() && second.output().is_some();
            if answered && first.output() != second.output() && name(first) == name(second) {
                pairs.push((one, other));
            }
        }
    }
    if pairs.is_empty() {
        return;
    }
    let (one, other) = random.pick(&pairs);
    let (left, right) = history.split_at_mut(other);
    if let (Some((_, first)), Some((_, second))) = (&mut left[one].returned, &mut right[0].returned) {
        std::mem::swap(first, second);
    }
}

impl Run {
    fn go(&mut self) {
        let mut clients: Vec<Option<Pending>> = (0..self.plan.clients).map(|_| None).collect();
        let mut invoked = 0;
        while invoked < self.plan.operations || clients.iter().any(Option::is_some) {
            self.tick();
            let client = self.random.below(self.plan.clients);
            let slot = &mut clients[usize::try_from(client).unwrap()];
            *slot = match slot.take() {
                None if invoked < self.plan.operations => {
                    invoked += 1;
                    let request = self.requests.next(&mut self.random);
                    Some(Pending { request, invoked_at: at(self.now), output: None })
                }
                None => None,
                Some(Pending { request, invoked_at, output }) if self.gives_up() => {
                    self.history.push((Op::open(client, request.input(), invoked_at), request.clone()));
                    if output.is_none() {
                        self.abandoned.push(request);
                    }
                    None
                }
                Some(Pending { request, invoked_at, output: None }) => {
                    let output = Some(self.execute(&request));
                    Some(Pending { request, invoked_at, output })
                }
                Some(Pending { request, invoked_at, output: Some(output) }) => {
                    self.finish(client, &request, invoked_at, output);
                    None
                }
            };
        }
        self.history.sort_by_key(|(operation, _)| operation.invoked_at);
    }

    /// Lets time pass, some of it on abandoned requests.
    fn tick(&mut self) {
        self.now += if self.plan.mix.ends { 1 + self.random.below(3_000_000) } else { 1 };
        if self.plan.mix.ends {
            self.machine.advance_to(at(self.now));
        }
        if !self.abandoned.is_empty() && self.random.one_in(3) {
            let which = usize::try_from(self.random.below(self.abandoned.len() as u64)).unwrap();
            let request = self.abandoned.swap_remove(which);
            if self.random.one_in(2) {
                self.machine.execute(&request);
            }
        }
        if self.random.one_in(4) {
            self.old.push(self.machine.clone());
        }
    }

    fn gives_up(&mut self) -> bool {
        self.plan.unanswered_one_in != 0 && self.random.one_in(self.plan.unanswered_one_in)
    }

    /// Executes a request: from the middle of the run on wrongly, once, as soon as that makes a difference.
    fn execute(&mut self, request: &Request) -> Output {
        self.executed += 1;
        if self.executed < self.plan.operations / 2 {
            return self.machine.execute(request);
        }
        self.repeat();
        let before = self.machine.clone();
        let output = self.machine.execute(request);
        let has_effect = self.machine.differs_from(&before);
        match self.fault {
            Some(Fault::LostEffect) if has_effect => {
                self.machine = before;
                self.fault = None;
            }
            Some(Fault::DoubleEffect) if has_effect => {
                self.again = Some(request.clone());
                self.fault = None;
            }
            Some(Fault::StaleAnswer) => {
                let mut answers = self.old.iter().map(|old| old.clone().execute(request));
                if let Some(stale) = answers.find(|stale| *stale != output) {
                    self.machine = before;
                    self.fault = None;
                    return stale;
                }
            }
            _ => {}
        }
        output
    }

    /// Lets a request take effect again, as soon as that makes a difference.
    fn repeat(&mut self) {
        let Some(request) = &self.again else { return };
        let mut twice = self.machine.clone();
        twice.execute(request);
        if twice.differs_from(&self.machine) {
            self.machine = twice;
            self.again = None;
        }
    }

    fn finish(&mut self, client: u64, request: &Request, invoked_at: Monotonic, output: Output) {
        self.requests.learn(&output);
        let operation = Op::answered(client, request.input(), invoked_at, at(self.now), output);
        self.history.push((operation, request.clone()));
    }
}
