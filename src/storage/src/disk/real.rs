//! The file system of the machine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{DirLock, Disk, DiskError, DiskErrorKind, DiskFile, Operation, Result};

/// The file whose lock stands for the lock of its directory.
const LOCK_FILE: &str = "lock";

/// A [`Disk`] on the file system of the machine. It keeps nothing itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile {
    file: File,
    path: PathBuf,
}

struct RealLock {
    _file: File,
}

/// Turns an [`io::Error`] into ours, with the operation and the path.
fn at<'a>(operation: Operation, path: &'a Path) -> impl Fn(io::Error) -> DiskError + 'a {
    move |error| DiskError::from_io(operation, path, &error)
}

fn boxed(file: File, path: &Path) -> Box<dyn DiskFile> {
    Box::new(RealFile { file, path: path.to_owned() })
}

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        Ok(boxed(file.map_err(at(Operation::Open, path))?, path))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        Ok(boxed(file.map_err(at(Operation::Create, path))?, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(at(Operation::Rename, from))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(at(Operation::Remove, path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let fail = at(Operation::List, dir);
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(&fail)? {
            names.extend(entry.map_err(&fail)?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_dir_all(parent)?;
        }
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            result => result.map_err(at(Operation::CreateDir, dir))?,
        }
        self.sync_dir(parent.unwrap_or(Path::new(".")))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let sync = File::open(dir).and_then(|dir| dir.sync_all());
        sync.map_err(at(Operation::SyncDir, dir))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        path.try_exists().map_err(at(Operation::Open, path))
    }

    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        let path = dir.join(LOCK_FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = file.map_err(at(Operation::Lock, dir))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(TryLockError::WouldBlock) => {
                Err(DiskError::new(Operation::Lock, dir, DiskErrorKind::Locked, "another process uses it"))
            }
            Err(TryLockError::Error(error)) => Err(at(Operation::Lock, dir)(error)),
        }
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(at(Operation::Read, &self.path)(error)),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let write = self.file.write_all_at(bytes, offset);
        write.map_err(at(Operation::Write, &self.path))
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(at(Operation::SyncData, &self.path))
    }

    fn size(&self) -> Result<u64> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(at(Operation::Size, &self.path))?.len())
    }
}

impl DirLock for RealLock {}

#[cfg(test)]
mod tests {
    use super::super::replace_file;
    use super::*;

    #[test]
    fn files_keep_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        RealDisk.create_dir_all(&deep).unwrap();
        RealDisk.create_dir_all(&deep).unwrap();
        let path = deep.join("file");
        let file = RealDisk.create(&path).unwrap();
        file.write_at(4, b"data").unwrap();
        file.sync_data().unwrap();
        RealDisk.rename(&path, &deep.join("other")).unwrap();
        RealDisk.sync_dir(&deep).unwrap();
        let mut buffer = [9; 16];
        let read = RealDisk.open(&deep.join("other")).unwrap().read_at(0, &mut buffer).unwrap();
        assert_eq!(buffer.get(..read).unwrap(), b"\0\0\0\0data");
        assert_eq!(file.size().unwrap(), 8);
        assert_eq!(RealDisk.list(&deep).unwrap(), ["other"]);
        RealDisk.remove(&deep.join("other")).unwrap();
        assert!(!RealDisk.exists(&deep.join("other")).unwrap());
    }

    #[test]
    fn errors_say_what_and_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("absent");
        let error = RealDisk.open(&path).err().unwrap();
        assert_eq!((error.operation, error.kind), (Operation::Open, DiskErrorKind::NotFound));
        assert_eq!(error.path, path);
        drop(RealDisk.create(&path).unwrap());
        assert_eq!(RealDisk.create(&path).err().unwrap().kind, DiskErrorKind::Exists);
        assert_eq!(RealDisk.list(&dir.path().join("no")).err().unwrap().kind, DiskErrorKind::NotFound);
    }

    #[test]
    fn a_directory_has_one_lock() {
        let dir = tempfile::tempdir().unwrap();
        let held = RealDisk.lock_dir(dir.path()).unwrap();
        let refused = RealDisk.lock_dir(dir.path()).err().unwrap();
        assert_eq!(refused.kind, DiskErrorKind::Locked);
        drop(held);
        RealDisk.lock_dir(dir.path()).unwrap();
    }

    #[test]
    fn replacing_a_file_leaves_no_other() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [&b"first"[..], b"2nd"] {
            replace_file(&RealDisk, dir.path(), "name", bytes).unwrap();
            assert_eq!(std::fs::read(dir.path().join("name")).unwrap(), bytes);
        }
        assert_eq!(RealDisk.list(dir.path()).unwrap(), ["name"]);
    }
}
