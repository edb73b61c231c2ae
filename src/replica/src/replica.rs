//! The replica: takes inputs, drives the protocol and the machine, and hands out effects.

use std::time::Duration;

use synod_proto::session::v1::reply;
use synod_proto::types::v1::{Error as WireError, LeaderHint, Member};
use synod_protocol::{Message, Output, Protocol, Refused, Role, SnapshotMetadata, Standing};
use synod_storage::state::{Fault, StateHash};
use synod_types::{Error, ErrorCode, Index, LogIndex, LogTime, MemberId, Monotonic, Term};

use crate::admin::Requests;
use crate::committed::Received;
use crate::event::{ClientId, Effect, Input, Options, Tag};
use crate::expiry::ActiveClock;
use crate::leader::Leading;
use crate::machine::Machine;
use crate::proposals::{Proposals, Waiter};
use crate::reads::Reads;
use crate::slow_disk::DiskWork;
use crate::snapshots::Snapshots;
use crate::watches::{Delivery, Watches};

/// When a replica that has stopped for good wants to be called again, though it has nothing to do any more.
const NO_DEADLINE: Duration = Duration::from_secs(3_600);

/// One replica of a partition.
pub struct Replica {
    pub(crate) member: MemberId,
    pub(crate) options: Options,
    pub(crate) protocol: Box<dyn Protocol>,
    pub(crate) machine: Machine,
    pub(crate) proposals: Proposals,
    pub(crate) reads: Reads,
    pub(crate) watches: Watches,
    pub(crate) leading: Option<Leading>,
    pub(crate) snapshots: Snapshots,
    pub(crate) requests: Requests,
    pub(crate) effects: Vec<Effect>,
    pub(crate) now: Monotonic,
    pub(crate) clock: ActiveClock,
    /// Log time as of the last entry with a stamp, and the clock when it was applied.
    pub(crate) stamped: (LogTime, Duration),
    standing: Standing,
    pub(crate) disk: DiskWork,
    next_progress: Monotonic,
    pub(crate) received: Option<Received>,
    failed: bool,
}

/// How a replica stands, for people and operators.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Which member it is.
    pub member: MemberId,
    /// What the protocol says.
    pub protocol: synod_protocol::Status,
    /// The last log entry applied.
    pub applied: LogIndex,
    /// The last command applied.
    pub index: Index,
    /// Where the newest snapshot stands.
    pub snapshot: LogIndex,
    /// Why the last snapshot could not be saved; it is tried again. The log grows meanwhile.
    pub snapshot_problem: Option<Error>,
    /// The hash of all state at `applied`.
    pub state_hash: StateHash,
    /// Who takes part.
    pub members: Vec<Member>,
    /// Open sessions.
    pub sessions: u64,
    /// Keys in the state, of all kinds.
    pub keys: u64,
    /// Watches served here.
    pub watches: u64,
}

impl Replica {
    /// A replica that goes on from a state and a protocol that fit each other: `machine` is the state of `snapshot`,
    /// whose file has `snapshot_bytes`, and `protocol` was started from it.
    pub fn new(
        now: Monotonic,
        member: MemberId,
        options: Options,
        protocol: Box<dyn Protocol>,
        machine: Machine,
        snapshot: SnapshotMetadata,
        snapshot_bytes: u64,
    ) -> Self {
        let mut clock = ActiveClock::default();
        clock.advance(now);
        let members = machine.members().iter().cloned().collect();
        Self {
            member,
            protocol,
            proposals: Proposals::default(),
            reads: Reads::default(),
            watches: Watches::new(machine.history().last(), options.events_in_flight_bytes_max),
            leading: None,
            snapshots: Snapshots::new(snapshot, snapshot_bytes),
            requests: Requests::default(),
            effects: vec![Effect::Members(members)],
            now,
            stamped: (machine.applied().time, clock.now()),
            clock,
            standing: Standing::default(),
            disk: DiskWork::none(now),
            next_progress: now + options.progress_interval,
            received: None,
            failed: false,
            machine,
            options,
        }
    }

    /// Takes one input. What comes of it is handed out by the next [`Replica::flush`].
    pub fn handle(&mut self, now: Monotonic, input: Input) {
        self.advance_time(now);
        if self.failed {
            return self.refuse(input);
        }
        match input {
            Input::Tick => {}
            Input::Message(message) => self.step(message),
            Input::PeerLost(member) => self.protocol.suspect(self.now, member),
            Input::Persisted(token) => {
                self.disk.done(token, self.now);
                self.protocol.persisted(self.now, token);
            }
            Input::Request(client, request) => self.request(client, request),
            Input::Disconnected(client) => {
                self.reads.forget(client);
                self.watches.remove_client(client);
            }
            Input::EventsSent(client, bytes) => self.watches.sent(client, bytes),
            Input::Admin(request, admin) => self.admin(request, admin),
            Input::SnapshotSaved(metadata, outcome) => self.snapshot_saved(metadata, outcome),
            Input::SnapshotSent(member, success) => self.protocol.snapshot_sent(member, success),
            Input::SnapshotReceived { message, store, history, bytes } => {
                self.received = Some(Received { store, history, bytes });
                self.step(message);
            }
            Input::DiskFailed(error) => self.fail(error),
        }
    }

    /// What a replica that has stopped answers: nothing was done, ask another one.
    fn refuse(&mut self, input: Input) {
        let error = Error::new(ErrorCode::Unavailable, "this replica has stopped for good: ask another one");
        match input {
            Input::Request(client, request) => self.reply_error(client, request.tag, &error),
            Input::Admin(request, _) => self.effects.push(Effect::AdminReply(request, Err(error))),
            _ => {}
        }
    }

    /// Does everything that the inputs so far have made possible, and hands out the effects.
    pub fn flush(&mut self, now: Monotonic) -> Vec<Effect> {
        self.advance_time(now);
        if !self.failed
            && let Err(fault) = self.run()
        {
            self.fail(Error::new(ErrorCode::Corrupt, fault.to_string()));
        }
        std::mem::take(&mut self.effects)
    }

    /// When [`Replica::flush`] must be called again, if nothing happens before.
    pub fn deadline(&self) -> Monotonic {
        if self.failed {
            return self.now + NO_DEADLINE;
        }
        let own = [self.leader_deadline(), self.requests_deadline()].into_iter().flatten();
        own.chain([self.next_progress]).fold(self.protocol.deadline(), Monotonic::min)
    }

    /// How things stand. Not cheap.
    pub fn status(&self) -> Status {
        let applied = self.machine.applied();
        Status {
            member: self.member,
            protocol: self.protocol.status(),
            applied: applied.log_index,
            index: applied.index,
            snapshot: self.snapshots.newest().index,
            snapshot_problem: self.snapshots.problem().cloned(),
            state_hash: self.machine.state_hash(),
            members: self.machine.members().iter().cloned().collect(),
            sessions: self.machine.sessions_open(),
            keys: self.machine.store().len(),
            watches: self.watches.len() as u64,
        }
    }

    /// Who leads. Cheap.
    pub fn standing(&self) -> Standing {
        self.protocol.standing()
    }

    /// How far the log is known to be committed here. Cheap.
    pub fn commit(&self) -> LogIndex {
        self.protocol.commit()
    }

    /// Until when this replica serves linearizable reads without asking the others, by its own clock; none if it
    /// has to ask. Cheap.
    pub fn lease_until(&self) -> Option<Monotonic> {
        self.protocol.lease_until()
    }

    /// The state machine, for looking at.
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Whether what is queued may become an entry now.
    ///
    /// An entry is applied here only once the disk here has it. So what comes while entries wait for the disk would be
    /// answered no sooner by an entry of its own: it waits, and shares one entry, one write and one message to each member.
    pub(crate) fn may_propose(&self) -> bool {
        !self.disk.is_under_way() || !self.proposals.has_proposed()
    }

    fn advance_time(&mut self, now: Monotonic) {
        self.now = self.now.max(now);
        self.clock.advance(self.now);
    }

    fn step(&mut self, message: Message) {
        if let Err(Refused::Broken(why)) = self.protocol.step(self.now, message) {
            self.fail(Error::new(ErrorCode::Corrupt, why));
        }
    }

    fn run(&mut self) -> Result<(), Fault> {
        if self.protocol.deadline() <= self.now {
            self.protocol.tick(self.now);
        }
        self.leave_to_the_faster();
        loop {
            self.note_standing();
            self.lead()?;
            self.confirm_reads();
            let output = self.protocol.output(self.now);
            if output.is_empty() {
                break;
            }
            self.carry_out(output)?;
        }
        // An offer that the protocol did not take is dropped.
        self.received = None;
        self.serve_reads()?;
        self.deliver_events();
        self.take_snapshot_if_due();
        self.shorten_log();
        self.settle_requests();
        Ok(())
    }

    /// Notices changes of role, term and leader. Whoever waits for a leader that is none any more is told so.
    fn note_standing(&mut self) {
        let standing = self.protocol.standing();
        let led = self.standing.role == Role::Leader;
        let lost = led && (standing.role != Role::Leader || standing.term != self.standing.term);
        // Leadership that was won and lost within one turn was never noticed, but may have let writes in.
        let has_strays = standing.role != Role::Leader && self.proposals.in_flight() > 0;
        if lost || has_strays {
            self.leading = None;
            self.give_up();
        }
        if standing == self.standing {
            return;
        }
        self.standing = standing;
        let Standing { role, term, leader } = standing;
        self.effects.push(Effect::Role { role, term, leader });
    }

    fn give_up(&mut self) {
        let (queued, proposed) = self.proposals.give_up();
        let not_leader = self.not_leader();
        for waiter in queued {
            self.reply_to_waiter(waiter, &not_leader);
        }
        let message = "leadership was lost before the outcome was known: the write may have happened";
        let unknown = Error::ambiguous(ErrorCode::Unavailable, message);
        for waiter in proposed {
            self.reply_to_waiter(waiter, &unknown);
        }
        for waiting in self.reads.give_up() {
            self.reply_error(waiting.client, waiting.tag, &not_leader);
        }
    }

    fn confirm_reads(&mut self) {
        if let Some(context) = self.reads.ask()
            && self.protocol.read(self.now, context).is_err()
        {
            let not_leader = self.not_leader();
            for waiting in self.reads.give_up() {
                self.reply_error(waiting.client, waiting.tag, &not_leader);
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Result<(), Fault> {
        let Output { send, send_snapshot, snapshot_wanted, persist, restored, committed, reads } = output;
        self.effects.extend(send.into_iter().map(|(to, message)| Effect::Send(to, message)));
        self.effects.extend(send_snapshot.into_iter().map(|(to, message)| Effect::SendSnapshot(to, message)));
        if snapshot_wanted {
            self.snapshots.want();
        }
        if let Some(persist) = persist {
            self.disk.begin(persist.token, self.now);
            self.effects.push(Effect::Persist(persist));
        }
        if let Some(metadata) = restored {
            self.restore(metadata)?;
        }
        for entry in committed {
            self.apply(&entry)?;
        }
        for ready in reads {
            self.reads.confirm(ready);
        }
        Ok(())
    }

    fn deliver_events(&mut self) {
        let (mut deliveries, lost) = self.watches.advance(self.machine.history());
        if self.now >= self.next_progress {
            self.next_progress = self.now + self.options.progress_interval;
            deliveries.extend(self.watches.progress());
        }
        for Delivery { watch: (client, tag), events, position } in deliveries {
            self.effects.push(Effect::Deliver { client, tag, events, position });
        }
        for (client, tag) in lost {
            self.reply_error(client, tag, &compacted());
        }
    }

    fn fail(&mut self, error: Error) {
        if self.failed {
            return;
        }
        self.failed = true;
        self.leading = None;
        self.give_up();
        self.effects.push(Effect::Failed(error));
    }
}

/// Answers.
impl Replica {
    pub(crate) fn reply(&mut self, client: ClientId, tag: Tag, body: reply::Body) {
        let index = self.machine.applied().index;
        self.effects.push(Effect::Reply { client, tag, index, body });
    }

    pub(crate) fn reply_error(&mut self, client: ClientId, tag: Tag, error: &Error) {
        let mut wire = WireError::from(error.clone());
        if error.is_retryable() {
            wire.leader = self.leader_hint();
        }
        self.reply(client, tag, reply::Body::Error(wire));
    }

    pub(crate) fn reply_to_waiter(&mut self, waiter: Waiter, error: &Error) {
        if let Waiter::Client(client, tag) | Waiter::Opener(client, tag) = waiter {
            self.reply_error(client, tag, error);
        }
    }

    pub(crate) fn not_leader(&self) -> Error {
        match self.protocol.standing().leader.filter(|leader| *leader != self.member) {
            Some(leader) => Error::new(ErrorCode::NotLeader, format!("member {leader} leads this partition")),
            None => Error::new(ErrorCode::NotLeader, "no leader is known: an election may be under way"),
        }
    }

    fn leader_hint(&self) -> Option<LeaderHint> {
        // What it knew when it stopped, it would say for ever: that it leads itself, at the worst.
        if self.failed {
            return None;
        }
        let Standing { term, leader, .. } = self.protocol.standing();
        let leader = self.machine.members().get(leader?)?;
        let client_address = leader.client_address.clone();
        Some(LeaderHint { member_id: leader.id, term: Term::get(term), client_address })
    }
}

pub(crate) fn compacted() -> Error {
    let message = "the history does not reach back that far: read the state again and watch from there";
    Error::new(ErrorCode::Compacted, message)
}
