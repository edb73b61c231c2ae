//! Snapshots in the background: saved on a thread of their own, and streamed to other nodes.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use synod_proto::peer::v1::{Message, SnapshotChunk};
use synod_protocol::{Message as AnyMessage, SnapshotMetadata};
use synod_replica::{Input, SnapshotJob, wire};
use synod_storage::snapshot::{SnapshotId, SnapshotReader};
use synod_types::{Error, ErrorCode, MemberId};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::dialer::reason;
use crate::driver::{Mail, Surroundings};
use crate::home::{Home, HomeError};
use crate::inbox::Inbox;
use crate::metrics::Transfer;
use crate::peers::{self, Address, Peers};

const CHUNK_BYTES: u32 = 512 << 10;

/// Writes a snapshot and reports how that went.
pub(crate) fn save(surroundings: Arc<Surroundings>, mailbox: Arc<Inbox<Mail>>, job: SnapshotJob) {
    let metadata = job.metadata.clone();
    let (failed, report) = (metadata.clone(), mailbox.clone());
    let name = format!("snapshot {}", surroundings.name);
    let work = move || {
        give_way();
        let begin = Instant::now();
        let saved = surroundings.home.save_snapshot(job, thread::yield_now).map_err(|error| {
            tracing::error!(replica = surroundings.name, %error, "a snapshot could not be saved");
            Error::new(ErrorCode::ResourceExhausted, error.to_string())
        });
        surroundings.metrics.snapshot(Transfer::Save, begin.elapsed(), saved.is_ok());
        mailbox.push(Mail::Input(Input::SnapshotSaved(metadata, saved)));
    };
    if let Err(error) = thread::Builder::new().name(name).spawn(work) {
        let error = Error::new(ErrorCode::ResourceExhausted, format!("no thread for a snapshot: {error}"));
        report.push(Mail::Input(Input::SnapshotSaved(failed, Err(error))));
    }
}

/// How much less than others the thread of a snapshot is to run, as `nice` counts it.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets whatever else wants the processor go before this thread: nobody waits for a snapshot, and writes do for those
/// who serve them.
#[cfg(target_os = "linux")]
fn give_way() {
    // Without it, the snapshot is taken as well.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}

/// Elsewhere, a priority is that of the whole process.
#[cfg(not(target_os = "linux"))]
const fn give_way() {}

/// Streams the snapshot that a message offers to a member, and reports how that went.
pub(crate) fn send(
    surroundings: Arc<Surroundings>,
    mailbox: Arc<Inbox<Mail>>,
    to: MemberId,
    address: Address,
    message: Message,
) {
    let runtime = surroundings.runtime.clone();
    runtime.spawn(async move {
        let begin = Instant::now();
        let sent = stream(&surroundings.home, &surroundings.peers, &address, message).await;
        surroundings.metrics.snapshot(Transfer::Send, begin.elapsed(), sent.is_ok());
        match &sent {
            Ok(()) => tracing::info!(replica = surroundings.name, member = %to, "snapshot sent"),
            Err(error) => {
                tracing::warn!(replica = surroundings.name, member = %to, %error, "snapshot not sent");
            }
        }
        mailbox.push(Mail::Input(Input::SnapshotSent(to, sent.is_ok())));
    });
}

async fn stream(home: &Home, peers: &Peers, address: &str, message: Message) -> Result<(), Error> {
    let id = snapshot_of(&message)?;
    let reader = home.snapshots().and_then(|store| Ok(store.reader(id)?)).map_err(Error::from)?;
    let total_bytes = reader.file().bytes;
    let unreachable = |error| Error::new(ErrorCode::Unavailable, reason(&error));
    let channel = peers.dialer.connect(address).await.map_err(unreachable)?;
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
pub(crate) fn snapshot_of(message: &Message) -> Result<SnapshotId, Error> {
    let metadata = offered(message)?;
    Ok(SnapshotId { index: metadata.index, term: metadata.term })
}

pub(crate) fn offered(message: &Message) -> Result<SnapshotMetadata, Error> {
    let AnyMessage::Raft(raft) = wire::message_from_wire(message.clone())?;
    raft.snapshot.ok_or_else(|| Error::new(ErrorCode::Invalid, "the message offers no snapshot"))
}
