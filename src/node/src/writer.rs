//! The thread that owns a write-ahead log: it takes all writes that wait, and makes them durable with one sync.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use synod_replica::Input;
use synod_storage::wal::{Wal, WalError};

use crate::driver::Mail;
use crate::home::HomeError;
use crate::inbox::Inbox;
use crate::log::{LogWriter, Write};
use crate::mailbox::Mailbox;
use crate::metrics::ReplicaMetrics;

/// When nothing came for this long, the log is sealed, and a spare segment is prepared.
const IDLE: Duration = Duration::from_millis(20);

/// How much of a spare segment is filled in one step: beside the writes, and while there are none.
const SPARE_STEP_BUSY_BYTES: u64 = 128 << 10;
const SPARE_STEP_IDLE_BYTES: u64 = 1 << 20;

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
        driver: Arc<Inbox<Mail>>,
        metrics: Arc<ReplicaMetrics>,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Mailbox::default());
        let work = Work { log: LogWriter::new(wal), queue: queue.clone(), driver, metrics };
        let thread = thread::Builder::new().name(format!("wal {name}")).spawn(move || work.run())?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Queues a write; drops it once closed.
    pub(crate) fn push(&self, write: Write) {
        self.queue.push(write);
    }

    /// Takes no writes any more. The thread finishes what is queued, and ends.
    pub(crate) fn close(&self) {
        self.queue.close();
    }
}

impl Drop for Writer {
    /// Waits until the thread has finished what is queued.
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    log: LogWriter,
    queue: Arc<Mailbox<Write>>,
    driver: Arc<Inbox<Mail>>,
    metrics: Arc<ReplicaMetrics>,
}

impl Work {
    fn run(mut self) {
        if let Err(error) = self.write_until_closed() {
            tracing::error!(%error, "the write-ahead log failed: the replica stops");
            self.driver.push(Mail::Input(Input::DiskFailed(HomeError::from(error).into())));
        }
    }

    fn write_until_closed(&mut self) -> Result<(), WalError> {
        let mut writes = Vec::new();
        let mut idle_work = true;
        loop {
            self.queue.take(&mut writes, idle_work.then_some(IDLE));
            if !writes.is_empty() {
                self.write(&mut writes)?;
                self.log.tidy(SPARE_STEP_BUSY_BYTES)?;
                idle_work = true;
            } else if self.queue.is_closed() {
                return self.log.seal();
            } else {
                self.log.seal()?;
                idle_work = self.log.tidy(SPARE_STEP_IDLE_BYTES)?;
            }
        }
    }

    /// Makes everything durable that is queued, and reports it.
    fn write(&mut self, writes: &mut Vec<Write>) -> Result<(), WalError> {
        for write in writes.drain(..) {
            self.log.append(write)?;
        }
        let begin = Instant::now();
        let durable = self.log.sync()?;
        self.metrics.synced(begin.elapsed());
        self.metrics.log_bytes(self.log.size_bytes());
        if let Some(token) = durable {
            self.driver.push(Mail::Input(Input::Persisted(token)));
        }
        Ok(())
    }
}
