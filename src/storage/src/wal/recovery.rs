//! Reading a log back: where it ends, and whether it ends there rightfully.
//!
//! # What may be at the end
//!
//! Records are numbered without gaps (lsn), and reading stops at the first place where the next number does not follow.
//! There are two reasons for that. A group that was being written when the machine stopped may be there in parts, in
//! any order, with holes: it was never acknowledged, and what is there of it behind the first hole is cut off. Or the
//! disk has damaged records that were durable: the replica may have acknowledged them, so it must not go on without.
//!
//! Every record tells them apart, because it carries the last lsn that was **known to be durable when it was appended**
//! (`synced`), and a segment's header says the same of everything before the segment. So:
//!
//! > The log is damaged if any record or header behind the hole states that the missing record was durable.
//!
//! A record of the group that is cut off never does, since none of that group was durable when it was appended; nor does
//! any older one. A record appended after the missing one was durable always does. What this cannot see is damage in the
//! very last group, when nothing was appended after it: that looks like a group that was never completed. A replica that
//! has nothing to write seals the log ([`Wal::seal`](super::Wal::seal)), and then there is such a record behind the last
//! entry.
//!
//! # What may be behind the end
//!
//! Bytes behind the end are never cleaned: what a segment held in an earlier use, and what a cut group left. They are
//! never taken for records, because:
//! - In one epoch an lsn is given once. What is left of an earlier use has a lower lsn than is expected.
//! - Opening the log begins a new epoch, greater than any that is found in any valid record, behind the end too, and the
//!   records that begin it are durable before anything else is appended. Reading never goes back to a lower epoch. So what
//!   a cut group left, with lsns that are given again, does not follow what is written over the cut. Only an attempt to
//!   open of which no valid record is left can have had the same epoch.
//!
//! # What was read is made durable
//!
//! A record that can be read need not be on the disk: after a failed sync the kernel may show data that it has dropped
//! and will not write again. So what no later record proves to be durable is written once more when the log is opened,
//! and synced, before anybody sees it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use synod_types::{LogIndex, MemberId};

use super::error::{Result, WalError};
use super::record::{self, ALIGNMENT_BYTES};
use super::replay::Replay;
use super::segment::{self, Header, Segment, Start};
use super::{Lsn, Recovered};
use crate::disk::{Disk, read_all};

/// What was found of a log.
pub(super) struct Found {
    /// The segments in use; there is at least one.
    pub(super) segments: VecDeque<Segment>,
    /// The header of the last one.
    pub(super) header: Header,
    /// The bytes of the last one, up to the end of its last record.
    pub(super) written: Vec<u8>,
    /// From where on these are not known to be durable.
    pub(super) unproven_from: usize,
    /// The files behind the last segment.
    pub(super) spares: Vec<(u64, PathBuf)>,
    pub(super) next_lsn: Lsn,
    /// The last record that is known to be durable.
    pub(super) proven: Lsn,
    /// The greatest epoch in any valid record.
    pub(super) epoch_max: u64,
    pub(super) recovered: Recovered,
}

/// The log as far as it was read.
struct Reading {
    seed: u32,
    next_lsn: Lsn,
    epoch: u64,
    epoch_max: u64,
    proven: Lsn,
    /// Where the records after `proven` start, in the last segment.
    unproven: VecDeque<(Lsn, usize)>,
    replay: Replay,
}

/// A segment in use that was read.
struct Live {
    path: PathBuf,
    header: Header,
    bytes: Vec<u8>,
    /// Where its last record ends.
    end: usize,
}

/// Reads the log of `member`.
pub(super) fn read(disk: &dyn Disk, dir: &Path, member: MemberId) -> Result<Found> {
    let names = disk.list(dir)?;
    let mut files = names.iter().filter_map(|name| segment::sequence_of(name));
    let first = files.next().ok_or_else(|| WalError::NoLog { dir: dir.to_owned() })?;
    let path = segment::path(dir, first);
    let mut bytes = Vec::new();
    read_all(&*disk.open(&path)?, &mut bytes)?;
    let Start::Segment(header) = segment::read_start(&bytes, &path, first, member)? else {
        return Err(WalError::Corrupt {
            segment: path,
            offset: 0,
            lsn: Lsn(0),
            evidence: "it is the first segment, which is never without a header".into(),
        });
    };
    let mut reading = Reading::new(&header);
    let mut segments = VecDeque::new();
    let mut live = reading.walk(path, header, bytes, &mut segments)?;
    let mut spares = Vec::new();
    for sequence in files {
        let path = segment::path(dir, sequence);
        let mut bytes = Vec::new();
        read_all(&*disk.open(&path)?, &mut bytes)?;
        match segment::read_start(&bytes, &path, sequence, member)? {
            Start::Segment(header) => {
                let follows = header.first_lsn == reading.next_lsn
                    && header.salt == live.header.salt
                    && header.epoch >= reading.epoch
                    && spares.is_empty();
                if !follows {
                    let evidence = format!("segment {sequence:016x} begins with record {}", header.first_lsn);
                    return Err(reading.corrupt(&live, evidence));
                }
                live = reading.walk(path, header, bytes, &mut segments)?;
            }
            Start::Spare => spares.push((sequence, path)),
        }
    }
    let discarded_bytes = reading.search(&live, &live.path, &live.bytes, live.end)?;
    let mut bytes = Vec::new();
    for (_, path) in &spares {
        read_all(&*disk.open(path)?, &mut bytes)?;
        reading.search(&live, path, &bytes, segment::HEADER_BYTES)?;
    }
    reading.finish(live, segments, spares, discarded_bytes as u64)
}

impl Reading {
    fn new(first: &Header) -> Self {
        Self {
            seed: first.seed(),
            next_lsn: first.first_lsn,
            epoch: first.epoch,
            epoch_max: first.epoch,
            proven: first.first_lsn.previous(),
            unproven: VecDeque::new(),
            replay: Replay::default(),
        }
    }

    /// Reads the records of a segment, up to the last one that follows.
    fn walk(
        &mut self,
        path: PathBuf,
        header: Header,
        bytes: Vec<u8>,
        segments: &mut VecDeque<Segment>,
    ) -> Result<Live> {
        self.epoch = header.epoch;
        self.proven = header.first_lsn.previous();
        self.unproven.clear();
        let mut live = Live { path, header, bytes, end: segment::HEADER_BYTES };
        let mut index_max = LogIndex(0);
        while let Some(rest) = live.bytes.get(live.end..)
            && let Some(record) = record::decode_header(rest, self.seed)
            && let Some(body) = record.body(self.seed)
            && record.place.lsn == self.next_lsn
            && record.place.epoch >= self.epoch
        {
            let meaning = body.meaning().filter(|_| !record.is_unknown());
            let meaning = meaning.ok_or_else(|| WalError::NewerVersion {
                segment: live.path.clone(),
                offset: live.end as u64,
                found: format!("a record of kind {} and variant {}", body.kind, body.variant),
            })?;
            let entry = self.replay.apply(meaning);
            index_max = index_max.max(entry.map_err(|evidence| self.corrupt(&live, evidence))?);
            self.epoch = record.place.epoch;
            self.prove(record.place.synced);
            self.unproven.push_back((self.next_lsn, live.end));
            self.next_lsn = self.next_lsn.next();
            live.end += record.encoded_bytes();
        }
        self.epoch_max = self.epoch_max.max(self.epoch);
        segments.push_back(Segment {
            sequence: header.sequence,
            size: u64::from(header.size),
            index_max,
            preamble: header.first_lsn,
        });
        Ok(live)
    }

    fn prove(&mut self, synced: Lsn) {
        self.proven = self.proven.max(synced);
        while self.unproven.front().is_some_and(|(lsn, _)| *lsn <= self.proven) {
            self.unproven.pop_front();
        }
    }

    /// Looks behind the end of the log for records, wherever they may start. Returns how far from `from` the last one
    /// reaches that belongs to what is cut off.
    fn search(&mut self, live: &Live, path: &Path, bytes: &[u8], from: usize) -> Result<usize> {
        let mut cut_end = from;
        let mut at = from;
        while let Some(rest) = bytes.get(at..)
            && rest.len() >= record::HEADER_BYTES
        {
            let Some(record) = record::decode_header(rest, self.seed) else {
                at += ALIGNMENT_BYTES;
                continue;
            };
            let record::Place { epoch, lsn, synced } = record.place;
            if synced >= self.next_lsn {
                let place = format!("record {lsn} at offset {at} of \"{}\"", path.display());
                let evidence = format!("{place} states that record {synced} was durable");
                return Err(self.corrupt(live, evidence));
            }
            self.epoch_max = self.epoch_max.max(epoch);
            let end = at + record.encoded_bytes();
            if epoch >= self.epoch && lsn >= self.next_lsn {
                cut_end = end.min(bytes.len());
            }
            // Payloads are not searched, as far as they can be told from what else lies there.
            at = match record.body(self.seed) {
                Some(_) => end,
                None => at + ALIGNMENT_BYTES,
            };
        }
        Ok(cut_end - from)
    }

    fn corrupt(&self, live: &Live, evidence: String) -> WalError {
        WalError::Corrupt {
            segment: live.path.clone(),
            offset: live.end as u64,
            lsn: self.next_lsn,
            evidence,
        }
    }

    fn finish(
        mut self,
        mut live: Live,
        segments: VecDeque<Segment>,
        spares: Vec<(u64, PathBuf)>,
        torn_tail_bytes: u64,
    ) -> Result<Found> {
        let replay = std::mem::take(&mut self.replay);
        let recovered = replay.finish(torn_tail_bytes);
        let recovered = recovered.map_err(|evidence| self.corrupt(&live, evidence))?;
        let unproven_from = match self.unproven.front() {
            // Nothing proves the header either before something in the segment is durable.
            _ if self.proven < live.header.first_lsn => 0,
            Some((_, start)) => *start,
            None => live.end,
        };
        live.bytes.truncate(live.end);
        Ok(Found {
            segments,
            header: live.header,
            written: live.bytes,
            unproven_from,
            spares,
            next_lsn: self.next_lsn,
            proven: self.proven,
            epoch_max: self.epoch_max,
            recovered,
        })
    }
}
