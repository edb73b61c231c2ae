//! What was appended and is not written yet.
//!
//! The records of a group lie in one buffer as they will lie on the disk. It starts at a block boundary, with a copy of
//! what is already written of that block, and it is written up to a block boundary, filled with zeros. So the kernel
//! never has to read a block to change a part of it.

use super::segment;

/// What the kernel writes at once, in bytes.
pub(super) const BLOCK_BYTES: usize = 4096;
/// A buffer that grew beyond this is given back after the write.
const KEEP_BYTES: usize = 4 * 1_048_576;

/// Bytes of one segment, contiguous.
struct Chunk {
    /// Which segment.
    sequence: u64,
    /// Where in the segment the chunk starts: at a block boundary.
    offset: u64,
    /// Where in the buffer it starts; it ends where the next one starts.
    start: usize,
}

pub(super) struct Group {
    buffer: Vec<u8>,
    /// All but the last one end a segment.
    ended: Vec<Chunk>,
    last: Chunk,
    has_news: bool,
}

impl Group {
    /// A group that goes on at the end of `written`, the bytes of a segment. What is behind `from` is written again.
    pub(super) fn continuing(sequence: u64, written: &[u8], from: usize) -> Self {
        let from = from - from % BLOCK_BYTES;
        Self {
            buffer: written.get(from..).unwrap_or_default().to_vec(),
            ended: Vec::new(),
            last: Chunk { sequence, offset: from as u64, start: 0 },
            has_news: false,
        }
    }

    /// Which segment the next record goes to.
    pub(super) const fn sequence(&self) -> u64 {
        self.last.sequence
    }

    /// Where in the segment the next record goes.
    pub(super) fn position(&self) -> u64 {
        self.last.offset + (self.buffer.len() - self.last.start) as u64
    }

    /// Where records are to be encoded.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.has_news = true;
        &mut self.buffer
    }

    pub(super) const fn has_news(&self) -> bool {
        self.has_news
    }

    /// Ends the segment and begins the next one.
    pub(super) fn begin_segment(&mut self, header: &segment::Header) {
        self.fill_block();
        let next = Chunk { sequence: header.sequence, offset: 0, start: self.buffer.len() };
        self.ended.push(std::mem::replace(&mut self.last, next));
        self.buffer().extend_from_slice(&header.encode());
    }

    /// Hands everything to `write`, as segment, offset and bytes, in order; stops at the first error.
    pub(super) fn write<E>(
        &mut self,
        mut write: impl FnMut(u64, u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = self.buffer.len();
        self.fill_block();
        let chunks = || self.ended.iter().chain([&self.last]);
        let ends = chunks().skip(1).map(|chunk| chunk.start).chain([self.buffer.len()]);
        for (chunk, end) in chunks().zip(ends) {
            let bytes = self.buffer.get(chunk.start..end).unwrap_or_default();
            write(chunk.sequence, chunk.offset, bytes)?;
        }
        self.buffer.truncate(end);
        self.forget_written();
        Ok(())
    }

    /// Keeps the block that the next record starts in.
    fn forget_written(&mut self) {
        let in_chunk = self.buffer.len() - self.last.start;
        let whole_blocks = in_chunk - in_chunk % BLOCK_BYTES;
        self.buffer.drain(..self.last.start + whole_blocks);
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer.shrink_to(KEEP_BYTES);
        }
        self.ended.clear();
        self.last.start = 0;
        self.last.offset += whole_blocks as u64;
        self.has_news = false;
    }

    /// Segments are whole blocks and chunks start at block boundaries, so this never leaves the segment.
    fn fill_block(&mut self) {
        let in_chunk = self.buffer.len() - self.last.start;
        let filled = self.last.start + in_chunk.next_multiple_of(BLOCK_BYTES);
        self.buffer.resize(filled, 0);
    }
}
