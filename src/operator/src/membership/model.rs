//! The plan against a small model of a partition: whatever crashes, is wiped, or is scaled, in any order, the plan heals it
//! as long as a majority lives; it begins the partition once; and each change of the membership that it plans can be
//! committed at once.
//!
//! The model knows of consensus only this: an entry is committed once a majority of the voters has it, also of the
//! voters after a change; and the voter that has the most leads, if a majority is up.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use synod_types::{Limits, LogIndex, MemberId, Term};

use super::observation::{Member, Node, Observation, Replica, Role, Running};
use super::plan::{Action, Step, may_leave, plan};
use super::quorum::majority_of;
use super::{CAUGHT_UP_ENTRIES, Genesis};

/// Entries of one write: two of them are more than a member may be behind.
const WRITE: u64 = CAUGHT_UP_ENTRIES / 2 + 1;

#[derive(Clone, Debug)]
enum Event {
    Crash(usize),
    Restart(usize),
    Wipe(usize),
    Scale(usize),
    /// Something is written; the voters from this one on get it, as many as are needed.
    Write(usize),
    CatchUp(usize),
    /// The plan is carried out; on one node only, if it is interrupted.
    Plan {
        interrupted: bool,
    },
    /// A node that nobody counts on goes away.
    Retire(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let node = 0..8_usize;
    prop_oneof![
        2 => node.clone().prop_map(Event::Crash),
        3 => node.clone().prop_map(Event::Restart),
        2 => node.clone().prop_map(Event::Wipe),
        1 => prop_oneof![Just(1), Just(3), Just(5)].prop_map(Event::Scale),
        3 => node.clone().prop_map(Event::Write),
        3 => node.clone().prop_map(Event::CatchUp),
        8 => any::<bool>().prop_map(|interrupted| Event::Plan { interrupted }),
        2 => node.prop_map(Event::Retire),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Disk {
    Blank,
    Waiting(MemberId),
    Data { id: MemberId, applied: u64 },
}

#[derive(Debug)]
struct Machine {
    is_up: bool,
    desired: bool,
    disk: Disk,
}

/// Who takes part, from one entry of the log on.
#[derive(Clone, Debug, Default)]
struct Config {
    from: u64,
    voters: BTreeSet<MemberId>,
    learners: BTreeSet<MemberId>,
}

#[derive(Debug, Default)]
struct World {
    machines: BTreeMap<String, Machine>,
    configs: Vec<Config>,
    commit: u64,
    /// Who leads, or led last.
    led_by: Option<MemberId>,
    genesis: Option<Genesis>,
    homes: BTreeMap<MemberId, String>,
    last_id: u64,
    last_name: usize,
}

impl World {
    fn new(size: usize) -> Self {
        let mut world = Self::default();
        world.scale(size);
        world
    }

    fn scale(&mut self, size: usize) {
        let desired: Vec<_> = self
            .machines
            .iter()
            .filter(|(_, machine)| machine.desired)
            .map(|(name, _)| name.clone())
            .collect();
        for name in desired.iter().skip(size) {
            self.machines.get_mut(name).unwrap().desired = false;
        }
        for _ in desired.len()..size {
            self.last_name += 1;
            let machine = Machine { is_up: true, desired: true, disk: Disk::Blank };
            self.machines.insert(format!("n{:04}", self.last_name), machine);
        }
    }

    fn pick(&mut self, number: usize) -> (String, &mut Machine) {
        let number = number % self.machines.len();
        let (name, machine) = self.machines.iter_mut().nth(number).unwrap();
        (name.clone(), machine)
    }

    fn machine_of(&self, member: MemberId) -> Option<&Machine> {
        let machine = self.machines.get(self.homes.get(&member)?)?;
        matches!(machine.disk, Disk::Data { id, .. } | Disk::Waiting(id) if id == member).then_some(machine)
    }

    fn applied(&self, member: MemberId) -> Option<u64> {
        match self.machine_of(member)?.disk {
            Disk::Data { applied, .. } => Some(applied),
            _ => None,
        }
    }

    /// The members of a set that are up and have data.
    fn at_work(&self, members: &BTreeSet<MemberId>) -> Vec<MemberId> {
        let works = |id: &&MemberId| self.applied(**id).is_some() && self.machine_of(**id).unwrap().is_up;
        members.iter().filter(works).copied().collect()
    }

    fn leader(&self) -> Option<MemberId> {
        let config = self.configs.last()?;
        let there = self.at_work(&config.voters);
        let leader = there.iter().copied().max_by_key(|id| (self.applied(*id), self.led_by == Some(*id)))?;
        let elected = there.len() >= majority_of(config.voters.len());
        if elected {
            assert_eq!(self.applied(leader), Some(self.commit), "what was acknowledged is lost: {self:#?}");
        }
        elected.then_some(leader)
    }

    fn set_applied(&mut self, member: MemberId, applied: u64) {
        let home = self.homes[&member].clone();
        self.machines.get_mut(&home).unwrap().disk = Disk::Data { id: member, applied };
    }

    /// Commits entries on as few voters as will do, the leader and those from `first` on.
    fn commit(&mut self, leader: MemberId, entries: u64, first: usize) {
        self.commit += entries;
        let voters = self.configs.last().unwrap().voters.clone();
        let mut there = self.at_work(&voters);
        let needed = majority_of(voters.len());
        let shift = first % there.len();
        there.rotate_left(shift);
        there.retain(|id| *id != leader);
        there.insert(0, leader);
        for member in there.into_iter().take(needed) {
            self.set_applied(member, self.commit);
        }
    }

    /// Whether a majority keeps its data without this machine.
    fn can_lose(&self, name: &str) -> bool {
        let founders = self.genesis.iter().flat_map(|genesis| genesis.founders.iter().map(|first| first.id));
        let voters = self.configs.last().map_or_else(|| founders.collect(), |config| config.voters.clone());
        let keeps = |id: &&MemberId| self.homes[*id] != name && self.machine_of(**id).is_some();
        voters.is_empty() || voters.iter().filter(keeps).count() >= majority_of(voters.len())
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Crash(number) => self.pick(*number).1.is_up = false,
            Event::Restart(number) => self.pick(*number).1.is_up = true,
            Event::Wipe(number) => {
                let name = self.pick(*number).0;
                if self.can_lose(&name) {
                    self.machines.get_mut(&name).unwrap().disk = Disk::Blank;
                }
            }
            Event::Scale(size) => self.scale(*size),
            Event::Write(first) => {
                if let Some(leader) = self.leader() {
                    self.commit(leader, WRITE, *first);
                }
            }
            Event::CatchUp(number) => {
                let name = self.pick(*number).0;
                self.catch_up(&name);
            }
            Event::Plan { interrupted } => {
                let step = plan(&self.observe(), self.genesis.as_ref());
                self.carry_out(step, *interrupted);
            }
            Event::Retire(number) => {
                let name = self.pick(*number).0;
                self.retire(&name);
            }
        }
    }

    /// A member that the leader reaches gets all that it lacks, be it the log or a snapshot.
    fn catch_up(&mut self, name: &str) {
        let Some(config) = self.configs.last().filter(|_| self.leader().is_some()) else { return };
        let machine = &self.machines[name];
        if let Disk::Waiting(id) | Disk::Data { id, .. } = machine.disk
            && machine.is_up
            && (config.voters.contains(&id) || config.learners.contains(&id))
        {
            self.set_applied(id, self.commit);
        }
    }

    fn retire(&mut self, name: &str) {
        if !self.machines[name].desired && may_leave(&self.observe(), self.genesis.as_ref(), name) {
            self.machines.remove(name);
        }
    }

    fn observe(&self) -> Observation {
        let leader = self.leader();
        let nodes = self.machines.iter().map(|(name, machine)| Node {
            name: name.clone(),
            peer_address: format!("{name}:2"),
            client_address: format!("{name}:1"),
            desired: machine.desired,
            replica: match machine.disk {
                _ if !machine.is_up => Replica::Unreachable,
                Disk::Blank => Replica::Blank,
                Disk::Waiting(id) => Replica::Waiting { member: id, problem: String::new() },
                Disk::Data { id, applied } => Replica::Running(self.running(id, applied, leader)),
            },
        });
        Observation { nodes: nodes.collect() }
    }

    fn running(&self, id: MemberId, applied: u64, leader: Option<MemberId>) -> Running {
        let config = self.configs.iter().rfind(|config| config.from <= applied).unwrap();
        let member = |id: &MemberId| Member {
            id: *id,
            node: self.homes[id].clone(),
            client_address: String::new(),
            votes: config.voters.contains(id),
            matched: LogIndex(self.applied(*id).unwrap_or(0)),
            active: self.machine_of(*id).is_some_and(|machine| machine.is_up),
        };
        Running {
            member: id,
            role: if leader == Some(id) { Role::Leader } else { Role::Follower },
            term: Term(1),
            leader: leader.filter(|_| applied > 1),
            applied: LogIndex(applied),
            commit: LogIndex(applied),
            members: config.voters.union(&config.learners).map(member).collect(),
            ..Running::default()
        }
    }

    fn carry_out(&mut self, step: Step, interrupted: bool) {
        let reach = if interrupted { 1 } else { usize::MAX };
        match step {
            Step::Nothing | Step::Wait(_) | Step::Stuck { .. } => {}
            Step::Begin { founders } => {
                assert!(self.genesis.is_none(), "it begins a second time: {self:#?}");
                self.genesis = Some(Genesis::new(founders, 1, &Limits::default(), 0).unwrap());
            }
            Step::Act { action: Action::Prepare { nodes }, .. } => {
                for name in nodes.iter().take(reach) {
                    self.last_id += 1;
                    let id = MemberId(self.last_id);
                    self.homes.insert(id, name.clone());
                    let machine = self.machines.get_mut(name).unwrap();
                    assert_eq!(machine.disk, Disk::Blank);
                    machine.disk = Disk::Waiting(id);
                }
            }
            Step::Act { action: Action::Bootstrap { nodes, genesis }, .. } => {
                self.bootstrap(nodes.iter().take(reach), &genesis);
            }
            Step::Act { action: Action::Discard { node, member, .. }, .. } => {
                let newest = self.configs.last().unwrap();
                assert!(!newest.voters.contains(&member) && !newest.learners.contains(&member));
                let machine = self.machines.get_mut(&node).unwrap();
                assert!(matches!(machine.disk, Disk::Data { id, .. } if id == member), "{machine:?}");
                machine.disk = Disk::Blank;
            }
            Step::Act { action, reason } => self.change(&action, &reason),
        }
    }

    fn bootstrap<'a>(&mut self, nodes: impl Iterator<Item = &'a String>, genesis: &Genesis) {
        assert_eq!(Some(genesis), self.genesis.as_ref());
        let voters: BTreeSet<_> = genesis.founders.iter().map(|founder| founder.id).collect();
        if self.configs.is_empty() {
            self.configs.push(Config { from: 1, voters: voters.clone(), learners: BTreeSet::new() });
            self.commit = 1;
        }
        for name in nodes {
            let machine = self.machines.get_mut(name).unwrap();
            let Disk::Waiting(id) = machine.disk else { panic!("{name} does not wait: {machine:?}") };
            assert!(voters.contains(&id));
            machine.disk = Disk::Data { id, applied: 1 };
        }
    }

    /// A change of the membership. The leader can commit it at once, or it should not have been planned.
    fn change(&mut self, action: &Action, reason: &str) {
        let leader = self.leader().expect("somebody leads");
        let old = self.configs.last().unwrap().clone();
        let mut new = Config { from: self.commit + 1, ..old.clone() };
        match action {
            Action::AddLearner { learner, .. } => {
                assert!(new.learners.insert(learner.id));
            }
            Action::Promote { member, .. } => {
                assert!(new.learners.remove(member));
                assert!(self.applied(*member).is_some(), "a voter without data");
                new.voters.insert(*member);
            }
            Action::Remove { member, .. } => {
                assert_ne!(*member, leader, "the leader goes");
                assert!(new.learners.remove(member) | new.voters.remove(member));
            }
            Action::TransferLeadership { to, .. } => {
                assert!(old.voters.contains(to) && *to != leader);
                self.set_applied(*to, self.commit);
                return self.led_by = Some(*to);
            }
            Action::Prepare { .. } | Action::Bootstrap { .. } | Action::Discard { .. } => {
                unreachable!("done elsewhere")
            }
            Action::Recover { .. } => unreachable!("nobody has asked for that"),
        }
        let there = self.at_work(&new.voters);
        assert!(there.len() >= majority_of(new.voters.len()), "{reason}: {action:?} in {self:#?}");
        self.configs.push(new);
        self.commit(leader, 1, 0);
        for member in self.at_work(&old.voters) {
            self.set_applied(member, self.commit);
        }
    }

    /// Everything is switched on and left alone.
    fn heal(&mut self) {
        for _ in 0..200 {
            // All first: those that come before a majority is there have nobody to catch up with.
            self.machines.values_mut().for_each(|machine| machine.is_up = true);
            for name in self.machines.keys().cloned().collect::<Vec<_>>() {
                self.catch_up(&name);
                self.retire(&name);
            }
            let step = plan(&self.observe(), self.genesis.as_ref());
            if step == Step::Nothing {
                return;
            }
            self.carry_out(step, false);
        }
        let step = plan(&self.observe(), self.genesis.as_ref());
        panic!("it does not heal, but {step:?}: {self:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_it_heals(
        size in prop_oneof![Just(1_usize), Just(3), Just(5)],
        events in prop::collection::vec(event(), 0..120),
    ) {
        let mut world = World::new(size);
        for event in &events {
            world.happen(event);
        }
        world.heal();
        let config = world.configs.last().unwrap();
        let homes: BTreeSet<_> = config.voters.iter().map(|id| world.homes[id].clone()).collect();
        let machines: BTreeSet<_> = world.machines.keys().cloned().collect();
        prop_assert!(world.machines.values().all(|machine| machine.desired));
        prop_assert_eq!(homes, machines, "every node has a voter, and nobody else");
        prop_assert!(config.learners.is_empty());
        prop_assert!(config.voters.iter().all(|id| world.applied(*id) == Some(world.commit)));
    }
}
