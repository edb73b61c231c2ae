//! The file that says who a replica is.
//!
//! Promise: an identity that is read can be written, and is then read as the same.

use std::path::Path;

use synod_storage::disk::{Disk as _, SimDisk};
use synod_storage::identity::{Identity, Stage};
use synod_types::{MemberId, PartitionId};

const DIR: &str = "/replica";

fn written(identity: &Identity) -> (SimDisk, String) {
    let disk = SimDisk::new(0);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    identity.write(&disk, Path::new(DIR)).unwrap();
    let name = disk.list(Path::new(DIR)).unwrap().remove(0);
    (disk, name)
}

fn identity(group: &str, stage: Stage) -> Identity {
    Identity { group: group.to_owned(), partition: PartitionId(2), member: MemberId(77), stage }
}

/// Whether the bytes are an identity.
pub fn run(bytes: &[u8]) -> bool {
    let (disk, name) = written(&identity("default/sample", Stage::Waiting));
    disk.plant(&Path::new(DIR).join(name), bytes).unwrap();
    let Ok(Some(found)) = Identity::read(&disk, Path::new(DIR)) else { return false };
    let (again, _) = written(&found);
    assert_eq!(Identity::read(&again, Path::new(DIR)), Ok(Some(found)));
    true
}

/// One of each stage.
pub fn seeds() -> Vec<Vec<u8>> {
    let all = [identity("default/sample", Stage::Waiting), identity("a/b", Stage::HoldsData)];
    let contents = all.iter().map(|identity| {
        let (disk, name) = written(identity);
        disk.contents(&Path::new(DIR).join(name)).unwrap()
    });
    contents.collect()
}
