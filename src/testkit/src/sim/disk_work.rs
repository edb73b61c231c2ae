//! What happens on the disk of a node beside its replica's thread: the writer of the log, and snapshots.

use std::time::Duration;

use bytes::Bytes;
use synod_node::{HomeError, Write};
use synod_protocol::{Message, SnapshotMetadata};
use synod_replica::{Input, SnapshotJob};
use synod_storage::disk::Operation;
use synod_storage::snapshot::{SnapshotFile, SnapshotId};
use synod_types::{Error, ErrorCode, MemberId};

use super::invariants::{Check, failed_sync};
use super::network::End;
use super::node::{Mail, Stage};
use super::world::{Event, GROUP, World};

/// When nothing came for this long, the log is sealed, and a spare segment is prepared.
const IDLE: Duration = Duration::from_millis(20);

/// How much of a spare segment is filled in one step.
const SPARE_STEP_BYTES: u64 = 128 << 10;

const CHUNK_BYTES: u32 = 4 << 10;

impl World {
    pub(super) fn push_write(&mut self, node: usize, write: Write) {
        let there = &mut self.nodes[node];
        let life = there.life;
        let Some(process) = there.process_mut() else { return };
        if process.log.is_none() {
            return;
        }
        process.is_sealed = false;
        process.writes.push(write);
        if !process.is_writing {
            process.is_writing = true;
            let wait = Duration::from_micros(self.dice.between(5, 50));
            self.schedule.at(self.now + wait, Event::Write { node, life });
        }
    }

    /// Whether work of a process must wait until it wakes up; plans it for then.
    fn sleeps(&mut self, node: usize, event: Event) -> Option<Event> {
        match self.nodes[node].paused_until.filter(|until| *until > self.now) {
            Some(until) => {
                self.schedule.at(until, event);
                None
            }
            None => Some(event),
        }
    }

    pub(super) fn write(&mut self, node: usize, life: u64) -> Check {
        if self.sleeps(node, Event::Write { node, life }).is_none() {
            return Ok(());
        }
        let (from, to) = self.nodes[node].pace.sync_us;
        let Some((process, dice)) = self.living(node, life) else { return Ok(()) };
        let Some(log) = &mut process.log else { return Ok(()) };
        let writes = std::mem::take(&mut process.writes);
        let written = writes.into_iter().try_for_each(|write| log.append(write));
        let took = Duration::from_micros(dice.between(from, to));
        match written {
            Ok(()) => self.schedule.at(self.now + took, Event::Sync { node, life }),
            Err(error) => self.disk_failed(node, &error.to_string()),
        }
        self.cut_power_if_off(node);
        Ok(())
    }

    pub(super) fn sync(&mut self, node: usize, life: u64) -> Check {
        if self.sleeps(node, Event::Sync { node, life }).is_none() {
            return Ok(());
        }
        let disk = self.nodes[node].disk.clone();
        let Some((process, _)) = self.living(node, life) else { return Ok(()) };
        let Some(log) = &mut process.log else { return Ok(()) };
        process.syncs += 1;
        let (syncs, waiting) = (process.syncs, !process.writes.is_empty());
        process.is_writing = waiting;
        let failures = disk.failures(Operation::SyncData);
        let synced = log.sync();
        let failures = (failures, disk.failures(Operation::SyncData));
        failed_sync::check(process.member, failures, synced.is_ok())?;
        let (token, failed) = match synced {
            Ok(token) => (token, log.tidy(SPARE_STEP_BYTES).err()),
            Err(error) => (None, Some(error)),
        };
        if self.cut_power_if_off(node) {
            return Ok(());
        }
        if let Some(token) = token {
            self.arrive(node, Some(life), Mail::Input(Input::Persisted(token)));
        }
        if let Some(error) = failed {
            self.disk_failed(node, &error.to_string());
        } else if waiting {
            self.schedule.at(self.now, Event::Write { node, life });
        } else {
            self.schedule.at(self.now + IDLE, Event::Idle { node, life, syncs });
        }
        Ok(())
    }

    pub(super) fn idle(&mut self, node: usize, life: u64, syncs: u64) -> Check {
        if self.sleeps(node, Event::Idle { node, life, syncs }).is_none() {
            return Ok(());
        }
        let Some((process, _)) = self.living(node, life) else { return Ok(()) };
        let Some(log) = &mut process.log else { return Ok(()) };
        if process.syncs != syncs || process.is_writing {
            return Ok(());
        }
        match log.seal().and_then(|()| log.tidy(SPARE_STEP_BYTES)) {
            Ok(_) => process.is_sealed = true,
            Err(error) => self.disk_failed(node, &error.to_string()),
        }
        self.cut_power_if_off(node);
        Ok(())
    }

    /// The writer ends, and says why.
    fn disk_failed(&mut self, node: usize, why: &str) {
        let there = &mut self.nodes[node];
        there.was_refused = true;
        let life = there.life;
        if let Some(process) = there.process_mut() {
            process.log = None;
        }
        self.note(node, format_args!("cannot write its log: {why}"));
        let error = Error::new(ErrorCode::Corrupt, format!("the disk failed: {why}"));
        self.arrive(node, Some(life), Mail::Input(Input::DiskFailed(error)));
    }

    pub(super) fn begin_save(&mut self, node: usize, job: SnapshotJob) {
        let (life, took) = (self.nodes[node].life, self.dice.ms(2, 80));
        if let Some(process) = self.nodes[node].process_mut() {
            process.saving = Some(job);
        }
        self.schedule.at(self.now + took, Event::Save { node, life });
    }

    pub(super) fn save(&mut self, node: usize, life: u64) -> Check {
        if self.sleeps(node, Event::Save { node, life }).is_none() {
            return Ok(());
        }
        let home = self.nodes[node].home.clone();
        let Some((process, _)) = self.living(node, life) else { return Ok(()) };
        let Some(job) = process.saving.take() else { return Ok(()) };
        let metadata = job.metadata.clone();
        let saved = home.save_snapshot(job, || {});
        if self.cut_power_if_off(node) {
            return Ok(());
        }
        self.note(node, format_args!("saves a snapshot at {}: {saved:?}", metadata.index));
        let saved = saved.map_err(|error| Error::new(ErrorCode::ResourceExhausted, error.to_string()));
        self.arrive(node, Some(life), Mail::Input(Input::SnapshotSaved(metadata, saved)));
        Ok(())
    }

    pub(super) fn send_snapshot(&mut self, node: usize, to: MemberId, message: Message) {
        let life = self.nodes[node].life;
        self.note(node, format_args!("sends a snapshot to member {to}"));
        let sent = self.read_snapshot(node, to, &message);
        let arrivals = sent.as_ref().map(|(there, _)| self.network.send(End::Node(node), End::Node(*there)));
        match (sent, arrivals) {
            (Some((there, file)), Some([Some(delay), _])) => {
                let at = self.now + delay + self.dice.ms(1, 100);
                let offer = Event::Offer { from: node, from_life: life, to: there, message, file };
                self.schedule.at(at, offer);
            }
            _ => self.report_offer(node, life, to, false),
        }
    }

    /// Tells a leader how the sending of a snapshot ended.
    fn report_offer(&mut self, node: usize, life: u64, to: MemberId, success: bool) {
        let wait = if success { self.network.delay() } else { self.dice.ms(1, 1_000) };
        let mail = Mail::Input(Input::SnapshotSent(to, success));
        self.schedule.at(self.now + wait, Event::Arrival { node, life: Some(life), mail });
    }

    /// The bytes of the snapshot that a message offers, and where to send them.
    fn read_snapshot(&self, node: usize, to: MemberId, message: &Message) -> Option<(usize, Bytes)> {
        let there = *self.nodes[node].process()?.addresses.get(&to)?;
        let Message::Raft(raft) = message;
        let reader = self.nodes[node].home.snapshots().ok()?.reader(id(raft.snapshot.as_ref()?)).ok()?;
        let mut file = Vec::new();
        loop {
            let chunk = reader.read_chunk(file.len() as u64, CHUNK_BYTES).ok()?;
            if chunk.is_empty() {
                return (file.len() as u64 == reader.file().bytes).then(|| (there, file.into()));
            }
            file.extend_from_slice(&chunk);
        }
    }

    /// A snapshot arrives: it is received, checked and handed to whoever it is for.
    pub(super) fn offer(
        &mut self,
        from: usize,
        from_life: u64,
        to: usize,
        message: Message,
        file: &Bytes,
    ) -> Check {
        let Message::Raft(raft) = &message;
        let (member, offered) = (raft.to, raft.snapshot.clone().unwrap_or_default());
        let is_cut = self.network.is_cut(End::Node(from), End::Node(to));
        let is_welcome = !is_cut && self.is_welcome(to, &message);
        let received = if is_welcome { self.receive(to, &offered, file) } else { None };
        if self.cut_power_if_off(to) {
            self.report_offer(from, from_life, member, false);
            return Ok(());
        }
        let taken = match received {
            Some(file) => self.take_over(to, message, &offered, &file)?,
            None => false,
        };
        self.note(to, format_args!("is offered a snapshot at {}; takes it: {taken}", offered.index));
        self.report_offer(from, from_life, member, taken);
        Ok(())
    }

    /// A replica takes a snapshot from its leader; one that waits, from anybody.
    fn is_welcome(&self, node: usize, message: &Message) -> bool {
        let Message::Raft(raft) = message;
        match &self.nodes[node].stage {
            Stage::Running(process) => {
                process.member == raft.to
                    && process.failed.is_none()
                    && process.replica.standing().leader == Some(raft.from)
            }
            Stage::Waiting(identity) => identity.member == raft.to,
            _ => false,
        }
    }

    fn receive(&mut self, node: usize, offered: &SnapshotMetadata, bytes: &Bytes) -> Option<SnapshotFile> {
        let store = self.nodes[node].home.snapshots().ok()?;
        let mut receiver = store.receiver(id(offered), bytes.len() as u64).ok()?;
        for chunk in bytes.chunks(CHUNK_BYTES as usize) {
            receiver.append(receiver.received_bytes(), chunk).ok()?;
        }
        receiver.finish().ok()
    }

    fn take_over(
        &mut self,
        node: usize,
        message: Message,
        offered: &SnapshotMetadata,
        file: &SnapshotFile,
    ) -> Result<bool, super::invariants::Violation> {
        let home = self.nodes[node].home.clone();
        let (store, history) = match home.load(file, offered, (GROUP, 0)) {
            Ok(loaded) => loaded,
            Err(HomeError::Contradiction(error)) => {
                return Err(super::invariants::Violation::new("snapshots", error.to_string()));
            }
            Err(_) => return Ok(false),
        };
        let life = self.nodes[node].life;
        match &self.nodes[node].stage {
            Stage::Running(_) => {
                let store = Box::new(store);
                let input = Input::SnapshotReceived { message, store, history, bytes: file.bytes };
                self.arrive(node, Some(life), Mail::Input(input));
                Ok(true)
            }
            Stage::Waiting(identity) => {
                let identity = identity.clone();
                if home.join(&identity, offered, &mut self.dice).is_err() {
                    self.nodes[node].was_refused = true;
                    self.cut_power_if_off(node);
                    return Ok(false);
                }
                if self.cut_power_if_off(node) {
                    return Ok(false);
                }
                self.open(node, &identity)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

fn id(metadata: &SnapshotMetadata) -> SnapshotId {
    SnapshotId { index: metadata.index, term: metadata.term }
}
