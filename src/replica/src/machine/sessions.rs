//! Sessions and exactly-once (C2), as replicated state.
//!
//! Of each session the results of requests that it has not acknowledged are kept, and a floor: the greatest sequence
//! that it has. A request is
//! - executed, and its result kept, if its sequence is above the floor and has no result yet;
//! - answered from the kept result, and never executed again, if there is one;
//! - refused if it is at or below the floor: it is a late duplicate of a request whose answer was acknowledged.
//!
//! When a session ends is not decided here: the leader proposes it.

use bytes::Bytes;
use synod_proto::log::v1::result_record::Outcome as StoredOutcome;
use synod_proto::log::v1::{OpenSession, ResultRecord, SessionRecord};
use synod_storage::state::{Blob, Fault, KeyRange, StateRead, StateStore, Table};
use synod_types::{Error, ErrorCode, Index, Limits, Sequence, SessionId};
use xxhash_rust::xxh3::xxh3_64;

use super::Outcome;
use super::meta::{decode, encode};

const TIMEOUT_MS_MIN: u64 = 1_000;
const TIMEOUT_MS_MAX: u64 = 86_400_000;
const CLIENT_BYTES_MAX: usize = 255;

/// What is to be done with a request.
pub(super) enum Admission {
    /// Execute it, and keep the result in the slot.
    Execute(Slot),
    /// It was executed before, and this came of it.
    Replay(Outcome),
    /// It must not be executed.
    Refuse(Error),
}

/// Where the result of an admitted request is kept.
pub(super) struct Slot {
    key: [u8; 16],
    command_hash: u64,
}

impl Slot {
    pub(super) fn keep(self, store: &mut dyn StateStore, outcome: &Outcome) -> Result<(), Fault> {
        let stored = match &outcome.result {
            Ok(result) => StoredOutcome::Result(result.clone()),
            Err(error) => StoredOutcome::Error(error.clone().into()),
        };
        let record = ResultRecord {
            command_hash: self.command_hash,
            index: outcome.index.get(),
            outcome: Some(stored),
        };
        store.put(Table::Results, &self.key, &encode(&record)).map(|_| ())
    }
}

/// The error for a session that is not there.
pub(super) fn gone() -> Error {
    Error::new(ErrorCode::SessionNotFound, "the session is closed or expired")
}

/// Opens a session, if that is allowed.
pub(super) fn open(
    store: &mut dyn StateStore,
    session: SessionId,
    request: &OpenSession,
    sessions_open: u64,
    limits: &Limits,
) -> Result<Result<(), Error>, Fault> {
    if !(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(&request.timeout_ms) {
        let message = format!(
            "a session timeout of {} ms is not allowed: use {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}",
            request.timeout_ms
        );
        return Ok(Err(Error::new(ErrorCode::Invalid, message)));
    }
    if request.client.len() > CLIENT_BYTES_MAX {
        let message = format!("the client's name is too long: use at most {CLIENT_BYTES_MAX} bytes");
        return Ok(Err(Error::new(ErrorCode::Invalid, message)));
    }
    if sessions_open >= limits.sessions {
        let message = format!("{sessions_open} sessions are open, which is the limit of the partition");
        return Ok(Err(Error::new(ErrorCode::ResourceExhausted, message)));
    }
    let record = SessionRecord { timeout_ms: request.timeout_ms, client: request.client.clone(), floor: 0 };
    store.put(Table::Sessions, &session_key(session), &encode(&record))?;
    Ok(Ok(()))
}

/// Forgets a session and its results; tells whether there was one.
pub(super) fn close(store: &mut dyn StateStore, session: SessionId) -> Result<bool, Fault> {
    if store.delete(Table::Sessions, &session_key(session))?.is_none() {
        return Ok(false);
    }
    forget(store, KeyRange::prefix(session.get().to_be_bytes()))?;
    Ok(true)
}

/// Decides about a request, after forgetting the results that it acknowledges.
pub(super) fn admit(
    store: &mut dyn StateStore,
    session: SessionId,
    sequence: Sequence,
    acknowledged: Sequence,
    command: &Bytes,
    limits: &Limits,
) -> Result<Admission, Fault> {
    let Some(mut record) = load(store, session)? else {
        return Ok(Admission::Refuse(gone()));
    };
    if acknowledged.get() > record.floor {
        let from = result_key(session, Sequence(record.floor + 1));
        let until = result_key(session, Sequence(acknowledged.get().saturating_add(1)));
        forget(store, KeyRange::between(from, until))?;
        record.floor = acknowledged.get();
        store.put(Table::Sessions, &session_key(session), &encode(&record))?;
    }
    if sequence.get() <= record.floor {
        let message = format!(
            "request {sequence} is a late duplicate: the session has acknowledged up to {}",
            record.floor
        );
        return Ok(Admission::Refuse(Error::new(ErrorCode::StaleSequence, message)));
    }
    let (key, command_hash) = (result_key(session, sequence), xxh3_64(command));
    if let Some(kept) = store.get(Table::Results, &key)? {
        return replay(&decode(&kept, "result")?, sequence, command_hash);
    }
    if sequence.get() - record.floor > limits.session_results {
        let message = format!(
            "request {sequence} is more than {} ahead of what the session has acknowledged, which is {}",
            limits.session_results, record.floor
        );
        return Ok(Admission::Refuse(Error::new(ErrorCode::ResourceExhausted, message)));
    }
    Ok(Admission::Execute(Slot { key, command_hash }))
}

fn replay(kept: &ResultRecord, sequence: Sequence, command_hash: u64) -> Result<Admission, Fault> {
    if kept.command_hash != command_hash {
        let message = format!("sequence {sequence} was used for another command before");
        return Ok(Admission::Refuse(Error::new(ErrorCode::Invalid, message)));
    }
    let result = match &kept.outcome {
        Some(StoredOutcome::Result(result)) => Ok(result.clone()),
        Some(StoredOutcome::Error(error)) => Err(error.clone().into()),
        None => return Err(Fault("cannot read a stored result: unknown format or damaged".to_owned())),
    };
    Ok(Admission::Replay(Outcome { index: Index(kept.index), result }))
}

fn forget(store: &mut dyn StateStore, range: KeyRange) -> Result<(), Fault> {
    let keys: Vec<_> =
        store.scan(Table::Results, range).map(|pair| pair.map(|(key, _)| key)).collect::<Result<_, _>>()?;
    for key in keys {
        store.delete(Table::Results, &key)?;
    }
    Ok(())
}

/// The record of an open session.
pub(super) fn load(store: &dyn StateRead, session: SessionId) -> Result<Option<SessionRecord>, Fault> {
    let stored = store.get(Table::Sessions, &session_key(session))?;
    stored.map(|stored| decode(&stored, "session")).transpose()
}

/// How many sessions are open. Reads them all.
pub(super) fn count(store: &dyn StateRead) -> Result<u64, Fault> {
    store.scan(Table::Sessions, KeyRange::all()).try_fold(0, |count, pair| pair.map(|_| count + 1))
}

/// Every open session with its timeout. Reads them all.
pub(super) fn timeouts(store: &dyn StateRead) -> Result<Vec<(SessionId, u64)>, Fault> {
    let read = |pair: Result<(Blob, Blob), Fault>| {
        let (key, stored) = pair?;
        let id: [u8; 8] =
            (*key).try_into().map_err(|_| Fault("a stored session has a damaged key".to_owned()))?;
        let record: SessionRecord = decode(&stored, "session")?;
        Ok((SessionId(u64::from_be_bytes(id)), record.timeout_ms))
    };
    store.scan(Table::Sessions, KeyRange::all()).map(read).collect()
}

fn session_key(session: SessionId) -> [u8; 8] {
    session.get().to_be_bytes()
}

fn result_key(session: SessionId, sequence: Sequence) -> [u8; 16] {
    (u128::from(session.get()) << 64 | u128::from(sequence.get())).to_be_bytes()
}
