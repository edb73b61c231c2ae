//! The log of a replica: what the protocol wants durable, as records, and back.
//!
//! Synchronous, and without a thread of its own: the server runs it on the [writer's](crate::writer), the simulator on
//! its only one.

use synod_protocol::{Entry, EntryKind, Persist, Token};
use synod_storage::wal::{self, Batch, Preparation, SnapshotMark, Wal, WalError};
use synod_types::{LogIndex, MemberId, Term};

/// What is asked of a log.
#[derive(Debug)]
pub enum Write {
    /// Make durable and report.
    Persist(Persist),
    /// A durable snapshot includes everything up to this entry.
    Truncate(LogIndex, Term),
}

/// The write-ahead log of a replica, open for writing. After an error it takes nothing any more.
pub struct LogWriter {
    wal: Wal,
    /// The last write to be reported that was appended since the last sync.
    token: Option<Token>,
    /// The log up to here can go once the mark that says so is durable.
    truncate: Option<LogIndex>,
    /// Something may have been written since the log was sealed; also by opening it.
    unsealed: bool,
    /// There was no room for a next segment the last time.
    is_short: bool,
}

impl LogWriter {
    /// Writes on in a log.
    pub const fn new(wal: Wal) -> Self {
        Self { wal, token: None, truncate: None, unsealed: true, is_short: false }
    }

    /// Appends a write. It is durable after the next [`LogWriter::sync`].
    ///
    /// # Errors
    /// As [`Wal::append`].
    pub fn append(&mut self, write: Write) -> Result<(), WalError> {
        match write {
            Write::Persist(persist) => {
                self.token = Some(persist.token);
                append(&mut self.wal, persist)
            }
            Write::Truncate(index, term) => {
                let mark = SnapshotMark { index, term };
                self.wal.append(&Batch { snapshot_mark: Some(mark), ..Batch::default() })?;
                self.truncate = Some(index);
                Ok(())
            }
        }
    }

    /// Makes everything durable that was appended, with one sync, and returns what to report: the last token of it.
    ///
    /// # Errors
    /// As [`Wal::sync`].
    pub fn sync(&mut self) -> Result<Option<Token>, WalError> {
        self.wal.sync()?;
        self.unsealed = true;
        Ok(self.token.take())
    }

    /// Does a piece of what can wait until writes are reported: lets go of what snapshots cover, and fills at most this
    /// much of the next segment. Tells whether there is more to fill. That there is no room for a next segment yet is no
    /// failure: the one in use goes on, and it is tried again.
    ///
    /// # Errors
    /// As [`Wal::truncate_up_to`] and [`Wal::prepare_spare`].
    pub fn tidy(&mut self, spare_bytes: u64) -> Result<bool, WalError> {
        if let Some(index) = self.truncate.take() {
            self.wal.truncate_up_to(index)?;
        }
        match self.wal.prepare_spare(spare_bytes) {
            Ok(preparation) => {
                self.is_short = false;
                Ok(preparation == Preparation::Underway)
            }
            Err(error) if self.wal.poison().is_none() => {
                // It is tried again after every write; to say it once is enough.
                if !std::mem::replace(&mut self.is_short, true) {
                    tracing::warn!(%error, "cannot prepare the next segment of the write-ahead log");
                }
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The size of the log on disk.
    pub fn size_bytes(&self) -> u64 {
        self.wal.size_bytes()
    }

    /// Seals the log if anything was written since the last time. To be called when there is nothing to write.
    ///
    /// # Errors
    /// As [`Wal::seal`].
    pub fn seal(&mut self) -> Result<(), WalError> {
        if std::mem::take(&mut self.unsealed) {
            self.wal.seal()?;
        }
        Ok(())
    }
}

fn append(wal: &mut Wal, persist: Persist) -> Result<(), WalError> {
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
