//! What goes wrong, and when: draws faults of the kinds that the plan allows, and never destroys so much that the
//! promises of the product are void.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use synod_replica::Admin;
use synod_storage::disk::{Disk as _, DiskErrorKind, Operation};

use super::invariants::Check;
use super::network::End;
use super::node::{Pace, Stage};
use super::plan::Fault;
use super::world::{Event, Relief, World};

impl World {
    pub(super) fn strike(&mut self, fault: Fault) {
        *self.struck.entry(fault).or_default() += 1;
    }

    pub(super) fn make_trouble(&mut self) -> Check {
        if self.is_calm {
            return Ok(());
        }
        let (from, to) = self.plan.respite_ms;
        let at = self.now + self.dice.ms(from, to);
        self.schedule.at(at, Event::Trouble);
        let kinds: Vec<_> = self.plan.faults.iter().copied().collect();
        let Some(fault) = self.dice.pick(&kinds) else { return Ok(()) };
        if self.make(fault) {
            self.strike(fault);
        }
        Ok(())
    }

    /// Makes a fault happen, if it can happen now.
    fn make(&mut self, fault: Fault) -> bool {
        let node = self.dice.below(self.nodes.len() as u64) as usize;
        match fault {
            // The network and the clients have these by themselves.
            Fault::Loss | Fault::Duplication | Fault::Reordering | Fault::Delay => true,
            Fault::Abandon | Fault::LateDuplicate => false,
            Fault::ClientPause => self.pause_client(),
            Fault::Partition | Fault::OneWayPartition | Fault::PartialPartition => self.partition(fault),
            Fault::Kill if self.dice.one_in(4) => self.kill_followers(),
            Fault::Kill => self.plan_kill(node),
            Fault::PowerCut => self.cut_some_power(),
            Fault::TornWrite => self.plan_power_cut(node),
            Fault::WriteError => self.fail_disk(node, Operation::Write, DiskErrorKind::Io),
            Fault::SyncError => self.fail_disk(node, Operation::SyncData, DiskErrorKind::Io),
            Fault::NoSpace => self.fill_disk(node),
            Fault::BitFlip | Fault::Truncation => self.damage(node, fault),
            Fault::SlowDisk => {
                let pace = Pace { sync_us: (20_000, 400_000), ..self.nodes[node].pace };
                self.slow_down(node, pace)
            }
            Fault::SlowNode => {
                let pace = Pace { turn_us: (5_000, 300_000), ..self.nodes[node].pace };
                self.slow_down(node, pace)
            }
            Fault::ClockDrift => {
                let most = i64::from(self.plan.drift_ppm);
                let drift = self.dice.below(2 * self.plan.drift_ppm as u64 + 1) as i64 - most;
                self.nodes[node].clock.set_drift(self.now, drift);
                self.replan_turn(node);
                true
            }
            Fault::ClockJump => {
                let by_ms = self.dice.below(8_000) as i64 - 4_000;
                self.nodes[node].clock.jump(self.now, by_ms);
                self.note(node, format_args!("'s clock jumps by {by_ms} ms"));
                self.replan_turn(node);
                true
            }
            Fault::Pause => self.pause(node),
            Fault::FalseAlarm => self.false_alarm(node),
            Fault::Transfer => self.transfer(),
            Fault::Membership => self.change_desired(),
            Fault::Wipe => self.wipe_if_possible(node),
        }
    }

    /// A clock shows something else: the next turn is due at another time.
    fn replan_turn(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process_mut() else { return };
        process.turn_at = None;
        self.plan_turn(node, self.now);
    }

    fn partition(&mut self, fault: Fault) -> bool {
        let mut ends: Vec<_> = (0..self.nodes.len()).map(End::Node).collect();
        ends.extend((0..self.clients.len()).map(End::Client));
        let side: BTreeSet<_> = ends.iter().copied().filter(|_| self.dice.one_in(2)).collect();
        let mut cuts = 0;
        for from in &ends {
            for to in &ends {
                let is_cut = match fault {
                    Fault::Partition => side.contains(from) != side.contains(to),
                    Fault::OneWayPartition => side.contains(from) && !side.contains(to),
                    _ => from < to && self.dice.one_in(3),
                };
                if is_cut && from != to {
                    self.network.cut(*from, *to);
                    if fault == Fault::PartialPartition {
                        self.network.cut(*to, *from);
                    }
                    cuts += 1;
                }
            }
        }
        let text: Vec<_> = side.iter().map(ToString::to_string).collect();
        self.note(0, format_args!("{} cuts {cuts} links; one side: {}", fault.as_str(), text.join(" ")));
        let end = self.now + self.dice.ms(50, 6_000);
        self.schedule.at(end, Event::Relief(Relief::Links));
        cuts > 0
    }

    fn plan_kill(&mut self, node: usize) -> bool {
        let effects = self.dice.between(1, 40);
        let there = &mut self.nodes[node];
        let is_running = there.process().is_some();
        if is_running {
            there.effects_left = Some(effects);
        }
        is_running
    }

    /// All but the leader end and start again together: whoever has promised it something.
    fn kill_followers(&mut self) -> bool {
        let leader = self.leader();
        let followers: Vec<_> = (0..self.nodes.len()).filter(|node| Some(*node) != leader).collect();
        let running: Vec<_> =
            followers.into_iter().filter(|node| self.nodes[*node].process().is_some()).collect();
        let wait = self.dice.ms(2, 60);
        for node in &running {
            self.kill_for(*node, "together with others", wait);
        }
        leader.is_some() && !running.is_empty()
    }

    /// Any number of nodes, all of them included, lose their power at once.
    fn cut_some_power(&mut self) -> bool {
        let one_in = self.dice.between(1, 4);
        let struck: Vec<_> = (0..self.nodes.len()).filter(|_| self.dice.one_in(one_in)).collect();
        let running = struck.iter().filter(|node| self.nodes[**node].process().is_some()).count();
        for node in struck {
            if self.nodes[node].process().is_some() {
                self.cut_power(node);
            }
        }
        running > 0
    }

    fn plan_power_cut(&mut self, node: usize) -> bool {
        let changes = self.dice.between(1, 25);
        let there = &self.nodes[node];
        let is_running = there.process().is_some();
        if is_running {
            there.disk.power_off_after(changes);
        }
        is_running
    }

    fn fail_disk(&mut self, node: usize, operation: Operation, kind: DiskErrorKind) -> bool {
        let nth = self.dice.between(1, 20);
        self.nodes[node].disk.fail_nth(operation, nth, kind);
        self.nodes[node].was_refused = true;
        true
    }

    fn fill_disk(&mut self, node: usize) -> bool {
        let room = self.dice.between(0, 300_000);
        self.nodes[node].disk.set_capacity_bytes(Some(room));
        self.nodes[node].was_refused = true;
        let end = self.now + self.dice.ms(100, 4_000);
        self.schedule.at(end, Event::Relief(Relief::Space { node }));
        true
    }

    /// Damages a file of a node that may be lost. The log is damaged only while it is sealed: what is last in one that is
    /// not cannot be told from what was never finished.
    fn damage(&mut self, node: usize, fault: Fault) -> bool {
        let there = &self.nodes[node];
        if there.data_of.is_none() || !there.is_sealed() || !self.may_lose(node) {
            return false;
        }
        let files = self.files_of(node);
        let Some(file) = self.dice.pick(&files) else { return false };
        let disk = self.nodes[node].disk.clone();
        let size = disk.contents(&file).map_or(0, |contents| contents.len() as u64);
        let offset = self.dice.below(size);
        let done = match fault {
            Fault::Truncation => disk.truncate(&file, offset),
            _ => disk.flip_bit(&file, offset, self.dice.below(8) as u8),
        };
        if done.is_err() {
            return false;
        }
        self.nodes[node].is_damaged = true;
        self.note(node, format_args!("{} in {} at {offset} of {size}", fault.as_str(), file.display()));
        // What is damaged shows when it is read.
        if self.nodes[node].process().is_some() && self.dice.one_in(2) {
            self.kill(node, "after the damage");
        }
        true
    }

    pub(super) fn files_of(&self, node: usize) -> Vec<PathBuf> {
        let (disk, dir) = (&self.nodes[node].disk, self.nodes[node].home.dir().to_owned());
        let list = |dir: &Path| {
            let names = disk.list(dir).unwrap_or_default();
            names.into_iter().map(|name| dir.join(name)).collect::<Vec<_>>()
        };
        let mut files = list(&dir.join("log"));
        files.extend(list(&dir.join("snapshots")));
        files.push(dir.join("identity"));
        files
    }

    fn slow_down(&mut self, node: usize, pace: Pace) -> bool {
        self.nodes[node].pace = pace;
        let end = self.now + self.dice.ms(200, 8_000);
        self.schedule.at(end, Event::Relief(Relief::Pace { node }));
        true
    }

    fn pause(&mut self, node: usize) -> bool {
        if self.nodes[node].process().is_none() {
            return false;
        }
        let until = self.now + self.dice.ms(20, 6_000);
        let until = until.max(self.nodes[node].paused_until.unwrap_or_default());
        self.nodes[node].paused_until = Some(until);
        self.note(node, format_args!("sleeps until {until:?}"));
        // What was planned comes when it wakes up.
        if let Some(process) = self.nodes[node].process_mut() {
            process.turn_at = None;
        }
        self.plan_turn(node, until);
        true
    }

    fn false_alarm(&mut self, node: usize) -> bool {
        // A switch that starts again breaks all connections to the leader at once.
        if let Some(leader) = self.leader().filter(|_| self.dice.one_in(3)) {
            for other in (0..self.nodes.len()).filter(|other| *other != leader) {
                self.arrive(other, None, super::node::Mail::PeerLost(leader));
            }
            return true;
        }
        let lost = self.dice.below(self.nodes.len() as u64) as usize;
        self.arrive(node, None, super::node::Mail::PeerLost(lost));
        true
    }

    fn transfer(&mut self) -> bool {
        let Some(leader) = self.leader() else { return false };
        self.ask(leader, Admin::Transfer(None));
        true
    }

    /// Another set of nodes is to have the partition: one is exchanged for one that has none.
    fn change_desired(&mut self) -> bool {
        let desired: Vec<_> = self.operator.desired.iter().copied().collect();
        let others: Vec<_> = (0..self.nodes.len()).filter(|node| !desired.contains(node)).collect();
        let (Some(leaves), Some(comes)) = (self.dice.pick(&desired), self.dice.pick(&others)) else {
            return false;
        };
        // A node that held a member of old comes back empty, under a new id.
        if self.nodes[comes].process().is_some() {
            let is_member = self.nodes[comes]
                .member()
                .is_some_and(|member| self.referee.membership().all().contains(&member));
            if is_member || !self.referee.is_membership_durable() {
                return false;
            }
            self.wipe(comes);
        }
        self.operator.desired.remove(&leaves);
        self.operator.desired.insert(comes);
        self.note(comes, format_args!("is to take the place of node-{leaves}"));
        true
    }

    fn wipe_if_possible(&mut self, node: usize) -> bool {
        let may = self.may_lose(node);
        if may {
            self.wipe(node);
        }
        may
    }

    /// Whether a node may lose what it has: no more than a minority of the voters may be without their data at a time,
    /// and none while the membership changes, or as long as a majority could forget that it has.
    fn may_lose(&self, node: usize) -> bool {
        let membership = self.referee.membership();
        let is_changing = self.is_changing_members() || self.referee.is_membership_changing();
        if !membership.voters_outgoing.is_empty() || is_changing || !self.referee.is_membership_durable() {
            return false;
        }
        let whole: BTreeSet<_> = (0..self.nodes.len())
            .filter(|place| *place != node && !self.nodes[*place].is_damaged)
            .filter_map(|place| self.nodes[place].data_of)
            .collect();
        let voters = &membership.voters;
        voters.iter().filter(|voter| whole.contains(voter)).count() > voters.len() / 2
    }

    pub(super) fn relieve(&mut self, relief: Relief) {
        match relief {
            Relief::Links => self.network.mend(|_, _| true),
            Relief::Pace { node } => self.nodes[node].pace = Pace::USUAL,
            Relief::Space { node } => self.nodes[node].disk.set_capacity_bytes(None),
        }
    }

    /// Nothing goes wrong any more: everything that is broken is mended, or replaced.
    pub(super) fn calm_down(&mut self) {
        self.is_calm = true;
        self.network.calm();
        for node in 0..self.nodes.len() {
            let there = &mut self.nodes[node];
            there.pace = Pace::USUAL;
            there.disk.clear_faults();
            there.disk.set_capacity_bytes(None);
            there.effects_left = None;
            there.was_refused = false;
            if there.paused_until.take().is_some()
                && let Some(process) = there.process_mut()
            {
                process.turn_at = None;
                self.plan_turn(node, self.now);
            }
        }
    }

    /// Does for processes what their surroundings do: starts again what has failed, and replaces volumes that are
    /// damaged.
    pub(super) fn take_care(&mut self) {
        for node in 0..self.nodes.len() {
            let there = &self.nodes[node];
            let has_failed = match &there.stage {
                Stage::Running(process) => process.failed.is_some(),
                Stage::Failed => true,
                _ => false,
            };
            let is_damaged = there.is_damaged;
            let is_condemned = is_damaged && self.is_calm;
            if !(has_failed || is_condemned) {
                continue;
            }
            if is_damaged && (self.is_calm || self.dice.one_in(4)) {
                self.wipe(node);
            } else if self.is_calm || self.dice.one_in(4) {
                self.kill(node, "because it has failed");
            }
        }
    }
}
