//! The thread that owns a write-ahead log: it takes all writes that wait, and makes them durable with one sync.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use synod_protocol::{Entry, EntryKind, Persist};
use synod_replica::Input;
use synod_storage::wal::{self, Batch, Preparation, SnapshotMark, Wal, WalError};
use synod_types::{LogIndex, MemberId, Term};

use crate::driver::Mail;
use crate::mailbox::Mailbox;
use crate::metrics::ReplicaMetrics;

/// When nothing came for this long, the log is sealed, and a spare segment is prepared.
const IDLE: Duration = Duration::from_millis(20);

/// How much of a spare segment is filled in one step: beside the writes, and while there are none.
const SPARE_STEP_BUSY_BYTES: u64 = 128 << 10;
const SPARE_STEP_IDLE_BYTES: u64 = 1 << 20;

/// What the writer is asked.
#[derive(Debug)]
pub(crate) enum Write {
    /// Make durable and report.
    Persist(Persist),
    /// A durable snapshot includes everything up to this entry.
    Truncate(LogIndex, Term),
}

/// The thread and its queue.
pub(crate) struct Writer {
    queue: Arc<Mailbox<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. Completions go to `driver`.
    pub(crate) fn start(
        name: &str,
        wal: Wal,
        driver: Arc<Mailbox<Mail>>,
        metrics: Arc<ReplicaMetrics>,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Mailbox::default());
        let work = Work { wal, queue: queue.clone(), driver, metrics, unsealed: false };
        let thread = thread::Builder::new().name(format!("wal {name}")).spawn(move || work.run())?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Queues a write.
    pub(crate) fn push(&self, write: Write) {
        self.queue.push(write);
    }
}

impl Drop for Writer {
    /// Lets the thread finish what is queued.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    wal: Wal,
    queue: Arc<Mailbox<Write>>,
    driver: Arc<Mailbox<Mail>>,
    metrics: Arc<ReplicaMetrics>,
    /// Something was written since the log was sealed.
    unsealed: bool,
}

impl Work {
    fn run(mut self) {
        if let Err(error) = self.write_until_closed() {
            tracing::error!(%error, "the write-ahead log failed: the replica stops for good");
            self.driver.push(Mail::Input(Input::DiskFailed(error.to_string())));
        }
    }

    fn write_until_closed(&mut self) -> Result<(), WalError> {
        let mut writes = Vec::new();
        let mut idle_work = true;
        loop {
            self.queue.take(&mut writes, idle_work.then_some(IDLE));
            if !writes.is_empty() {
                self.write(&mut writes)?;
                self.prepare_spare(SPARE_STEP_BUSY_BYTES)?;
                idle_work = true;
            } else if self.queue.is_closed() {
                return self.wal.seal().map(|_| ());
            } else {
                idle_work = self.work_while_idle()?;
            }
        }
    }

    /// Makes everything durable that is queued.
    fn write(&mut self, writes: &mut Vec<Write>) -> Result<(), WalError> {
        let (mut token, mut truncate) = (None, None);
        for write in writes.drain(..) {
            match write {
                Write::Persist(persist) => {
                    token = Some(persist.token);
                    append(&mut self.wal, persist)?;
                }
                Write::Truncate(index, term) => {
                    let mark = SnapshotMark { index, term };
                    self.wal.append(&Batch { snapshot_mark: Some(mark), ..Batch::default() })?;
                    truncate = Some(index);
                }
            }
        }
        let begin = Instant::now();
        self.wal.sync()?;
        self.metrics.synced(begin.elapsed());
        self.unsealed = true;
        if let Some(token) = token {
            self.driver.push(Mail::Input(Input::Persisted(token)));
        }
        match truncate {
            Some(index) => self.wal.truncate_up_to(index),
            None => Ok(()),
        }
    }

    /// Does a piece of what can wait; tells whether there is more.
    fn work_while_idle(&mut self) -> Result<bool, WalError> {
        if std::mem::take(&mut self.unsealed) {
            self.wal.seal()?;
        }
        self.prepare_spare(SPARE_STEP_IDLE_BYTES)
    }

    /// Fills a piece of the next segment; tells whether there is more to fill. That there is no room for one yet is
    /// no failure: the segment in use goes on, and it is tried again.
    fn prepare_spare(&mut self, bytes: u64) -> Result<bool, WalError> {
        match self.wal.prepare_spare(bytes) {
            Ok(preparation) => Ok(preparation == Preparation::Underway),
            Err(error) if self.wal.poison().is_none() => {
                tracing::warn!(%error, "cannot prepare the next segment of the write-ahead log");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Appends what a protocol wants durable.
pub(crate) fn append(wal: &mut Wal, persist: Persist) -> Result<(), WalError> {
    let mark = persist.snapshot.map(|snapshot| SnapshotMark { index: snapshot.index, term: snapshot.term });
    let entries: Vec<_> = persist.entries.into_iter().map(into_record).collect();
    let hard_state = persist.hard_state.map(|state| wal::HardState {
        term: state.term,
        vote: state.vote.unwrap_or(MemberId(0)),
        commit: state.commit,
    });
    wal.append(&Batch { snapshot_mark: mark, entries: &entries, hard_state }).map(|_| ())
}

fn into_record(entry: Entry) -> wal::Entry {
    let kind = match entry.kind {
        EntryKind::Normal => wal::EntryKind::Normal,
        EntryKind::Membership => wal::EntryKind::Membership,
    };
    wal::Entry { term: entry.term, index: entry.index, kind, payload: entry.data }
}

/// The protocol's form of an entry that the log held.
pub(crate) fn from_record(entry: wal::Entry) -> Entry {
    let kind = match entry.kind {
        wal::EntryKind::Normal => EntryKind::Normal,
        wal::EntryKind::Membership => EntryKind::Membership,
    };
    Entry { term: entry.term, index: entry.index, kind, data: entry.payload }
}
