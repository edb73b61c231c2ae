//! Snapshots that other nodes offer: checked, received, checked again, and taken over.
//!
//! A snapshot replaces all that a replica has, so it is taken from nobody but the leader that the replica follows, and
//! only if it holds what it was offered as. A replica that waits for its first one follows nobody yet: it takes one from
//! whoever knows the id that it drew when it was prepared.
//!
//! Whoever offers one hears what became of it and offers it again; operators hear from the slot why the disk here refused it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use synod_proto::peer::v1::{Message, SnapshotChunk};
use synod_protocol::{Message as AnyMessage, SnapshotMetadata};
use synod_replica::{Input, wire};
use synod_storage::snapshot::{SnapshotError, SnapshotFile, SnapshotId};
use synod_types::{Error, ErrorCode, MemberId};
use tokio::time::timeout;
use tonic::Streaming;

use crate::clock::SystemRandom;
use crate::driver::Mail;
use crate::home::HomeError;
use crate::host::Host;
use crate::metrics::Transfer;
use crate::slot::{Slot, Standing};
use crate::snapshots::{offered, snapshot_of};
use crate::tls::Caller;

/// How long the next chunk may take. Whoever sends nothing must not keep others from sending.
const CHUNK_PATIENCE: Duration = Duration::from_secs(10);

/// Receives a snapshot for a replica, makes it durable, checks it, and hands it to the replica.
pub(crate) async fn receive(
    host: &Arc<Host>,
    caller: &Caller,
    first: SnapshotChunk,
    mut chunks: Streaming<SnapshotChunk>,
) -> Result<(), Error> {
    let Some(message) = first.message else {
        let text = "the first chunk of a snapshot must carry the message that it belongs to";
        return Err(Error::new(ErrorCode::Invalid, text));
    };
    let slot = host.addressee(caller, &message)?;
    check_offer(&slot, &message)?;
    let (metadata, id) = (offered(&message)?, snapshot_of(&message)?);
    let offered_up_to = metadata.index;
    let Ok(_turn) = slot.receiving.try_lock() else {
        let text = "another snapshot is being received: try again when that one is done";
        return Err(Error::new(ErrorCode::Unavailable, text));
    };
    let begin = Instant::now();
    let metrics = host.metrics.replica(slot.group(), slot.partition());
    let taken = async {
        let file = download(&slot, id, first.total_bytes, first.data, &mut chunks).await?;
        let (log_index, bytes) = (metadata.index, file.bytes);
        tracing::info!(replica = %slot.name(), %log_index, bytes, "snapshot received");
        let message = wire::message_from_wire(message)?;
        let (host, slot) = (host.clone(), slot.clone());
        blocking(move || install(&host, &slot, &file, &metadata, message)).await?
    };
    let taken: Result<(), Error> = taken.await;
    slot.note_offer(offered_up_to, &taken);
    metrics.snapshot(Transfer::Receive, begin.elapsed(), taken.is_ok());
    taken
}

/// Whether a replica may be offered a snapshot in this way.
fn check_offer(slot: &Slot, message: &Message) -> Result<(), Error> {
    let refuse = |code, why: &str| Err(Error::new(code, format!("the snapshot is refused: {why}")));
    match slot.standing() {
        Standing::Running(running) if running.member.get() == message.to => {
            match running.glance().borrow().standing.leader {
                Some(leader) if leader.get() == message.from => Ok(()),
                Some(_) => refuse(ErrorCode::Conflict, "another member leads"),
                None => refuse(ErrorCode::Unavailable, "no leader is known here yet"),
            }
        }
        Standing::Waiting(MemberId(member)) if member == message.to => Ok(()),
        Standing::Failed(_, error) => refuse(ErrorCode::Unavailable, error.message()),
        _ => refuse(ErrorCode::NotFound, "the member that it is for does not live here"),
    }
}

async fn download(
    slot: &Slot,
    id: SnapshotId,
    total_bytes: u64,
    first: Bytes,
    chunks: &mut Streaming<SnapshotChunk>,
) -> Result<SnapshotFile, Error> {
    let refused = |error: SnapshotError| Error::from(HomeError::from(error));
    let store = slot.home().snapshots().map_err(Error::from)?;
    let mut receiver = store.receiver(id, total_bytes).map_err(refused)?;
    let mut data = first;
    loop {
        receiver = blocking(move || receiver.append(receiver.received_bytes(), &data).map(|()| receiver))
            .await?
            .map_err(refused)?;
        let late = || Error::new(ErrorCode::Timeout, "the next chunk of the snapshot did not come");
        match timeout(CHUNK_PATIENCE, chunks.message()).await.map_err(|_| late())? {
            Ok(Some(chunk)) => data = chunk.data,
            Ok(None) => break,
            Err(status) => return Err(Error::new(ErrorCode::Unavailable, status.message().to_owned())),
        }
    }
    blocking(move || receiver.finish()).await?.map_err(refused)
}

/// Takes over a snapshot that is durable in the slot's home; removes it if it is not what it should be.
fn install(
    host: &Arc<Host>,
    slot: &Arc<Slot>,
    file: &SnapshotFile,
    metadata: &SnapshotMetadata,
    message: AnyMessage,
) -> Result<(), Error> {
    let _birth = host.birth(slot)?;
    let loaded = slot.home().load(file, metadata, (slot.group(), slot.partition()));
    let (store, history) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            slot.home().snapshots().and_then(|store| Ok(store.remove(file.id)?)).map_err(Error::from)?;
            return Err(error.into());
        }
    };
    if let Standing::Running(running) = slot.standing() {
        let store = Box::new(store);
        running.mail(Mail::Input(Input::SnapshotReceived { message, store, history, bytes: file.bytes }));
        return Ok(());
    }
    let identity = slot.waiting()?;
    slot.home().join(&identity, metadata, &mut SystemRandom).map_err(Error::from)?;
    host.start(slot, &identity)
}

/// Runs what waits for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::new(ErrorCode::Internal, "the node failed to handle the snapshot"))
}
