//! Reading scans: from a snapshot, beside the core, and no faster than the client takes them.

use synod_primitives::ScanChunks;
use synod_proto::session::v1::{Chunk, Reply, reply};
use synod_replica::Tag;
use synod_types::{Error, ErrorCode, Index};

use crate::outbox::{Outbox, Outgoing};

/// A scan to be read.
pub(crate) struct Reader {
    pub(crate) outbox: Outbox,
    pub(crate) tag: Tag,
    pub(crate) index: Index,
    pub(crate) chunks: ScanChunks,
}

impl Reader {
    /// Sends all chunks, or as many as somebody takes.
    pub(crate) async fn run(mut self) {
        while self.outbox.chunk_room().await {
            let (body, is_last) = self.next();
            let reply = Reply { tag: self.tag, index: self.index.get(), body: Some(body) };
            let outgoing = Outgoing { replies: vec![reply], deliveries: Vec::new() };
            if !self.outbox.send(outgoing) || is_last {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn next(&mut self) -> (reply::Body, bool) {
        match self.chunks.next_chunk() {
            Ok(Some(result)) => {
                let last = self.chunks.is_done();
                (reply::Body::Chunk(Chunk { result, last }), last)
            }
            Ok(None) => (reply::Body::Chunk(Chunk { last: true, ..Chunk::default() }), true),
            Err(fault) => {
                (reply::Body::Error(Error::new(ErrorCode::Corrupt, fault.to_string()).into()), true)
            }
        }
    }
}
