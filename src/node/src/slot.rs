//! A place for one replica, and the replica that runs there.

use std::sync::{Arc, Mutex, PoisonError};

use prost::Message as _;
use synod_proto::session::v1::Request;
use synod_protocol::Message;
use synod_replica::ClientId;
use synod_storage::identity::Identity;
use synod_types::{Error, ErrorCode, LogIndex, MemberId, SlotTable};
use tokio::sync::watch;

use crate::driver::{Driver, Glance, Mail};
use crate::home::Home;
use crate::peers::Address;

/// How much mail may wait for a replica when a client's is added; beyond, it is refused at once.
const MAIL_MAX: usize = 65_536;
const MAIL_BYTES_MAX: usize = 64 << 20;

/// The mail of other members has as much room again, so that clients cannot crowd it out; beyond, it is lost.
const PEER_FACTOR: usize = 2;

/// A place for one replica.
pub(crate) struct Slot {
    group: String,
    partition: u32,
    home: Arc<Home>,
    stage: Mutex<Stage>,
    /// Told whenever the stage of any slot of the node changes.
    changed: watch::Sender<()>,
    /// Held by whoever receives a snapshot: one at a time.
    pub(crate) receiving: tokio::sync::Mutex<()>,
    /// Why the last snapshot that was offered could not be kept, and where it stands.
    unkept: Mutex<Option<(LogIndex, Error)>>,
    /// Held while the replica is prepared, bootstrapped, or joins: a leader may offer the first snapshot at the very
    /// moment at which an operator bootstraps.
    pub(crate) birth: Mutex<()>,
}

/// What is known of the replica in a slot.
pub(crate) enum Stage {
    Blank,
    Waiting(Identity),
    Running(Arc<Running>),
    Failed(Option<MemberId>, Error),
}

/// How a slot stands.
pub(crate) enum Standing {
    Blank,
    Waiting(MemberId),
    Running(Arc<Running>),
    Failed(Option<MemberId>, Error),
}

impl Slot {
    pub(crate) fn new(group: String, partition: u32, home: Arc<Home>, changed: watch::Sender<()>) -> Self {
        let (receiving, birth) = (tokio::sync::Mutex::default(), Mutex::default());
        let (stage, unkept) = (Mutex::new(Stage::Blank), Mutex::default());
        Self { group, partition, home, stage, changed, receiving, unkept, birth }
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    pub(crate) const fn partition(&self) -> u32 {
        self.partition
    }

    pub(crate) const fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// The replica's name in logs.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.group, self.partition)
    }

    pub(crate) fn standing(&self) -> Standing {
        match &*self.stage.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Blank => Standing::Blank,
            Stage::Waiting(identity) => Standing::Waiting(identity.member),
            Stage::Running(running) => match running.glance().borrow().failed.clone() {
                Some(error) => Standing::Failed(Some(running.member), error),
                None => Standing::Running(running.clone()),
            },
            Stage::Failed(member, error) => Standing::Failed(*member, error.clone()),
        }
    }

    /// What a replica that waits needs to begin.
    ///
    /// # Errors
    /// When it does not wait.
    pub(crate) fn waiting(&self) -> Result<Identity, Error> {
        match &*self.stage.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Waiting(identity) => Ok(identity.clone()),
            Stage::Blank => Err(Error::new(ErrorCode::Conflict, "the replica is not prepared yet")),
            Stage::Running(_) => Err(Error::new(ErrorCode::AlreadyExists, "the replica holds data already")),
            Stage::Failed(_, error) => Err(error.clone()),
        }
    }

    pub(crate) fn set(&self, stage: Stage) {
        *self.unkept.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        self.changed.send_replace(());
    }

    /// Stops the replica, if one runs, also if the replica has failed.
    pub(crate) fn stop(&self) {
        let running = match &*self.stage.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Running(running) => Some(running.clone()),
            Stage::Blank | Stage::Waiting(_) | Stage::Failed(..) => None,
        };
        if let Some(running) = running {
            running.stop();
        }
    }

    /// Lets go of the replica, which has stopped because the node goes down.
    pub(crate) fn retire(&self) {
        let member = match self.standing() {
            Standing::Running(running) => Some(running.member),
            Standing::Waiting(member) => Some(member),
            Standing::Failed(member, _) => member,
            Standing::Blank => None,
        };
        self.set(Stage::Failed(member, Error::new(ErrorCode::Unavailable, "the node is shutting down")));
    }

    /// Notes what became of a snapshot that was offered. Whoever offers it knows what else may have gone wrong; what is
    /// wrong with the disk here, only this node does.
    pub(crate) fn note_offer(&self, index: LogIndex, outcome: &Result<(), Error>) {
        let mut unkept = self.unkept.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => *unkept = None,
            Err(error) if matches!(error.code(), ErrorCode::ResourceExhausted | ErrorCode::Corrupt) => {
                *unkept = Some((index, error.clone().within("a snapshot could not be received")));
            }
            Err(_) => {}
        }
    }

    /// Why a snapshot could not be received that a replica needs which has applied so much: it is offered again. Nothing
    /// once the replica has come by what was in it.
    pub(crate) fn unkept_offer(&self, applied: LogIndex) -> Option<Error> {
        let unkept = self.unkept.lock().unwrap_or_else(PoisonError::into_inner);
        unkept.as_ref().filter(|(index, _)| applied < *index).map(|(_, error)| error.clone())
    }

    /// Whether the replica has stopped for want of room alone, and starts again once there is some.
    pub(crate) fn is_stalled(&self) -> bool {
        matches!(self.standing(), Standing::Failed(_, error) if error.code() == ErrorCode::ResourceExhausted)
    }

    /// Why this replica is not in full service; nothing if it is.
    pub(crate) fn problem(&self) -> Option<String> {
        let problem = match self.standing() {
            Standing::Running(running) if running.glance().borrow().standing.leader.is_some() => return None,
            Standing::Running(_) => "knows no leader".to_owned(),
            Standing::Blank | Standing::Waiting(_) => "waits to be bootstrapped or to join".to_owned(),
            Standing::Failed(_, error) => format!("has failed: {error}"),
        };
        Some(format!("replica {} {problem}", self.name()))
    }
}

/// A replica that runs.
pub(crate) struct Running {
    pub(crate) member: MemberId,
    /// Which partition of its group holds which key.
    pub(crate) slots: SlotTable,
    driver: Driver,
}

impl Running {
    pub(crate) const fn new(member: MemberId, slots: SlotTable, driver: Driver) -> Self {
        Self { member, slots, driver }
    }

    /// Sends mail to the replica; false if it is gone.
    pub(crate) fn mail(&self, mail: Mail) -> bool {
        self.driver.mailbox.push(mail)
    }

    /// Whether it takes nothing any more, for good.
    pub(crate) fn is_gone(&self) -> bool {
        self.driver.mailbox.is_closed()
    }

    /// Passes requests of a client on.
    ///
    /// # Errors
    /// Definite ones: [`ErrorCode::ResourceExhausted`] when more waits for the replica than it could do in good time,
    /// [`ErrorCode::Unavailable`] when it is gone.
    pub(crate) fn ask(&self, client: ClientId, requests: Vec<Request>) -> Result<(), Error> {
        if self.is_overloaded(1) {
            let message = "the replica is overloaded: try again later";
            return Err(Error::new(ErrorCode::ResourceExhausted, message));
        }
        let bytes = requests.iter().map(Request::encoded_len).sum();
        if self.driver.mailbox.push_weighed(Mail::Requests(client, requests, bytes), bytes) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::Unavailable, "the replica here has stopped: ask another one"))
    }

    /// Passes a message of another member on. False if it is lost.
    pub(crate) fn tell(&self, message: Message, speaker: Option<Address>, bytes: usize) -> bool {
        let mail = Mail::Message(message, speaker);
        !self.is_overloaded(PEER_FACTOR) && self.driver.mailbox.push_weighed(mail, bytes)
    }

    fn is_overloaded(&self, factor: usize) -> bool {
        let (items, bytes) = self.driver.mailbox.load();
        items >= MAIL_MAX * factor || bytes >= MAIL_BYTES_MAX * factor
    }

    /// What can be seen without asking the replica.
    pub(crate) fn glance(&self) -> watch::Receiver<Glance> {
        self.driver.glance.clone()
    }

    /// For how long the task has not done what was due.
    pub(crate) fn overdue(&self) -> std::time::Duration {
        self.driver.overdue()
    }

    /// Stops the replica after the mail that it is working on.
    pub(crate) fn stop(&self) {
        self.driver.stop();
    }
}
