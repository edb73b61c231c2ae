//! Whole groups in one thread: a network that can be cut, disks that can stall, and a clock.

mod announce;
mod hostile;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::*;
use crate::{EntryKind, HardState, Persist};

/// Members with their disks, and the network between them. Messages take 1 ms, writes 2 ms.
struct Group {
    now: Monotonic,
    members: BTreeMap<MemberId, Member>,
    wire: VecDeque<(Monotonic, MemberId, AnyMessage)>,
    /// Pairs (from, to) whose messages are lost.
    cuts: BTreeSet<(MemberId, MemberId)>,
    trace: Vec<String>,
}

struct Member {
    raft: Raft,
    disk: Start,
    writes: VecDeque<(Monotonic, Persist)>,
    disk_stalls: bool,
    applied: Vec<(LogIndex, Bytes)>,
    reads: Vec<ReadReady>,
    membership: Membership,
}

fn id(number: u64) -> MemberId {
    MemberId(number)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn genesis(voters: &[u64]) -> SnapshotMetadata {
    let membership = Membership::of_voters(voters.iter().copied().map(MemberId));
    SnapshotMetadata { index: GENESIS, term: Term(1), membership }
}

#[test]
fn a_member_that_starts_knows_every_membership_but_the_last_of_its_log() {
    let membership =
        |index, data| Entry { term: Term(2), index: LogIndex(index), kind: EntryKind::Membership, data };
    let entries = vec![
        membership(2, change::encode(&Change::AddLearner { member: id(4), about: Bytes::new() })),
        membership(3, Bytes::new()),
        membership(4, change::encode(&Change::Promote(id(4)))),
        membership(5, Bytes::new()),
    ];
    let hard_state = HardState { term: Term(2), vote: None, commit: LogIndex(1) };
    let start = Start { hard_state, snapshot: genesis(&[1, 2, 3]), entries };
    let raft = Raft::new(Monotonic::from_nanos(1), id(1), Options::default(), start).unwrap();
    // The leader that ended the joint membership had applied its beginning.
    assert_eq!(raft.commit(), LogIndex(4));
}

impl Group {
    fn new(voters: &[u64]) -> Self {
        let mut group = Self {
            now: Monotonic::from_nanos(1),
            members: BTreeMap::new(),
            wire: VecDeque::new(),
            cuts: BTreeSet::new(),
            trace: Vec::new(),
        };
        for voter in voters {
            group.start(id(*voter), Start { snapshot: genesis(voters), ..Start::default() });
        }
        group
    }

    fn start(&mut self, member: MemberId, disk: Start) {
        let raft = Raft::new(self.now, member, Options::default(), disk.clone()).unwrap();
        let membership = disk.snapshot.membership.clone();
        self.members.insert(
            member,
            Member {
                raft,
                disk,
                writes: VecDeque::new(),
                disk_stalls: false,
                applied: Vec::new(),
                reads: Vec::new(),
                membership,
            },
        );
    }

    fn crash(&mut self, member: u64) -> Start {
        self.members.remove(&id(member)).unwrap().disk
    }

    fn get(&mut self, member: u64) -> &mut Member {
        self.members.get_mut(&id(member)).unwrap()
    }

    /// Runs for a while, one millisecond at a time.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = self.now + ms(1);
            self.step();
        }
    }

    /// Runs until a condition holds and returns how long that took.
    fn run_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Duration {
        let begin = self.now;
        while !condition(self) {
            assert!(self.now.since(begin) < ms(10_000), "{what}: not within 10 s");
            self.run(ms(1));
        }
        self.now.since(begin)
    }

    fn step(&mut self) {
        while let Some((due, _, _)) = self.wire.front() {
            if *due > self.now {
                break;
            }
            let (_, to, message) = self.wire.pop_front().unwrap();
            if let Some(member) = self.members.get_mut(&to) {
                self.trace.push(format!("{:?} {to} {message:?}", self.now));
                // A message that is late, of a member that was removed meanwhile, is dropped.
                if let Err(refused @ Refused::Broken(_)) = member.raft.step(self.now, message) {
                    panic!("member {to} stopped: {refused}");
                }
            }
        }
        for number in self.members.keys().copied().collect::<Vec<_>>() {
            let now = self.now;
            let member = self.members.get_mut(&number).unwrap();
            member.finish_writes(now);
            if member.raft.deadline() <= now {
                member.raft.tick(now);
            }
            self.settle(number);
        }
    }

    /// Does what the output of a member says until there is nothing more.
    fn settle(&mut self, number: MemberId) {
        let now = self.now;
        loop {
            let member = self.members.get_mut(&number).unwrap();
            let output = member.raft.output(now);
            if output.is_empty() {
                return;
            }
            member.reads.extend(output.reads);
            if output.snapshot_wanted {
                let status = member.raft.status();
                let (index, membership) = (status.commit, member.membership.clone());
                let term = Term(member.raft.node.raft.raft_log.term(index.get()).unwrap());
                member.raft.snapshot_saved(SnapshotMetadata { index, term, membership }, index);
            }
            if let Some(persist) = output.persist {
                member.writes.push_back((now + ms(2), persist));
            }
            if let Some(restored) = output.restored {
                member.membership = restored.membership;
            }
            for entry in output.committed {
                if entry.kind == EntryKind::Membership {
                    member.membership = member.raft.apply_membership(&entry).unwrap().0;
                } else if !entry.data.is_empty() {
                    member.applied.push((entry.index, entry.data));
                }
                member.raft.applied(entry.index);
            }
            for (to, message) in output.send.into_iter().chain(output.send_snapshot) {
                if !self.cuts.contains(&(number, to)) {
                    self.wire.push_back((now + ms(1), to, message));
                }
            }
        }
    }

    fn leader(&self) -> Option<u64> {
        let leads = |member: &&MemberId| self.members[*member].raft.is_settled_leader();
        let newest = self.members.keys().filter(leads).max_by_key(|member| self.members[member].raft.term());
        newest.map(|member| member.get())
    }

    fn elect(&mut self) -> u64 {
        self.run_until("a leader", |group| group.leader().is_some());
        self.leader().unwrap()
    }

    fn isolate(&mut self, member: u64) {
        for other in self.members.keys().copied().filter(|other| *other != id(member)).collect::<Vec<_>>() {
            self.cuts.insert((id(member), other));
            self.cuts.insert((other, id(member)));
        }
    }

    fn propose(&mut self, member: u64, data: &'static str) -> Result<LogIndex, Refused> {
        let index = self.get(member).raft.propose(Bytes::from_static(data.as_bytes()));
        self.settle(id(member));
        index
    }

    fn change(&mut self, leader: u64, change: &Change) {
        self.get(leader).raft.change(change).unwrap();
        self.settle(id(leader));
    }

    fn has(&self, member: u64, data: &str) -> bool {
        self.members[&id(member)].applied.iter().any(|(_, applied)| applied == data)
    }

    /// Asks for a read and tells whether it may be served at once.
    fn reads_at_once(&mut self, member: u64, context: u64) -> bool {
        let now = self.now;
        let asked = self.get(member).raft.read(now, context);
        self.settle(id(member));
        asked.is_ok() && self.get(member).reads.iter().any(|read| read.context == context)
    }
}

impl Member {
    fn finish_writes(&mut self, now: Monotonic) {
        while let Some((due, _)) = self.writes.front() {
            if *due > now || self.disk_stalls {
                return;
            }
            let (_, persist) = self.writes.pop_front().unwrap();
            if let Some(snapshot) = persist.snapshot {
                self.disk.entries.clear();
                self.disk.snapshot = snapshot;
            }
            for entry in persist.entries {
                self.disk.entries.retain(|kept| kept.index < entry.index);
                self.disk.entries.push(entry);
            }
            self.disk.hard_state = persist.hard_state.unwrap_or(self.disk.hard_state);
            self.raft.persisted(now, persist.token);
        }
    }
}

#[test]
fn a_group_elects_a_leader_and_replicates() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.propose(leader, "a").unwrap();
    group.propose(leader, "b").unwrap();
    group.run_until("both on all", |group| (1..=3).all(|member| group.has(member, "b")));
    let expected = group.get(leader).applied.clone();
    assert_eq!(expected.iter().map(|(_, data)| data.clone()).collect::<Vec<_>>(), ["a", "b"]);
    assert!((1..=3).all(|member| group.members[&id(member)].applied == expected));
    let follower = leader % 3 + 1;
    assert_eq!(group.propose(follower, "c"), Err(Refused::NotLeader));
}

#[test]
fn a_group_that_starts_waits_for_no_election_timeout() {
    let mut group = Group::new(&[1, 2, 3]);
    let birth = group.run_until("a leader", |group| group.leader().is_some());
    assert!(birth < ms(20), "{birth:?}");
    assert_eq!(group.leader(), Some(1), "the first in turn");
    group.run(ms(500));
    for member in 1..=3 {
        let disk = group.crash(member);
        group.start(id(member), disk);
    }
    group.wire.clear();
    let restart = group.run_until("a leader again", |group| group.leader().is_some());
    let lease = Options::default().lease;
    assert!(restart >= lease && restart < lease + ms(20), "what was promised before is kept: {restart:?}");
}

#[test]
fn a_member_that_restarts_deposes_nobody() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(300));
    let term = group.get(leader).raft.term();
    let disk = group.crash(leader % 3 + 1);
    group.start(id(leader % 3 + 1), disk);
    // It campaigns before it hears of the leader.
    group.cuts.insert((id(leader), id(leader % 3 + 1)));
    group.run(ms(600));
    assert_eq!(group.get(leader % 3 + 1).raft.standing().role, Role::Candidate);
    group.cuts.clear();
    group.run(ms(1_000));
    assert_eq!((group.leader(), group.get(leader).raft.term()), (Some(leader), term));
    assert_eq!(group.get(leader % 3 + 1).raft.leader(), Some(id(leader)));
}

#[test]
fn equal_inputs_give_equal_outputs() {
    let run = || {
        let mut group = Group::new(&[11, 22, 33]);
        let leader = group.elect();
        group.propose(leader, "a").unwrap();
        group.isolate(leader);
        group.run(ms(5_000));
        group.cuts.clear();
        group.run(ms(3_000));
        group.trace
    };
    assert_eq!(run(), run());
}

#[test]
fn nothing_is_committed_before_a_majority_has_it_on_disk() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(100));
    for follower in (1..=3).filter(|member| *member != leader) {
        group.get(follower).disk_stalls = true;
    }
    group.propose(leader, "a").unwrap();
    group.run(ms(500));
    assert!(!group.has(leader, "a"));
    assert_eq!(group.leader(), Some(leader), "heartbeats are answered while the disks stall");
    group.get(leader % 3 + 1).disk_stalls = false;
    group.run_until("committed", |group| group.has(leader, "a"));
}

#[test]
fn a_read_under_a_lease_needs_no_round_trip() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(200));
    assert!(group.reads_at_once(leader, 1));
    assert!(!group.reads_at_once(leader % 3 + 1, 1), "a follower confirms no read");
}

#[test]
fn a_leader_that_hears_nobody_serves_no_read_once_the_lease_is_over() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(200));
    group.isolate(leader);
    group.run(ms(200));
    assert!(!group.reads_at_once(leader, 1));
    assert!(group.get(leader).raft.is_leader(), "it has not noticed yet that it may have been replaced");
    group.run(ms(2_500));
    assert!(!group.get(leader).raft.is_leader(), "a majority was silent for an election timeout");
}

/// A crash makes it forget the term, and a member that knows no term but that of its birth has promised nothing.
#[test]
fn a_heartbeat_of_a_term_that_is_not_durable_is_not_answered() {
    let mut group = Group::new(&[1, 2, 3]);
    group.get(3).disk_stalls = true;
    let leader = group.elect();
    group.run(ms(200));
    assert!(group.reads_at_once(leader, 1));
    group.isolate(3 - leader);
    group.run(ms(300));
    assert!(!group.reads_at_once(leader, 2), "whoever is left has promised nothing yet");
    group.get(3).disk_stalls = false;
    group.run(ms(200));
    assert!(group.reads_at_once(leader, 3));
}

/// F6: the leader is stopped, another one takes over, and the old one wakes up with old beliefs.
#[test]
fn a_leader_that_was_paused_serves_no_stale_read() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(200));
    let paused = group.members.remove(&id(leader)).unwrap();
    group.run_until("another leader", |group| group.leader().is_some());
    group.members.insert(id(leader), paused);
    assert!(group.get(leader).raft.is_leader());
    assert!(!group.reads_at_once(leader, 1), "the lease counts real time, not ticks");
    group.run(ms(500));
    assert!(!group.get(leader).raft.is_leader());
    assert!(group.get(leader).reads.iter().all(|read| read.context != 1));
}

#[test]
fn a_follower_that_restarts_keeps_the_promise_that_it_forgot() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(200));
    let followers: Vec<_> = (1..=3).filter(|member| *member != leader).collect();
    for member in &followers {
        let disk = group.crash(*member);
        group.start(id(*member), disk);
    }
    group.isolate(leader);
    let now = group.now;
    for member in &followers {
        // As if they had heard of the leader just before it seemed to crash.
        let raft = &mut group.get(*member).raft;
        raft.node.raft.leader_id = leader;
        raft.suspect(now, id(leader));
    }
    let is_elected =
        |group: &Group| followers.iter().any(|member| group.members[&id(*member)].raft.is_leader());
    for context in 1.. {
        let serves = group.reads_at_once(leader, context);
        assert!(!(serves && is_elected(&group)), "two members could answer reads");
        if is_elected(&group) {
            break;
        }
        group.run(ms(1));
    }
    assert!(group.now.since(now) < ms(300), "the suspicion was acted upon");
}

#[test]
fn a_crash_that_is_noticed_costs_a_lease_and_not_an_election_timeout() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(300));
    group.crash(leader);
    let now = group.now;
    for member in group.members.values_mut() {
        member.raft.suspect(now, id(leader));
    }
    let gap = group.run_until("another leader", |group| group.leader().is_some());
    assert!(gap < ms(280), "{gap:?}");
}

#[test]
fn a_false_suspicion_changes_nothing() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(300));
    let term = group.get(leader).raft.term();
    let now = group.now;
    for member in group.members.values_mut() {
        member.raft.suspect(now, id(leader));
    }
    group.run(ms(2_000));
    assert_eq!(group.leader(), Some(leader));
    assert_eq!(group.get(leader).raft.term(), term);
}

/// F16: with pre-vote a member that is cut off and comes back does not depose the leader.
#[test]
fn a_member_that_was_cut_off_does_not_disturb() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    let term = group.get(leader).raft.term();
    group.isolate(leader % 3 + 1);
    group.run(ms(8_000));
    group.cuts.clear();
    group.run(ms(3_000));
    assert_eq!((group.leader(), group.get(leader).raft.term()), (Some(leader), term));
}

/// What a member lacks stays in memory however early the rest is forgotten: it catches up entry by entry.
#[test]
fn what_all_have_is_forgotten_and_what_one_lacks_is_kept() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    let lacking = leader % 3 + 1;
    let all_have = group.propose(leader, "a").unwrap();
    group.run_until("it on all", |group| (1..=3).all(|member| group.has(member, "a")));
    group.run(ms(100));
    group.isolate(lacking);
    let last = ["b", "c", "d"].map(|data| group.propose(leader, data).unwrap())[2];
    group.run_until("it on the leader", |group| group.has(leader, "d"));
    group.get(leader).raft.forget(last.next());
    assert_eq!(group.get(leader).raft.status().first_index, all_have.next());
    group.cuts.clear();
    group.run_until("it on who lacked it", |group| group.has(lacking, "d"));
    assert_eq!(group.members[&id(lacking)].applied, group.members[&id(leader)].applied);
    group.run(ms(100));
    group.get(leader).raft.forget(last.next());
    assert_eq!(group.get(leader).raft.status().first_index, last.next());
}

#[test]
fn leadership_is_handed_over_and_the_lease_with_it() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(300));
    let heir = leader % 3 + 1;
    group.get(leader).raft.transfer(id(heir)).unwrap();
    group.settle(id(leader));
    assert!(!group.reads_at_once(leader, 1), "the heir may lead at any moment");
    let gap = group.run_until("the heir leads", |group| group.leader() == Some(heir));
    assert!(gap < ms(50), "{gap:?}");
    assert_eq!(group.propose(leader, "late"), Err(Refused::NotLeader));
}

#[test]
fn a_membership_change_costs_the_lease() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(300));
    let gone = leader % 3 + 1;
    group.change(leader, &Change::Remove(id(gone)));
    group.run_until("removed", |group| !group.members[&id(leader)].membership.voters.contains(&id(gone)));
    assert!(!group.reads_at_once(leader, 1), "whoever has promised may be no voter any more");
    group.run(ms(300));
    assert!(group.reads_at_once(leader, 2));
}

#[test]
fn a_learner_joins_catches_up_and_becomes_a_voter() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.propose(leader, "a").unwrap();
    group.run(ms(100));
    group.start(id(4), Start::default());
    // What a newcomer cannot get from the log comes as a snapshot; this harness keeps no state beside it.
    let learner = Change::AddLearner { member: id(4), about: Bytes::from_static(b"four") };
    group.change(leader, &learner);
    assert_eq!(group.get(leader).raft.change(&learner), Err(Refused::Busy));
    group.run_until("the snapshot", |group| group.members[&id(4)].membership.learners.contains(&id(4)));
    group.propose(leader, "b").unwrap();
    group.run_until("caught up", |group| group.has(4, "b"));
    assert_eq!(group.get(4).raft.standing().role, Role::Learner);
    group.change(leader, &Change::Promote(id(4)));
    group.run_until("a voter", |group| {
        let membership = &group.members[&id(4)].membership;
        membership.voters.contains(&id(4)) && membership.voters_outgoing.is_empty()
    });
}

#[test]
fn a_member_that_takes_a_snapshot_campaigns_only_once_it_is_durable() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    let (slow, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let disk = group.crash(slow);
    for _ in 0..5 {
        let index = group.propose(leader, "a").unwrap();
        group.run_until("committed", |group| group.members[&id(leader)].raft.commit() >= index);
    }
    let status = group.get(leader).raft.status();
    let (index, membership) = (status.commit, status.membership);
    let term = status.standing.term;
    group.get(leader).raft.snapshot_saved(SnapshotMetadata { index, term, membership }, index.next());
    group.start(id(slow), disk);
    group.get(slow).disk_stalls = true;
    group.run_until("the snapshot", |group| group.members[&id(slow)].raft.commit() == index);
    let now = group.now;
    group.get(slow).raft.suspect(now, id(leader));
    group.isolate(slow);
    group.run(ms(3_000));
    assert_eq!(group.get(slow).raft.standing().role, Role::Follower, "it cannot answer for what it has");
    group.get(slow).disk_stalls = false;
    group.cuts.clear();
    group.crash(leader);
    group.run_until("another leader", |group| group.leader().is_some());
    assert!(group.propose(group.leader().unwrap(), "b").is_ok() && group.members.contains_key(&id(other)));
}

#[test]
fn whoever_is_elected_while_it_is_removed_steps_down() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    let (gone, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    group.run(ms(100));
    group.change(leader, &Change::Remove(id(gone)));
    // The others have the entry, and the leader has not heard so.
    group.run(ms(3));
    let disk = group.crash(leader);
    let now = group.now;
    group.get(gone).raft.suspect(now, id(leader));
    group.run_until("the one to be removed leads", |group| group.leader() == Some(gone));
    group.start(id(leader), disk);
    group.run_until("a member leads", |group| group.leader().is_some_and(|leads| leads != gone));
    let leads = group.leader().unwrap();
    assert!(!group.get(leads).membership.all().contains(&id(gone)));
    group.propose(leads, "a").unwrap();
    group.run_until("it goes on", |group| group.has(leader, "a") && group.has(other, "a"));
}

#[test]
fn whoever_is_removed_while_it_campaigns_gives_up() {
    let start = Start { snapshot: genesis(&[1, 2, 3]), ..Start::default() };
    let now = Monotonic::from_nanos(1);
    let mut raft = Raft::new(now, id(1), Options::default(), start).unwrap();
    raft.tick(now + ms(60));
    assert_eq!(raft.standing().role, Role::Candidate);
    for data in [change::encode(&Change::Remove(id(1))), Bytes::new()] {
        let entry = Entry { term: Term(1), index: LogIndex(2), kind: EntryKind::Membership, data };
        raft.apply_membership(&entry).unwrap();
    }
    assert_eq!(raft.standing().role, Role::Learner);
    raft.tick(now + ms(5_000));
    assert_eq!(raft.standing().role, Role::Learner, "nor does it begin again");
}

#[test]
fn a_removed_voter_no_longer_counts() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    let (gone, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    assert!(matches!(group.get(leader).raft.change(&Change::Remove(id(leader))), Err(Refused::Invalid(_))));
    group.change(leader, &Change::Remove(id(gone)));
    group.run_until("left", |group| {
        let membership = &group.members[&id(leader)].membership;
        membership.voters.len() == 2 && membership.voters_outgoing.is_empty()
    });
    group.isolate(other);
    group.propose(leader, "a").unwrap();
    group.run(ms(500));
    assert!(!group.has(leader, "a"), "one of two voters is no majority, whatever the removed one says");
}

#[test]
fn a_member_that_lost_what_it_acknowledged_stops() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.propose(leader, "a").unwrap();
    group.run(ms(200));
    let follower = leader % 3 + 1;
    let disk = group.crash(follower);
    group.start(id(follower), Start { entries: Vec::new(), hard_state: HardState::default(), ..disk });
    let (now, commit) = (group.now, group.get(leader).raft.status().commit);
    let heartbeat = Message {
        kind: MessageType::MsgHeartbeat as u32,
        from: id(leader),
        to: id(follower),
        term: group.get(leader).raft.term(),
        commit,
        ..Message::default()
    };
    let refused = group.get(follower).raft.step(now, AnyMessage::Raft(heartbeat));
    assert!(matches!(refused, Err(Refused::Broken(_))), "{refused:?}");
}

#[test]
fn a_log_that_contradicts_itself_does_not_start() {
    let entry =
        |index| Entry { term: Term(2), index: LogIndex(index), kind: EntryKind::Normal, data: Bytes::new() };
    let start = |commit, entries: Vec<Entry>| {
        let hard_state = HardState { term: Term(2), vote: None, commit: LogIndex(commit) };
        let start = Start { hard_state, snapshot: genesis(&[1]), entries };
        Raft::new(Monotonic::default(), id(1), Options::default(), start).map(|_| ())
    };
    assert_eq!(start(3, vec![entry(2), entry(3)]), Ok(()));
    assert!(matches!(start(4, vec![entry(2), entry(3)]), Err(Refused::Broken(_))));
    assert!(matches!(start(1, vec![entry(3)]), Err(Refused::Broken(_))));
}

#[test]
fn a_single_member_leads_alone() {
    let mut group = Group::new(&[7]);
    assert_eq!(group.elect(), 7);
    group.propose(7, "a").unwrap();
    group.run_until("committed", |group| group.has(7, "a"));
    assert!(group.reads_at_once(7, 1));
}
