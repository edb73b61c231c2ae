//! Being a candidate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use synod_proto::election::v1 as wire;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_types::{ErrorCode, Fence, Index, PartitionId};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{ElectionTerm, term};
use crate::error::{Error, Result};
use crate::events::{Filter, Follow, Followed, Start};
use crate::handle::{Executed, Handle, Sending};
use crate::hold::{Hold, HoldState, Loss};
use crate::partition::Consistency;
use crate::partition::pipeline::Under;

/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// A candidate that was entered, for as long as the session of the client lives.
///
/// A task of its own follows the election. Whether this candidate leads is known as far as it was told: hand the
/// [fence](Candidacy::leads) to whatever the leader acts on. Leadership counts as lost before the server could give it to
/// another candidate because this client has gone silent, as with a [`Guard`](crate::Guard).
///
/// Dropping it takes the candidate out in the background; [`Candidacy::withdraw`] waits for that, and
/// [`Candidacy::forget`] does not take it out. A client should enter a candidate once: two candidacies of the same name
/// are one for the server, and the first to be dropped ends both.
#[derive(Debug)]
pub struct Candidacy {
    entry: Arc<Entry>,
    keeper: JoinHandle<()>,
}

/// What the candidacy and the task that follows the election share.
#[derive(Debug)]
struct Entry {
    place: Place,
    hold: Hold,
    term: watch::Sender<ElectionTerm>,
}

/// Where a candidate is entered. Withdraws it when it is dropped, unless it is told otherwise.
#[derive(Debug)]
struct Place {
    handle: Handle,
    partition: PartitionId,
    candidate: String,
    /// The session under which it was entered, or the current one as long as that is not known.
    under: Under,
    is_entered: AtomicBool,
}

impl Place {
    fn withdraw(&self) -> Write {
        let candidate = self.candidate.clone();
        Write::ElectionWithdraw(wire::WithdrawRequest { primitive: None, candidate })
    }

    fn withdraw_unattended(&self) {
        self.handle.write_unattended(self.partition, self.withdraw(), self.under);
    }

    fn leave_it(&self) {
        self.is_entered.store(false, Ordering::Release);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if *self.is_entered.get_mut() {
            self.withdraw_unattended();
        }
    }
}

impl Candidacy {
    pub(super) async fn enter(mut handle: Handle, candidate: String) -> Result<Self> {
        handle.consistency = Consistency::Linearizable;
        handle.ensure().await?;
        let partition = handle.home();
        let mut follow =
            Follow::new(handle.group.partition(partition)?, handle.id(), Filter::All, Start::Now);
        // Watched first, so that no change is missed after the state was read.
        let started = async {
            while !matches!(follow.next().await?, Followed::Started(_)) {}
            Ok::<_, Error>(())
        };
        tokio::time::timeout(handle.timeout, started).await.map_err(|_| {
            Error::new(ErrorCode::Timeout, "the election cannot be watched, nothing was done")
        })??;
        let mut place = Place {
            handle: handle.clone(),
            partition,
            candidate: candidate.clone(),
            under: Under::Current,
            is_entered: true.into(),
        };
        let enter = Write::ElectionEnter(wire::EnterRequest { primitive: None, candidate });
        let sending = Sending { patient: false, ..Sending::default() };
        let entered = handle.write_with::<wire::EnterResponse>(partition, enter, sending).await;
        let Executed { tenure, .. } = entered.inspect_err(|error| {
            if !error.may_have_happened() {
                place.leave_it();
            }
        })?;
        let tenure = tenure
            .ok_or_else(|| Error::new(ErrorCode::Internal, "the candidate was entered without a session"))?;
        place.under = Under::Only(tenure.session());
        let (now, index) = read(&handle, partition).await?;
        let (hold, term) = (Hold::new(tenure, None), watch::Sender::new(now));
        let entry = Arc::new(Entry { place, hold, term });
        let keeper = tokio::spawn(keep(entry.clone(), follow, index));
        Ok(Self { entry, keeper })
    }

    /// The candidate.
    pub fn candidate(&self) -> &str {
        &self.entry.place.candidate
    }

    /// Whether the candidate leads, as far as is known.
    pub fn is_leader(&self) -> bool {
        self.leads().is_some()
    }

    /// The fence of its leadership, if the candidate leads as far as is known.
    pub fn leads(&self) -> Option<Fence> {
        let term = self.entry.term.borrow();
        let leads = term.leader.as_deref() == Some(self.candidate()) && self.state() != HoldState::Lost;
        leads.then_some(term.id)
    }

    /// The state of the election as it was told last.
    pub fn term(&self) -> ElectionTerm {
        self.entry.term.borrow().clone()
    }

    /// The changes of the state of the election.
    pub fn term_changes(&self) -> watch::Receiver<ElectionTerm> {
        self.entry.term.subscribe()
    }

    /// Whether the candidate is still in the election, at this moment by the clock.
    pub fn state(&self) -> HoldState {
        self.entry.hold.state()
    }

    /// The changes of [`Candidacy::state`].
    pub fn state_changes(&self) -> watch::Receiver<HoldState> {
        self.entry.hold.changes()
    }

    /// Why it is not in the election any more, if it is not.
    pub fn loss(&self) -> Option<Loss> {
        self.entry.hold.loss()
    }

    /// Resolves when the candidate is not in the election any more.
    pub async fn lost(&self) -> Loss {
        let mut changes = self.state_changes();
        // The sender lives as long as this candidacy.
        let _ = changes.wait_for(|state| *state == HoldState::Lost).await;
        self.loss().unwrap_or(Loss::Unconfirmed)
    }

    /// Waits until the candidate leads, and returns its fence.
    ///
    /// # Errors
    /// [`ErrorCode::NotHeld`] when the candidate is not in the election any more.
    pub async fn wait_until_leader(&self) -> Result<Fence> {
        let mut terms = self.term_changes();
        loop {
            if let Some(fence) = self.leads() {
                return Ok(fence);
            }
            tokio::select! {
                loss = self.lost() => {
                    let message = format!("candidate \"{}\" is not in the election: {loss:?}", self.candidate());
                    return Err(Error::new(ErrorCode::NotHeld, message));
                }
                // The sender lives as long as this candidacy.
                _ = terms.changed() => {}
            }
        }
    }

    /// Takes the candidate out.
    ///
    /// # Errors
    /// Whatever keeps an answer from being had; it is then done in the background.
    pub async fn withdraw(self) -> Result<()> {
        let Entry { place, hold, .. } = &*self.entry;
        let sending = Sending { under: place.under, patient: true };
        let withdrawn = place
            .handle
            .write_with::<wire::WithdrawResponse>(place.partition, place.withdraw(), sending)
            .await;
        match withdrawn {
            // With its session it is out as well.
            Err(error) if error.code() != ErrorCode::SessionNotFound => return Err(error),
            _ => {}
        }
        hold.lose(Loss::Released);
        place.leave_it();
        Ok(())
    }

    /// Stops following the election and leaves the candidate in it, until the session of the client ends.
    pub fn forget(self) {
        self.entry.place.leave_it();
    }
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Follows the election until the candidate is not in it any more. `index` is the command up to which the state is known.
async fn keep(entry: Arc<Entry>, follow: Follow, index: Index) {
    let loss = tokio::select! {
        loss = entry.hold.until_lost() => loss,
        loss = until_out(&entry, follow, index) => loss,
    };
    entry.hold.lose(loss);
    if loss == Loss::Unconfirmed {
        // If the session lives all the same, others need not wait for its end.
        entry.place.withdraw_unattended();
    }
    entry.place.leave_it();
}

async fn until_out(entry: &Entry, mut follow: Follow, mut known: Index) -> Loss {
    let place = &entry.place;
    loop {
        let now = match follow.next().await {
            Ok(Followed::Event(event)) if event.index > known.get() => event.event.and_then(term),
            Ok(Followed::Event(_) | Followed::Progress(_)) => None,
            // After a gap: everything is seen from here on, and the state is read.
            Ok(Followed::Started(_)) => {
                let (now, index) = read_patiently(place).await;
                known = index;
                Some(now)
            }
            Err(error) if error.code() == ErrorCode::Compacted => None,
            // The client is closed, and the session with it.
            Err(_) => return std::future::pending().await,
        };
        let Some(now) = now else { continue };
        let is_in = now.contains(&place.candidate);
        entry.term.send_replace(now);
        if !is_in {
            return Loss::Forced;
        }
    }
}

async fn read_patiently(place: &Place) -> (ElectionTerm, Index) {
    loop {
        match read(&place.handle, place.partition).await {
            Ok(read) => return read,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// The state of the election, and the command up to which that is.
async fn read(handle: &Handle, partition: PartitionId) -> Result<(ElectionTerm, Index)> {
    let get = Read::ElectionGet(wire::GetRequest::default());
    let answer: Option<(wire::GetResponse, Index)> = handle.read_with_index(partition, get).await?;
    let (response, index) = answer.unwrap_or_default();
    Ok((response.term.unwrap_or_default().into(), index))
}
