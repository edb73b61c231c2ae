//! Snapshots in the background: saved on a thread of their own, streamed to other nodes and from them.

use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use synod_proto::peer::v1::{Message, SnapshotChunk};
use synod_protocol::{Message as AnyMessage, SnapshotMetadata};
use synod_replica::{Input, SnapshotJob, wire};
use synod_storage::snapshot::{SnapshotFile, SnapshotId, SnapshotReader};
use synod_types::{Error, ErrorCode, MemberId};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::driver::{Mail, Surroundings};
use crate::home::{Home, HomeError};
use crate::host::{Host, Slot};
use crate::mailbox::Mailbox;
use crate::peers::{self, Address};

const CHUNK_BYTES: u32 = 512 << 10;

/// Writes a snapshot and reports how that went.
pub(crate) fn save(surroundings: Arc<Surroundings>, mailbox: Arc<Mailbox<Mail>>, job: SnapshotJob) {
    let metadata = job.metadata.clone();
    let (failed, report) = (metadata.clone(), mailbox.clone());
    let name = format!("snapshot {}", surroundings.name);
    let work = move || {
        let saved = surroundings.home.save_snapshot(job, thread::yield_now).map_err(|error| {
            tracing::error!(replica = surroundings.name, %error, "a snapshot could not be saved");
            Error::new(ErrorCode::ResourceExhausted, error.to_string())
        });
        mailbox.push(Mail::Input(Input::SnapshotSaved(metadata, saved)));
    };
    if let Err(error) = thread::Builder::new().name(name).spawn(work) {
        let error = Error::new(ErrorCode::ResourceExhausted, format!("no thread for a snapshot: {error}"));
        report.push(Mail::Input(Input::SnapshotSaved(failed, Err(error))));
    }
}

/// Streams the snapshot that a message offers to a member, and reports how that went.
pub(crate) fn send(
    surroundings: Arc<Surroundings>,
    mailbox: Arc<Mailbox<Mail>>,
    to: MemberId,
    address: Address,
    message: Message,
) {
    let runtime = surroundings.runtime.clone();
    runtime.spawn(async move {
        let sent = stream(&surroundings.home, &address, message).await;
        match &sent {
            Ok(()) => tracing::info!(replica = surroundings.name, member = %to, "snapshot sent"),
            Err(error) => {
                tracing::warn!(replica = surroundings.name, member = %to, %error, "snapshot not sent");
            }
        }
        mailbox.push(Mail::Input(Input::SnapshotSent(to, sent.is_ok())));
    });
}

async fn stream(home: &Home, address: &str, message: Message) -> Result<(), Error> {
    let id = snapshot_of(&message)?;
    let reader = home.snapshots().and_then(|store| Ok(store.reader(id)?)).map_err(Error::from)?;
    let total_bytes = reader.file().bytes;
    let unreachable = |error: &dyn std::fmt::Display| Error::new(ErrorCode::Unavailable, error.to_string());
    let channel = peers::connect(address).await.map_err(|error| unreachable(&error))?;
    let (chunks, outbound) = mpsc::channel(2);
    let first = SnapshotChunk { message: Some(message), total_bytes, data: Bytes::new() };
    let reading = async move {
        let mut chunk = first;
        let mut offset = 0;
        // The receiver went away when nobody takes a chunk; its answer says why.
        while chunks.send(chunk).await.is_ok() && offset < total_bytes {
            let data = read_chunk(&reader, offset).await?;
            offset += data.len() as u64;
            chunk = SnapshotChunk { message: None, total_bytes: 0, data };
        }
        Ok::<_, Error>(())
    };
    let mut client = peers::client(channel);
    let (read, answered) = tokio::join!(reading, client.install_snapshot(ReceiverStream::new(outbound)));
    read?;
    answered.map(|_| ()).map_err(|status| synod_proto::types::v1::Error::from_status(&status).into())
}

async fn read_chunk(reader: &SnapshotReader, offset: u64) -> Result<Bytes, Error> {
    let data = reader.read_chunk(offset, CHUNK_BYTES).map_err(|error| Error::from(HomeError::from(error)))?;
    if data.is_empty() {
        return Err(Error::new(ErrorCode::Corrupt, "the snapshot is shorter than it was"));
    }
    tokio::task::yield_now().await;
    Ok(data)
}

/// Which snapshot a message offers.
fn snapshot_of(message: &Message) -> Result<SnapshotId, Error> {
    let metadata = offered(message)?;
    Ok(SnapshotId { index: metadata.index, term: metadata.term })
}

fn offered(message: &Message) -> Result<SnapshotMetadata, Error> {
    let AnyMessage::Raft(raft) = wire::message_from_wire(message.clone())?;
    raft.snapshot.ok_or_else(|| Error::new(ErrorCode::Invalid, "the message offers no snapshot"))
}

/// Receives a snapshot for a replica, makes it durable, checks it, and hands it to the replica.
pub(crate) async fn receive(
    host: &Arc<Host>,
    slot: Arc<Slot>,
    first: SnapshotChunk,
    mut chunks: Streaming<SnapshotChunk>,
) -> Result<(), Error> {
    let message = first.message.unwrap_or_default();
    let metadata = offered(&message)?;
    let id = snapshot_of(&message)?;
    let file = download(&slot, id, first.total_bytes, first.data, &mut chunks).await?;
    tracing::info!(replica = %slot.name(), log_index = %metadata.index, bytes = file.bytes, "snapshot received");
    let (host, message) = (host.clone(), wire::message_from_wire(message)?);
    let installing = tokio::task::spawn_blocking(move || host.install(&slot, &file, &metadata, message));
    installing
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the snapshot could not be installed")))
}

async fn download(
    slot: &Slot,
    id: SnapshotId,
    total_bytes: u64,
    first: Bytes,
    chunks: &mut Streaming<SnapshotChunk>,
) -> Result<SnapshotFile, Error> {
    let refused = |error: synod_storage::snapshot::SnapshotError| Error::from(HomeError::from(error));
    let store = slot.home().snapshots().map_err(Error::from)?;
    let mut receiver = store.receiver(id, total_bytes).map_err(refused)?;
    let mut data = first;
    loop {
        receiver = tokio::task::spawn_blocking(move || {
            receiver.append(receiver.received_bytes(), &data).map(|()| receiver)
        })
        .await
        .map_err(|_| Error::new(ErrorCode::Internal, "the snapshot could not be written"))?
        .map_err(refused)?;
        match chunks.message().await {
            Ok(Some(chunk)) => data = chunk.data,
            Ok(None) => break,
            Err(status) => return Err(Error::new(ErrorCode::Unavailable, status.message().to_owned())),
        }
    }
    tokio::task::spawn_blocking(move || receiver.finish())
        .await
        .map_err(|_| Error::new(ErrorCode::Internal, "the snapshot could not be completed"))?
        .map_err(refused)
}
