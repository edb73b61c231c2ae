//! The way of answers from a replica to one client.
//!
//! What is in it is bounded by what the client asked for: replies by its requests in flight, events by what the core
//! hands out before it hears that some have left, chunks of scans by the room that is asked for here.

use std::sync::Arc;

use synod_proto::session::v1::{Delivery, Reply, reply};
use tokio::sync::{Semaphore, mpsc};

/// Chunks of scans that may wait for one client.
const CHUNKS: usize = 8;

/// What one turn of a replica has for one client.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) replies: Vec<Reply>,
    pub(crate) deliveries: Vec<Delivery>,
}

/// Where a replica puts what it has for a client.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    sender: mpsc::UnboundedSender<Outgoing>,
    chunks: Arc<Semaphore>,
}

/// The same for those who must not keep the way open when the replica is gone.
#[derive(Clone, Debug)]
pub(crate) struct WeakOutbox(mpsc::WeakUnboundedSender<Outgoing>);

/// Where the client's connection takes it from.
#[derive(Debug)]
pub(crate) struct Outlet {
    receiver: mpsc::UnboundedReceiver<Outgoing>,
    chunks: Arc<Semaphore>,
}

/// A way from a replica to a client.
pub(crate) fn outbox() -> (Outbox, Outlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let chunks = Arc::new(Semaphore::new(CHUNKS));
    (Outbox { sender, chunks: chunks.clone() }, Outlet { receiver, chunks })
}

impl WeakOutbox {
    /// False if the client or the replica is gone.
    pub(crate) fn send(&self, outgoing: Outgoing) -> bool {
        self.0.upgrade().is_some_and(|sender| sender.send(outgoing).is_ok())
    }
}

impl Outbox {
    /// For those who must not keep the way open.
    pub(crate) fn downgrade(&self) -> WeakOutbox {
        WeakOutbox(self.sender.downgrade())
    }

    /// False if the client is gone.
    pub(crate) fn send(&self, outgoing: Outgoing) -> bool {
        self.sender.send(outgoing).is_ok()
    }

    /// Waits until one more chunk may be sent. False if the client is gone.
    pub(crate) async fn chunk_room(&self) -> bool {
        match self.chunks.acquire().await {
            Ok(room) => {
                room.forget();
                !self.sender.is_closed()
            }
            Err(_) => false,
        }
    }
}

impl Outlet {
    /// Everything that is there, once there is something. `None` when there will be nothing more.
    pub(crate) async fn take(&mut self) -> Option<Outgoing> {
        let mut all = self.receiver.recv().await?;
        while let Ok(more) = self.receiver.try_recv() {
            all.replies.extend(more.replies);
            all.deliveries.extend(more.deliveries);
        }
        let is_chunk = |reply: &&Reply| matches!(reply.body, Some(reply::Body::Chunk(_)));
        self.chunks.add_permits(all.replies.iter().filter(is_chunk).count());
        Some(all)
    }
}

impl Drop for Outlet {
    /// Whoever waits for room learns that the client is gone.
    fn drop(&mut self) {
        self.chunks.close();
    }
}
