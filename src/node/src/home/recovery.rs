//! A partition has lost its majority for good, and goes on with the one replica that lives here.
//!
//! The snapshot of what it has comes first, still under the old id: until the identity says otherwise the replica is who it
//! was, and can be told again. From then on the log of before is void. The old id never votes again, so that whoever is
//! left of the others is as far from a majority as without it.

use synod_protocol::Membership;
use synod_replica::SnapshotJob;
use synod_replica::machine::Machine;
use synod_storage::identity::{Identity, Stage};
use synod_types::{Error, ErrorCode, Random};

use super::{Home, HomeError, Opened, draw, load, metadata_of};

impl Home {
    /// Makes the replica here, which does not run, the only member of its partition, under a fresh id, with everything that
    /// is in its log. `node` is where it lives. Returns who it is then, durably.
    ///
    /// # Errors
    /// When it was taken out, what is here is damaged, or the disk refuses: the replica is who it was, or
    /// [`Home::settle`] ends it.
    pub fn go_on_alone(
        &self,
        identity: &Identity,
        node: &str,
        random: &mut dyn Random,
    ) -> Result<Identity, HomeError> {
        let Opened { wal, mut machine, start, .. } = self.open(identity)?;
        drop(wal);
        for entry in &start.entries {
            machine.apply_without_members(entry)?;
        }
        let term = start.hard_state.term.max(machine.applied().term);
        let members = machine.members();
        // Who was interrupted here is the only member already, under an id that was never used.
        let own = members.get(identity.member).or_else(|| members.iter().find(|member| member.node == node));
        let mut member = own.cloned().ok_or_else(|| {
            Error::new(
                ErrorCode::Conflict,
                "the replica here was taken out of its partition before that lost its majority",
            )
        })?;
        let next = Identity { member: draw(random), stage: Stage::GoesOnAlone, ..identity.clone() };
        member.id = next.member.get();
        machine.go_on_alone(&member, term)?;
        let (state, history) = (machine.store().snapshot(), machine.history().clone());
        self.save_snapshot(SnapshotJob { metadata: metadata_of(&machine), state, history }, || {})?;
        next.write(&*self.disk, &self.dir)?;
        self.settle(&next, random)
    }

    /// Ends what [`Home::go_on_alone`] began, if it was interrupted. Returns who lives here.
    ///
    /// # Errors
    /// When the disk refuses; it can be called again.
    pub fn settle(&self, identity: &Identity, random: &mut dyn Random) -> Result<Identity, HomeError> {
        if identity.stage != Stage::GoesOnAlone {
            return Ok(identity.clone());
        }
        let gone =
            || Error::new(ErrorCode::Corrupt, "the snapshot from which the replica is to go on is gone");
        let reader = self.snapshots()?.newest()?.reader.ok_or_else(gone)?;
        let (store, history) = load(&reader)?;
        let machine = Machine::load(Box::new(store), history)?;
        let metadata = metadata_of(&machine);
        // An older one is of no use: its members are others.
        if metadata.membership != Membership::of_voters([identity.member]) {
            return Err(gone().into());
        }
        self.clear_log()?;
        self.begin(identity, &metadata, random)?;
        Ok(Identity { stage: Stage::HoldsData, ..identity.clone() })
    }
}

#[cfg(test)]
mod tests;
