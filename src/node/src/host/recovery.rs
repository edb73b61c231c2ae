//! A replica goes on alone, when somebody says that the majority is lost for good.

use std::sync::Arc;

use synod_storage::identity::{Identity, Stage};
use synod_types::{Error, ErrorCode, MemberId};
use tokio::sync::oneshot;

use super::Host;
use crate::clock::SystemRandom;
use crate::driver::Mail;
use crate::slot::{Slot, Standing};

impl Host {
    /// Makes a replica the only member of its partition, under a fresh id, which is returned. It serves again soon after.
    pub(crate) fn recover(
        self: &Arc<Self>,
        group: &str,
        partition: u32,
        member: MemberId,
    ) -> Result<MemberId, Error> {
        let slot = self.slot(group, partition)?;
        let _birth = self.birth(&slot)?;
        self.check_lost(&slot, member)?;
        let conflict = || Error::new(ErrorCode::Conflict, "the replica here holds no data");
        let identity = slot.home().identity().map_err(Error::from)?.ok_or_else(conflict)?;
        slot.stop();
        let recovered = self.go_on_alone(&slot, &identity);
        // Whatever came of it, it goes on as who it is now.
        self.open(&slot);
        let member = recovered?;
        tracing::warn!(
            replica = slot.name(),
            was = %identity.member,
            %member,
            "the replica goes on alone, as it was told: what never reached it is lost"
        );
        Ok(member)
    }

    fn go_on_alone(&self, slot: &Slot, identity: &Identity) -> Result<MemberId, Error> {
        if identity.stage == Stage::Waiting {
            return Err(Error::new(ErrorCode::Conflict, "the replica here holds no data"));
        }
        let next = slot.home().go_on_alone(identity, &self.config.name, &mut SystemRandom);
        Ok(next.map_err(Error::from)?.member)
    }

    /// Sees that it is this member that is meant, and that it knows of nobody who could be asked instead.
    fn check_lost(&self, slot: &Slot, member: MemberId) -> Result<(), Error> {
        let conflict = |message: String| Err(Error::new(ErrorCode::Conflict, message));
        let running = match slot.standing() {
            Standing::Running(running) => running,
            Standing::Failed(_, error) => return Err(error.within("the replica here has failed")),
            Standing::Blank | Standing::Waiting(_) => {
                return conflict("the replica here holds no data".to_owned());
            }
        };
        if running.member != member {
            return conflict(format!("the replica here is member {}, not {member}", running.member));
        }
        let (answer, answered) = oneshot::channel();
        running.mail(Mail::Status(answer));
        let gone = |_| Error::new(ErrorCode::Unavailable, "the replica has stopped");
        let status = answered.blocking_recv().map_err(gone)?.protocol;
        if let Some(leader) = status.standing.leader {
            return conflict(format!("member {leader} leads: nothing is lost"));
        }
        if status.membership.voters == [member] && status.membership.voters_outgoing.is_empty() {
            return conflict(format!("member {member} is the only voter: it leads soon"));
        }
        Ok(())
    }
}
