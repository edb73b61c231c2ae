//! The names in the directories of the simulated disk, and what a crash leaves of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::random::SplitMix64;

/// Which file a name stands for.
pub(super) type FileId = u64;

/// A change of a directory that is not durable yet.
#[derive(Clone)]
enum Change {
    Link(String, FileId),
    Unlink(String),
    Rename(String, String),
}

/// One directory: as programs see it, and as it would be found after a crash that loses the most.
#[derive(Clone, Default)]
struct Directory {
    names: BTreeMap<String, FileId>,
    durable: BTreeMap<String, FileId>,
    pending: Vec<Change>,
}

impl Directory {
    fn make(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.pending.push(change);
    }

    /// Makes the first `count` changes durable.
    fn settle(&mut self, count: usize) {
        for change in self.pending.drain(..count) {
            apply(&mut self.durable, &change);
        }
    }
}

fn apply(names: &mut BTreeMap<String, FileId>, change: &Change) {
    match change {
        Change::Link(name, file) => {
            names.insert(name.clone(), *file);
        }
        Change::Unlink(name) => {
            names.remove(name);
        }
        Change::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}

/// All directories.
#[derive(Clone, Default)]
pub(super) struct Names {
    directories: BTreeMap<PathBuf, Directory>,
}

/// A path as directory and name.
fn split(path: &Path) -> Option<(&Path, String)> {
    Some((path.parent()?, path.file_name()?.to_str()?.to_owned()))
}

impl Names {
    pub(super) fn create_dir_all(&mut self, dir: &Path) {
        for dir in dir.ancestors() {
            self.directories.entry(dir.to_owned()).or_default();
        }
    }

    pub(super) fn has_dir(&self, dir: &Path) -> bool {
        self.directories.contains_key(dir)
    }

    pub(super) fn file(&self, path: &Path) -> Option<FileId> {
        let (dir, name) = split(path)?;
        self.directories.get(dir)?.names.get(&name).copied()
    }

    /// The files and directories in a directory.
    pub(super) fn list(&self, dir: &Path) -> Option<Vec<String>> {
        let mut names: Vec<String> = self.directories.get(dir)?.names.keys().cloned().collect();
        let below = self.directories.keys().filter(|path| path.parent() == Some(dir));
        names.extend(below.filter_map(|path| Some(split(path)?.1)));
        names.sort_unstable();
        Some(names)
    }

    /// False if there is no such directory.
    pub(super) fn link(&mut self, path: &Path, file: FileId) -> bool {
        self.make(path, |name| Some(Change::Link(name, file)))
    }

    /// False if there is no such directory.
    pub(super) fn unlink(&mut self, path: &Path) -> bool {
        self.make(path, |name| Some(Change::Unlink(name)))
    }

    /// False if the two are not in one directory that exists.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> bool {
        from.parent() == to.parent() && self.make(from, |name| Some(Change::Rename(name, split(to)?.1)))
    }

    fn make(&mut self, path: &Path, change: impl FnOnce(String) -> Option<Change>) -> bool {
        let found = split(path).and_then(|(dir, name)| Some((self.directories.get_mut(dir)?, change(name)?)));
        let Some((dir, change)) = found else {
            return false;
        };
        dir.make(change);
        true
    }

    pub(super) fn sync(&mut self, dir: &Path) {
        if let Some(dir) = self.directories.get_mut(dir) {
            dir.settle(dir.pending.len());
        }
    }

    /// Loses changes that were not synced. A directory keeps its changes in the order in which they were made, as
    /// journaling file systems do: some first ones survive and the rest is gone.
    pub(super) fn crash(&mut self, random: &mut SplitMix64) {
        for dir in self.directories.values_mut() {
            let survivors = random.below(dir.pending.len() as u64 + 1);
            dir.settle(usize::try_from(survivors).unwrap_or(0));
            dir.pending.clear();
            dir.names = dir.durable.clone();
        }
    }

    /// Every file that has a name or may get one back in a crash.
    pub(super) fn reachable(&self) -> impl Iterator<Item = FileId> {
        self.directories.values().flat_map(|dir| {
            let pending = dir.pending.iter().filter_map(|change| match change {
                Change::Link(_, file) => Some(*file),
                Change::Unlink(_) | Change::Rename(..) => None,
            });
            let named = dir.names.values().chain(dir.durable.values()).copied();
            named.chain(pending)
        })
    }

    /// The files in a directory; none if its names are not durable or it does not exist.
    pub(super) fn settled(&self, dir: &Path) -> Option<impl Iterator<Item = FileId>> {
        let dir = self.directories.get(dir).filter(|dir| dir.pending.is_empty())?;
        Some(dir.names.values().copied())
    }

    /// Every file that has a name now.
    pub(super) fn named(&self) -> impl Iterator<Item = FileId> {
        self.directories.values().flat_map(|dir| dir.names.values().copied())
    }
}
