//! Every byte that this crate persists. One page, kept complete; a test pins each layout.
//!
//! Integers are little-endian. Checksums are CRC-32C (Castagnoli). What is marked reserved is written as zeros, and a
//! reader that finds anything else there (under a valid checksum) says that a newer version wrote it. Every version
//! that was ever written stays readable. Keys and values inside a snapshot are laid out by those who put them there.
//!
//! # A replica's directory
//!
//! | file | holds |
//! |---|---|
//! | `identity` | [who the replica is](crate::identity) |
//! | `SEQUENCE.wal` in the log's directory | a segment, or a spare one; the sequence in 16 hexadecimal digits |
//! | `INDEX-TERM.snapshot` in the snapshots' directory | a snapshot; both in 16 hexadecimal digits |
//! | `lock` | nothing: its file lock is the directory's lock |
//! | `*.tmp` | what is not finished; removed when it is found |
//!
//! # Segment, version 1
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `SYNODWAL` |
//! | 8 | 4 | checksum of bytes 12 to 63 |
//! | 12 | 4 | version: 1 |
//! | 16 | 8 | member |
//! | 24 | 8 | salt: a random number, the same in all segments of a log |
//! | 32 | 8 | sequence: 1, 2, 3…; equal to the one in the name, or the file is a spare that was another segment before |
//! | 40 | 8 | epoch in which the segment was begun |
//! | 48 | 8 | lsn of the first record |
//! | 56 | 4 | length of the file |
//! | 60 | 4 | reserved |
//! | 64 | | records, each padded with zeros to a multiple of 8 bytes |
//!
//! What follows the last record is anything. A spare holds anything.
//!
//! # Record
//!
//! Both checksums start from the CRC-32C of the salt's 8 bytes instead of from zero.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | checksum of bytes 4 to 55 |
//! | 4 | 4 | checksum of the payload |
//! | 8 | 4 | length of the payload |
//! | 12 | 4 | lsn minus the last lsn that was durable when the record was appended; at least 1 |
//! | 16 | 8 | epoch |
//! | 24 | 8 | lsn |
//! | 32 | 8 | term |
//! | 40 | 8 | index |
//! | 48 | 1 | kind |
//! | 49 | 1 | variant |
//! | 50 | 6 | reserved |
//! | 56 | | payload |
//!
//! | kind | | term and index | variant | payload |
//! |---|---|---|---|---|
//! | 1 | entry | the entry's | 0 normal, 1 membership | the entry's |
//! | 2 | hard state | term, commit | 0 | vote (8) |
//! | 3 | snapshot mark | the mark's | 1 if entries behind the mark stay, 0 if not | none |
//! | 4 | opened: the first record of an epoch | 0 | 0 | none |
//! | 5 | seal | 0 | 0 | none |
//!
//! # Snapshot, version 1
//!
//! The file starts with the magic `SYNODSNP` (8), the version (4) and a reserved field (4). Then come blocks: one header,
//! any number of records blocks, one footer, and nothing else.
//!
//! | offset | bytes | field of a block |
//! |---|---|---|
//! | 0 | 4 | checksum of everything after it in the block, started from the checksum of the block before; from that of the file's first 16 bytes for the first |
//! | 4 | 4 | length of the payload |
//! | 8 | 1 | kind: 1 header, 2 records, 3 footer |
//! | 9 | 3 | reserved |
//! | 12 | | payload |
//!
//! | block | payload |
//! |---|---|
//! | header | index (8), term (8), the caller's own bytes |
//! | records | number (1), length of the key (4), length of the value (4), key, value; again and again |
//! | footer | pairs of the state (8), records of sections (8), [hash of the state](crate::state::StateHash) (16) |
//!
//! The number of a record is that of its [table](crate::state::Table), or from 128 on that of a section of the caller's.
//! Tables come in the order of their numbers and keys in byte order; sections come anywhere between blocks' records.
//!
//! # Identity, version 1
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `SYNOD-ID` |
//! | 8 | 4 | checksum of everything after it |
//! | 12 | 4 | version: 1 |
//! | 16 | 4 | partition |
//! | 20 | 8 | member |
//! | 28 | 1 | stage: 1 waiting, 2 holds data, 3 goes on alone |
//! | 29 | 3 | reserved |
//! | 32 | 4 | length of the group's name |
//! | 36 | | the group's name, UTF-8 |
//!
//! What must not go here: code. The modules that own a format encode and decode it.

#[cfg(test)]
mod tests;

pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"SYNODWAL";
pub(crate) const SEGMENT_VERSION: u32 = 1;

pub(crate) const SNAPSHOT_MAGIC: [u8; 8] = *b"SYNODSNP";
pub(crate) const SNAPSHOT_VERSION: u32 = 1;

pub(crate) const IDENTITY_MAGIC: [u8; 8] = *b"SYNOD-ID";
pub(crate) const IDENTITY_VERSION: u32 = 1;
