//! Raft, on the crate `raft` (TiKV's), with what it lacks for our contract.
//!
//! From the crate: elections with pre-vote and check-quorum, replication, learners, joint consensus, leader
//! transfer, the counting of read rounds. Ours, around it:
//!
//! - `lease`: reads without a round trip, safe against pauses because it counts real time and not ticks.
//! - Suspicion: a follower whose leader's connection broke campaigns as soon as its promise allows, in turn with the
//!   others, instead of waiting for an election timeout. Pre-vote makes a false alarm harmless. A member that starts
//!   does the same: a group that begins its life, or starts as a whole, has a leader at once.
//! - Answers to heartbeats never wait for the disk, unless the term itself is not durable yet.
//! - Election timeouts that are a function of member and term, so that equal inputs give equal outputs.
//!
//! Known traits of the crate that are dealt with here: it draws election timeouts from a thread's random numbers
//! (overridden after every call); it panics on messages that no correct member sends (see `message`); progress of
//! a member that is removed and added again under one id can be corrupted by late answers (raft-rs issue 571; every
//! incarnation has a fresh id).

mod admission;
mod announce;
mod change;
mod election;
mod lease;
#[cfg(test)]
mod lease_model;
mod log;
mod message;
mod options;
mod propose;
mod ready;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use raft::eraftpb::{EntryType, MessageType};
use raft::{Config, RawNode, StateRole};
use synod_types::{LogIndex, MemberId, Monotonic, Term};

pub use message::{Message, answer_without_log};
pub use options::{Options, Start};

use self::announce::Announcement;
use self::election::Election;
use self::lease::{Lease, Promise};
use self::log::Log;
use self::ready::Held;
use crate::{
    Change, Entry, Membership, Message as AnyMessage, Output, Progress, Protocol, ReadReady, Refused, Role,
    SnapshotMetadata, Standing, Status, Token,
};

/// One member of a raft group.
pub struct Raft {
    node: RawNode<Log>,
    options: Options,
    now: Monotonic,
    next_tick: Monotonic,
    lease: Lease,
    promise: Promise,
    election: Election,
    announcement: Announcement,
    /// The term that is on disk; answers to heartbeats of a newer one wait.
    durable_term: Term,
    held: Held,
    /// Reads that wait for the leader to settle, or for a round to begin.
    reads_waiting: Option<u64>,
    /// Reads that wait for a round: (round, the greatest context it confirms).
    reads_asked: Vec<(u64, u64)>,
    reads_ready: Vec<ReadReady>,
    was_leader_in: Term,
}

impl Raft {
    /// Starts a member.
    ///
    /// # Errors
    /// [`Refused::Broken`] when what it found contradicts itself.
    pub fn new(now: Monotonic, id: MemberId, options: Options, start: Start) -> Result<Self, Refused> {
        let Start { mut hard_state, snapshot, entries } = start;
        let mut last = snapshot.index;
        for entry in entries.iter().filter(|entry| entry.index > snapshot.index) {
            if entry.index != last.next() {
                return Err(Refused::Broken(format!("entry {} is missing from the log", last.next())));
            }
            last = entry.index;
        }
        if hard_state.commit > last {
            return Err(Refused::Broken(format!(
                "the log ends at {last}, but was committed up to {}: entries are lost",
                hard_state.commit
            )));
        }
        // A heartbeat is acknowledged only once the term of its leader is durable, and no leader ever led in the
        // term of a genesis: whoever knows no later term has promised nothing.
        let is_newborn = snapshot.index <= GENESIS && hard_state.term <= snapshot.term;
        hard_state.commit = hard_state.commit.max(snapshot.index).max(change::proven_commit(&entries));
        hard_state.term = hard_state.term.max(snapshot.term);
        let config = Config {
            id: id.get(),
            election_tick: options.election_ticks,
            // Rounds of our own are the heartbeats; the crate's are a fallback.
            heartbeat_tick: options.election_ticks.saturating_sub(1).max(1),
            applied: snapshot.index.get(),
            max_size_per_msg: options.append_bytes_max,
            max_inflight_msgs: options.appends_in_flight_max,
            max_uncommitted_size: options.uncommitted_bytes_max,
            max_committed_size_per_ready: options.append_bytes_max.saturating_mul(8),
            check_quorum: true,
            pre_vote: true,
            min_election_tick: options.election_ticks,
            max_election_tick: options.election_ticks.saturating_mul(2),
            // See `announce`.
            skip_bcast_commit: true,
            ..Config::default()
        };
        let broken = |error: raft::Error| Refused::Broken(format!("raft cannot start: {error}"));
        config.validate().map_err(broken)?;
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, Log::new(hard_state, snapshot, entries), &logger).map_err(broken)?;
        let promise = if is_newborn { Promise::none() } else { Promise::forgotten(now + options.lease) };
        let mut raft = Self {
            node,
            next_tick: now + options.tick,
            options,
            now,
            lease: Lease::default(),
            promise,
            election: Election::default(),
            announcement: Announcement::default(),
            durable_term: hard_state.term,
            held: Held::default(),
            reads_waiting: None,
            reads_asked: Vec::new(),
            reads_ready: Vec::new(),
            was_leader_in: Term(0),
        };
        raft.after_call();
        // Nobody is suspected, but a group that starts as a whole has nobody to wait for either.
        raft.plan_campaign(MemberId(0));
        Ok(raft)
    }

    fn id(&self) -> MemberId {
        MemberId(self.node.raft.id)
    }

    fn term(&self) -> Term {
        Term(self.node.raft.term)
    }

    fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    fn leader(&self) -> Option<MemberId> {
        Some(MemberId(self.node.raft.leader_id)).filter(|leader| leader.get() != 0)
    }

    fn membership(&self) -> Membership {
        log::membership_from_raft(&self.node.raft.prs().conf().to_conf_state())
    }

    /// Settles what may have changed in any call of the crate.
    fn after_call(&mut self) {
        let timeout = self.election_timeout_ticks();
        self.node.raft.set_randomized_election_timeout(timeout);
        if self.is_leader() {
            if self.was_leader_in != self.term() {
                self.was_leader_in = self.term();
                self.lease.reset();
                self.forget_reads();
            }
            self.election.clear();
            let commit = self.commit();
            self.announcement.plan(self.now, commit);
        } else if self.was_leader_in != Term(0) {
            self.was_leader_in = Term(0);
            self.lease.reset();
            self.forget_reads();
            self.announcement.cancel();
        }
        if self.leader().is_some() {
            self.election.clear();
        }
    }

    fn forget_reads(&mut self) {
        self.reads_waiting = None;
        self.reads_asked.clear();
        self.reads_ready.clear();
    }

    /// Sends a heartbeat round. Reads that wait are confirmed by it.
    fn begin_round(&mut self) {
        if !self.is_settled_leader() {
            self.node.ping();
            return;
        }
        let round = self.lease.begin_round(self.now);
        if let Some(context) = self.reads_waiting.take() {
            self.reads_asked.push((round, context));
        }
        self.node.read_index(round.to_be_bytes().to_vec());
    }

    /// A majority has acknowledged a round that began when the log was committed up to `index`.
    fn round_confirmed(&mut self, round: u64, index: LogIndex) {
        self.lease.confirm(round, self.options.lease);
        let mut greatest = None;
        self.reads_asked.retain(|(asked, context)| {
            let done = *asked <= round;
            greatest = if done { greatest.max(Some(*context)) } else { greatest };
            !done
        });
        self.reads_ready.extend(greatest.map(|context| ReadReady { context, index }));
    }

    /// Steps a checked message into the crate, keeping promises.
    fn deliver(&mut self, message: Message) -> Result<(), Refused> {
        let kind = message.check()?;
        self.admit(&message, kind)?;
        if message.asks_for_vote()
            && message.context != TRANSFER
            && let Some(until) = self.promise.bars(message.from, self.now)
        {
            self.election.defer(until, message);
            return Ok(());
        }
        if kind == MessageType::MsgTimeoutNow && self.held.is_installing() {
            return Err(Refused::Invalid("it cannot take over before its snapshot is durable".to_owned()));
        }
        let heartbeat = kind == MessageType::MsgHeartbeat;
        let (from, term) = (message.from, message.term);
        // What the crate refuses at this point is late: it is dropped, as a network would.
        let _ = self.node.step(message.into_raft(kind));
        if heartbeat && self.term() == term && self.leader() == Some(from) {
            self.promise.renew(from, self.now + self.options.lease);
        }
        self.after_call();
        Ok(())
    }
}

/// The first entry of every log, which stands for the initial state and was never proposed by anybody.
const GENESIS: LogIndex = LogIndex(1);

/// What the crate writes into requests for votes in an election that the old leader called.
const TRANSFER: &[u8] = b"CampaignTransfer";

impl Protocol for Raft {
    fn step(&mut self, now: Monotonic, message: AnyMessage) -> Result<(), Refused> {
        self.now = self.now.max(now);
        let AnyMessage::Raft(message) = message;
        if message.to != self.id() {
            return Err(Refused::Invalid(format!(
                "message for member {}, this is {}",
                message.to,
                self.id()
            )));
        }
        self.deliver(message)
    }

    fn propose(&mut self, data: Bytes) -> Result<LogIndex, Refused> {
        if !self.is_leader() {
            return Err(Refused::NotLeader);
        }
        self.propose_entry(EntryType::EntryNormal, data)
    }

    fn tick(&mut self, now: Monotonic) {
        self.now = self.now.max(now);
        self.deliver_deferred();
        self.campaign_if_due();
        self.announce_if_due();
        if self.now < self.next_tick {
            return;
        }
        self.next_tick = self.now + self.options.tick;
        if self.held.is_installing() {
            return;
        }
        // A promise means that a leader was heard of just now: that time does not count towards a timeout.
        if self.is_leader() || !self.promise.is_binding(self.now) {
            self.node.tick();
            self.after_call();
        }
        if self.is_leader() {
            self.begin_round();
        }
    }

    fn deadline(&self) -> Monotonic {
        let others = [self.election.deadline(), self.announcement.due()].into_iter().flatten();
        others.fold(self.next_tick, Monotonic::min)
    }

    fn persisted(&mut self, now: Monotonic, token: Token) {
        self.now = self.now.max(now);
        self.release(token);
    }

    fn applied(&mut self, index: LogIndex) {
        self.node.advance_apply_to(index.get());
    }

    fn read(&mut self, now: Monotonic, context: u64) -> Result<(), Refused> {
        self.now = self.now.max(now);
        if !self.is_leader() {
            return Err(Refused::NotLeader);
        }
        if self.is_settled_leader() && self.lease.is_valid(self.now) {
            self.reads_ready.push(ReadReady { context, index: self.commit() });
            return Ok(());
        }
        self.reads_waiting = Some(context);
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Result<LogIndex, Refused> {
        if !self.is_leader() {
            return Err(Refused::NotLeader);
        }
        let raft = &self.node.raft;
        let under_way = raft.pending_conf_index > raft.raft_log.applied;
        if under_way || !self.is_settled_leader() || !self.membership().voters_outgoing.is_empty() {
            return Err(Refused::Busy);
        }
        self.check_change(change)?;
        self.propose_entry(EntryType::EntryConfChangeV2, change::encode(change))
    }

    fn apply_membership(&mut self, entry: &Entry) -> Result<(Membership, Bytes), Refused> {
        let (raft_change, about) = change::decode(&entry.data)?;
        let state = self
            .node
            .apply_conf_change(&raft_change)
            .map_err(|error| Refused::Broken(format!("a membership change cannot be applied: {error}")))?;
        // A majority of the old members need not be one of the new: what it acknowledged no longer counts.
        self.lease.revoke();
        self.reads_waiting =
            self.reads_waiting.max(self.reads_asked.drain(..).map(|(_, context)| context).max());
        self.step_down_if_removed();
        self.after_call();
        Ok((log::membership_from_raft(&state), about))
    }

    fn suspect(&mut self, now: Monotonic, member: MemberId) {
        self.now = self.now.max(now);
        if self.is_leader() {
            self.node.report_unreachable(member.get());
        } else if self.leader() == Some(member) && self.node.raft.state == StateRole::Follower {
            self.node.raft.leader_id = 0;
            self.plan_campaign(member);
        }
    }

    fn transfer(&mut self, to: MemberId) -> Result<(), Refused> {
        if !self.is_leader() {
            return Err(Refused::NotLeader);
        }
        if to == self.id() {
            return Ok(());
        }
        if !self.membership().voters.contains(&to) {
            return Err(Refused::Invalid(format!("member {to} is not a voter")));
        }
        // The call for an election may reach the other late, when we would lead again by lease.
        self.lease.give_up();
        self.reads_waiting =
            self.reads_waiting.max(self.reads_asked.drain(..).map(|(_, context)| context).max());
        self.node.transfer_leader(to.get());
        self.after_call();
        Ok(())
    }

    fn snapshot_sent(&mut self, to: MemberId, success: bool) {
        let status = if success { raft::SnapshotStatus::Finish } else { raft::SnapshotStatus::Failure };
        self.node.report_snapshot(to.get(), status);
    }

    fn snapshot_saved(&mut self, snapshot: SnapshotMetadata, keep_from: LogIndex) {
        self.node.mut_store().compact(snapshot, keep_from);
    }

    fn forget(&mut self, keep_from: LogIndex) {
        let keep_from = keep_from.min(self.needed_from());
        self.node.mut_store().forget(keep_from);
    }

    fn output(&mut self, now: Monotonic) -> Output {
        self.now = self.now.max(now);
        self.collect()
    }

    fn standing(&self) -> Standing {
        let raft = &self.node.raft;
        let role = match raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Follower if raft.prs().conf().voters().contains(raft.id) => Role::Follower,
            StateRole::Follower => Role::Learner,
        };
        Standing { role, term: self.term(), leader: self.leader() }
    }

    fn status(&self) -> Status {
        let raft = &self.node.raft;
        let mut progress: Vec<_> = raft
            .prs()
            .iter()
            .filter(|_| self.is_leader())
            .map(|(member, progress)| Progress {
                member: MemberId(*member),
                matched: LogIndex(progress.matched),
                active: progress.recent_active || MemberId(*member) == self.id(),
            })
            .collect();
        progress.sort_unstable_by_key(|progress| progress.member);
        Status {
            standing: self.standing(),
            first_index: self.node.store().first(),
            last_index: LogIndex(raft.raft_log.last_index()),
            last_term: Term(raft.raft_log.last_term()),
            commit: self.commit(),
            membership: self.membership(),
            progress,
        }
    }

    fn commit(&self) -> LogIndex {
        LogIndex(self.node.raft.raft_log.committed)
    }

    fn lease_until(&self) -> Option<Monotonic> {
        self.lease.until().filter(|_| self.is_settled_leader())
    }

    fn is_settled_leader(&self) -> bool {
        self.is_leader() && self.node.raft.commit_to_current_term()
    }
}
