//! Who a replica is: the file `identity` in its directory. The layout is on the page of [formats](crate::formats).
//!
//! A directory without the file is blank. With it, the replica is that member of that partition for good, and `stage`
//! says whether it has ever been given data. What must not go here: anything that changes while a replica works.

use std::path::{Path, PathBuf};

use synod_types::{MemberId, PartitionId};

use crate::disk::{Disk, DiskError, DiskErrorKind, read_all, remove_if_there, replace_file};
use crate::fields::Fields;
use crate::formats::{IDENTITY_MAGIC, IDENTITY_VERSION};

/// The name of the file.
const FILE: &str = "identity";

/// How far the life of a replica has come. The numbers are persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// It waits to be told to bootstrap or to join, and may hold anything or nothing: it takes no part.
    Waiting = 1,
    /// It has a log, and may have voted and acknowledged.
    HoldsData = 2,
    /// It goes on alone: its newest snapshot is all that it has, and what is in the log belongs to the member that it
    /// was.
    GoesOnAlone = 3,
}

/// Who a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `namespace/name` of the group.
    pub group: String,
    /// Which partition of it.
    pub partition: PartitionId,
    /// Which incarnation of a replica of the partition.
    pub member: MemberId,
    /// How far its life has come.
    pub stage: Stage,
}

/// Why an identity cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is not what was written. The replica must not take part: it is to be replaced.
    #[error("the identity \"{}\" is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
    /// A newer version of Synod wrote the file.
    #[error("the identity \"{}\" was written by a newer version of Synod: it has {found}", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// What is not known here.
        found: String,
    },
}

impl Identity {
    /// The identity in a directory, durable; none if the directory is blank or does not exist.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`], [`IdentityError::NewerVersion`], and those of the disk.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = dir.join(FILE);
        let file = match disk.open(&path) {
            Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        read_all(&*file, &mut bytes)?;
        let identity = Self::decode(&bytes, &path)?;
        // A process that died in writing may have left a name that is not durable, and this is acted upon.
        disk.sync_dir(dir)?;
        Ok(Some(identity))
    }

    /// Writes the identity into a directory, which exists. Atomic, and durable on return.
    ///
    /// # Errors
    /// Those of the disk: the old or the new identity is there.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), DiskError> {
        replace_file(disk, dir, FILE, &self.encode())
    }

    /// Removes the identity from a directory, durably. That there is none is fine.
    ///
    /// # Errors
    /// Those of the disk: it may still be there.
    pub fn remove(disk: &dyn Disk, dir: &Path) -> Result<(), DiskError> {
        remove_if_there(disk, &dir.join(FILE))?;
        disk.sync_dir(dir)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut checked = Vec::with_capacity(24 + self.group.len());
        checked.extend_from_slice(&IDENTITY_VERSION.to_le_bytes());
        checked.extend_from_slice(&self.partition.get().to_le_bytes());
        checked.extend_from_slice(&self.member.get().to_le_bytes());
        checked.extend_from_slice(&[self.stage as u8, 0, 0, 0]);
        checked.extend_from_slice(&(self.group.len() as u32).to_le_bytes());
        checked.extend_from_slice(self.group.as_bytes());
        let checksum = crc32c::crc32c(&checked).to_le_bytes();
        [&IDENTITY_MAGIC[..], &checksum, &checked].concat()
    }

    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self, IdentityError> {
        let damaged = |reason| IdentityError::Damaged { path: path.to_owned(), reason };
        let newer = |found| IdentityError::NewerVersion { path: path.to_owned(), found };
        let mut fields = Fields(bytes);
        if fields.array() != Some(IDENTITY_MAGIC) {
            return Err(damaged("it does not start as an identity does"));
        }
        if fields.u32() != Some(crc32c::crc32c(fields.0)) {
            return Err(damaged("its checksum does not fit"));
        }
        let short = || damaged("it is too short");
        let version = fields.u32().ok_or_else(short)?;
        if version != IDENTITY_VERSION {
            return Err(newer(format!("format version {version}")));
        }
        let partition = PartitionId(fields.u32().ok_or_else(short)?);
        let member = MemberId(fields.u64().ok_or_else(short)?);
        let stage = match fields.array::<4>().ok_or_else(short)? {
            [1, 0, 0, 0] => Stage::Waiting,
            [2, 0, 0, 0] => Stage::HoldsData,
            [3, 0, 0, 0] => Stage::GoesOnAlone,
            stage => return Err(newer(format!("a stage {stage:?}"))),
        };
        let group_bytes = fields.u32().ok_or_else(short)?;
        let group = fields.bytes(group_bytes).ok_or_else(short)?;
        let group = std::str::from_utf8(group).map_err(|_| damaged("its group is not UTF-8"))?;
        if !fields.is_empty() {
            return Err(damaged("it is too long"));
        }
        Ok(Self { group: group.to_owned(), partition, member, stage })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::{RealDisk, SimDisk};

    const DIR: &str = "/replica";

    fn identity(stage: Stage) -> Identity {
        Identity {
            group: "default/orders".into(),
            partition: PartitionId(3),
            member: MemberId(0x0102_0304_0506_0708),
            stage,
        }
    }

    #[test]
    fn it_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Identity::read(&RealDisk, dir.path()).unwrap(), None);
        assert_eq!(Identity::read(&RealDisk, &dir.path().join("absent")).unwrap(), None);
        for stage in [Stage::Waiting, Stage::HoldsData] {
            identity(stage).write(&RealDisk, dir.path()).unwrap();
            let read = Identity::read(&RealDisk, dir.path()).unwrap();
            assert_eq!(read, Some(identity(stage)));
        }
    }

    #[test]
    fn a_crash_leaves_the_old_or_the_new() {
        for boundary in 0..8 {
            for seed in 0..20 {
                let disk = SimDisk::new(seed);
                disk.create_dir_all(Path::new(DIR)).unwrap();
                identity(Stage::Waiting).write(&disk, Path::new(DIR)).unwrap();
                disk.power_off_after(boundary);
                let written = identity(Stage::HoldsData).write(&disk, Path::new(DIR)).is_ok();
                disk.crash();
                let found = Identity::read(&disk, Path::new(DIR)).unwrap().unwrap();
                assert!(
                    found == identity(Stage::HoldsData) || (!written && found == identity(Stage::Waiting))
                );
            }
        }
    }

    #[test]
    fn any_flipped_bit_or_cut_is_noticed() {
        let bytes = identity(Stage::HoldsData).encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let result = Identity::decode(&bytes, Path::new(DIR));
                assert!(matches!(result, Err(IdentityError::Damaged { .. })), "{at}.{bit}");
            }
            assert!(Identity::decode(&bytes[..at], Path::new(DIR)).is_err());
        }
        assert!(Identity::decode(&[&bytes[..], b"x"].concat(), Path::new(DIR)).is_err());
    }

    #[test]
    fn a_newer_version_is_said_to_be_one() {
        let mut bytes = identity(Stage::HoldsData).encode();
        bytes[12] = 2;
        let checksum = crc32c::crc32c(&bytes[12..]).to_le_bytes();
        bytes[8..12].copy_from_slice(&checksum);
        let error = Identity::decode(&bytes, Path::new("/r/identity")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the identity \"/r/identity\" was written by a newer version of Synod: it has format version 2"
        );
    }

    proptest! {
        #[test]
        fn random_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(Identity::decode(&bytes, Path::new(DIR)).is_err());
            let checked = [&IDENTITY_MAGIC[..], &crc32c::crc32c(&bytes).to_le_bytes(), &bytes].concat();
            prop_assert!(Identity::decode(&checked, Path::new(DIR)).is_err());
        }

        #[test]
        fn every_identity_is_read_back(group in ".{0,80}", partition: u32, member: u64) {
            let identity = Identity {
                group,
                partition: PartitionId(partition),
                member: MemberId(member),
                stage: Stage::Waiting,
            };
            prop_assert_eq!(Identity::decode(&identity.encode(), Path::new(DIR)).unwrap(), identity);
        }
    }
}
