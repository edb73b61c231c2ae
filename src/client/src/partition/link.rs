//! The task that keeps one stream to a partition, and moves it when the leader moves.
//!
//! It owns a [`Pipeline`] and does the I/O for it; everything that asks for something only puts it into its queue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use synod_proto::session::v1::ServerFrame;
use synod_types::Monotonic;
use tokio::sync::{mpsc, oneshot, watch};

use super::pipeline::{Answer, Pipeline, Request, RequestId, Settings, WatchItem, WatchRequest, Work};
use super::route::{Route, Target};
use super::stream::{Purpose, ReplicaStream};
use crate::alarm::Alarm;
use crate::clock;
use crate::connections::Connections;
use crate::error::{Error, Result};
use crate::resolver::{PartitionTopology, Topology};

/// How much is taken from the queue in one go.
const INBOX: usize = 1_024;

/// How long a link that is closed tries to finish what it has to do.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many deliveries may wait for a watcher before it has to watch again from where it is.
const WATCH_ITEMS: usize = 64;

/// What a link is told.
enum Command {
    Submit(Request),
    Abandon(RequestId),
    Watch(WatchRequest),
    CancelWatch(RequestId),
    Close(oneshot::Sender<()>),
}

/// What a link works with.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) purpose: Purpose,
    pub(crate) connections: Arc<Connections>,
    pub(crate) topology: watch::Receiver<Arc<Topology>>,
    /// The greatest index seen in an answer or event of the partition.
    pub(crate) seen: Arc<AtomicU64>,
    pub(crate) leader: LastLeader,
}

/// Where the leader was found last.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastLeader(Arc<Mutex<Option<String>>>);

impl LastLeader {
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, address: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != Some(address) {
            *known = Some(address.to_owned());
        }
    }
}

/// The queue of a link. When it is dropped, the link finishes what it has and closes its session.
#[derive(Debug)]
pub(crate) struct Link {
    commands: mpsc::UnboundedSender<Command>,
    last_id: AtomicU64,
}

impl Link {
    /// Starts a link on the current runtime. It connects when there is something to do.
    pub(crate) fn start(target: Target, settings: Settings, surroundings: Surroundings) -> Self {
        let (commands, queue) = mpsc::unbounded_channel();
        let driver = Driver {
            pipeline: Pipeline::new(settings, surroundings.seen.clone(), clock::random()),
            route: Route::new(target, clock::random()),
            surroundings,
            wire: Wire::Idle { until: Monotonic::default() },
            closing: Vec::new(),
            closes_at: None,
        };
        tokio::spawn(driver.run(queue));
        Self { commands, last_id: AtomicU64::new(0) }
    }

    /// Asks for something and waits for what comes of it. Dropping the future gives the request up: if it was not sent
    /// yet it never will be, and if it was, it is not sent again.
    pub(crate) async fn ask(&self, work: Work, deadline: Monotonic) -> Result<Answer> {
        let (answer, answered) = oneshot::channel();
        let id = self.next_id();
        let mut abandon = Abandon { commands: Some(&self.commands), id };
        let request = Request { id, work, deadline: Some(deadline), answer: Some(answer) };
        self.send(Command::Submit(request))?;
        let answer = answered.await;
        abandon.commands = None;
        answer.unwrap_or_else(|_| Err(Error::closed().into_ambiguous()))
    }

    /// Asks for something of which nobody waits for the outcome. It is tried for as long as its session lives.
    pub(crate) fn ask_unattended(&self, work: Work) {
        let request = Request { id: self.next_id(), work, deadline: None, answer: None };
        // If the link is gone, so is the session.
        let _ = self.send(Command::Submit(request));
    }

    /// Begins to watch.
    ///
    /// # Errors
    /// When the client is closed.
    pub(crate) fn watch(&self, watch: synod_proto::session::v1::Watch) -> Result<Watching> {
        let (items, received) = mpsc::channel(WATCH_ITEMS);
        let id = self.next_id();
        self.send(Command::Watch(WatchRequest { id, watch, items }))?;
        Ok(Watching { commands: self.commands.clone(), id, items: received })
    }

    /// Finishes what waits, closes the session, and takes nothing any more.
    pub(crate) async fn close(&self) {
        let (closed, is_closed) = oneshot::channel();
        if self.send(Command::Close(closed)).is_ok() {
            // It ends without a word if the runtime goes down.
            let _ = is_closed.await;
        }
    }

    fn next_id(&self) -> RequestId {
        self.last_id.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, command: Command) -> Result<()> {
        self.commands.send(command).map_err(|_| Error::closed())
    }
}

/// Gives a request up when whoever waits for it does not wait any more.
struct Abandon<'a> {
    commands: Option<&'a mpsc::UnboundedSender<Command>>,
    id: RequestId,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if let Some(commands) = self.commands {
            let _ = commands.send(Command::Abandon(self.id));
        }
    }
}

/// What comes of a watch. Dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct Watching {
    commands: mpsc::UnboundedSender<Command>,
    id: RequestId,
    items: mpsc::Receiver<Result<WatchItem>>,
}

impl Watching {
    /// What comes next; nothing any more means that the watch must begin again from where it is. Cancelling it loses
    /// nothing.
    pub(crate) async fn next(&mut self) -> Option<Result<WatchItem>> {
        self.items.recv().await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::CancelWatch(self.id));
    }
}

/// The stream, or the way to it.
enum Wire {
    /// There is none; nothing is tried before this.
    Idle {
        until: Monotonic,
    },
    Connecting {
        address: String,
        opening: BoxFuture<'static, Result<ReplicaStream>>,
    },
    Connected(ReplicaStream),
}

/// What happened on the wire.
enum Event {
    Opened(Result<ReplicaStream>),
    /// A frame can be sent.
    Writable,
    Received(Result<ServerFrame>),
}

impl Wire {
    /// What happens next. Cancelling it loses nothing.
    async fn next(&mut self, wants_to_send: bool) -> Event {
        match self {
            Self::Idle { .. } => std::future::pending().await,
            Self::Connecting { opening, .. } => Event::Opened(opening.await),
            Self::Connected(stream) => {
                let outbound = stream.outbound.clone();
                tokio::select! {
                    // An error shows in what is received as well.
                    Ok(_) = outbound.reserve(), if wants_to_send => Event::Writable,
                    frame = stream.receive() => Event::Received(frame),
                }
            }
        }
    }
}

struct Driver {
    pipeline: Pipeline,
    route: Route,
    surroundings: Surroundings,
    wire: Wire,
    /// Who waits for the link to be closed.
    closing: Vec<oneshot::Sender<()>>,
    closes_at: Option<Monotonic>,
}

impl Driver {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Command>) {
        let mut inbox = Vec::with_capacity(INBOX);
        let mut alarm = Alarm::new();
        let mut topology = self.surroundings.topology.clone();
        loop {
            let now = clock::now();
            self.pipeline.tick(now);
            if self.is_done(now) {
                break;
            }
            self.tend(now);
            alarm.set(self.deadline(now));
            let wants_to_send = self.pipeline.wants_to_send(now);
            let is_open = self.closes_at.is_none();
            tokio::select! {
                taken = queue.recv_many(&mut inbox, INBOX), if is_open => {
                    if taken == 0 {
                        self.close(now);
                    }
                    inbox.drain(..).for_each(|command| self.take(command));
                }
                event = self.wire.next(wants_to_send) => self.on_wire(event),
                Ok(()) = topology.changed() => self.on_topology(&topology.borrow_and_update().clone()),
                () = alarm.rings() => {}
            }
        }
        queue.close();
        while let Ok(command) = queue.try_recv() {
            self.take(command);
        }
        self.pipeline.give_up();
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Submit(request) => self.pipeline.submit(request),
            Command::Abandon(id) => self.pipeline.abandon(id),
            Command::Watch(request) => self.pipeline.watch(request),
            Command::CancelWatch(id) => self.pipeline.cancel_watch(id),
            Command::Close(closed) => {
                self.closing.push(closed);
                self.close(clock::now());
            }
        }
    }

    fn close(&mut self, now: Monotonic) {
        self.pipeline.close();
        self.closes_at.get_or_insert(now + CLOSE_TIMEOUT);
    }

    fn is_done(&self, now: Monotonic) -> bool {
        self.closes_at.is_some_and(|at| self.pipeline.is_closed() || at <= now)
    }

    fn deadline(&self, now: Monotonic) -> Option<Monotonic> {
        let retry = match &self.wire {
            Wire::Idle { until } if self.pipeline.needs_connection() => Some(*until),
            _ => None,
        };
        [self.pipeline.deadline(now), retry, self.closes_at].into_iter().flatten().min()
    }

    /// Connects if that is needed and due, and leaves a server that has stopped answering.
    fn tend(&mut self, now: Monotonic) {
        match &self.wire {
            Wire::Connected(_) if self.pipeline.is_stalled(now) => {
                self.lost(Error::new(
                    synod_types::ErrorCode::Unavailable,
                    "the replica has stopped answering",
                ));
            }
            Wire::Idle { until } if *until <= now && self.pipeline.needs_connection() => self.connect(now),
            _ => {}
        }
    }

    fn partition(&self) -> PartitionTopology {
        let topology = self.surroundings.topology.borrow();
        topology.partition(self.surroundings.purpose.partition)
    }

    fn connect(&mut self, now: Monotonic) {
        self.wire = match self.route.next(&self.partition()) {
            Some(address) => {
                let Surroundings { connections, purpose, topology, .. } = self.surroundings.clone();
                let trust = topology.borrow().trust.clone();
                let to = address.clone();
                let opening =
                    async move { ReplicaStream::open(&connections, to, &trust, purpose).await }.boxed();
                Wire::Connecting { address, opening }
            }
            // The controller knows no replica yet.
            None => Wire::Idle { until: now + self.route.failed("") },
        };
    }

    fn on_wire(&mut self, event: Event) {
        match event {
            Event::Opened(Ok(stream)) => {
                tracing::debug!(address = stream.address, "connected");
                self.wire = Wire::Connected(stream);
                self.pipeline.connected(clock::now());
            }
            Event::Opened(Err(error)) | Event::Received(Err(error)) => self.lost(error),
            Event::Writable => {
                if let Wire::Connected(stream) = &self.wire
                    && let Some(frame) = self.pipeline.next_frame(clock::now())
                {
                    // There is room: this is the only sender.
                    let _ = stream.outbound.try_send(frame);
                }
            }
            Event::Received(Ok(frame)) => {
                self.pipeline.receive(clock::now(), frame);
                self.follow_redirect();
            }
        }
    }

    /// Goes where the replica has said that the leader is.
    fn follow_redirect(&mut self) {
        let Wire::Connected(stream) = &self.wire else { return };
        match self.pipeline.redirect() {
            None => {
                self.route.succeeded();
                if self.route.target() == Target::Leader {
                    self.surroundings.leader.set(&stream.address);
                }
            }
            Some(redirect) => {
                let wait = self.route.redirected(&stream.address, redirect.leader);
                self.disconnect(wait, None);
            }
        }
    }

    /// The way to a replica is lost, or was not found.
    fn lost(&mut self, error: Error) {
        let address = match &self.wire {
            Wire::Connected(stream) => &stream.address,
            Wire::Connecting { address, .. } => address,
            Wire::Idle { .. } => return,
        };
        tracing::debug!(address, %error, "connection lost");
        self.surroundings.connections.forget(address);
        let wait = self.route.failed(address);
        self.disconnect(wait, Some(error));
    }

    fn disconnect(&mut self, wait: Duration, problem: Option<Error>) {
        self.pipeline.disconnected(problem);
        self.wire = Wire::Idle { until: clock::now() + wait };
    }

    fn on_topology(&mut self, topology: &Topology) {
        let partition = topology.partition(self.surroundings.purpose.partition);
        match &self.wire {
            Wire::Connected(stream) if self.route.is_outdated(&partition, &stream.address) => {
                self.disconnect(Duration::ZERO, None);
            }
            Wire::Idle { .. } if self.route.is_found(&partition) => {
                self.wire = Wire::Idle { until: clock::now() };
            }
            _ => {}
        }
    }
}
