//! The lock of the data directory: one supervisor at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// The file that is locked. No namespace is called like it: the name has a dot.
const FILE: &str = "supervisor.lock";

/// Holds the lock until it is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock of a directory, which exists.
pub(super) fn take(dir: &Path, shown: &str) -> anyhow::Result<Lock> {
    let path = dir.join(FILE);
    let cannot = || format!("cannot lock the data directory \"{shown}\"");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).with_context(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who it is, is only for the message.
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
            bail!(
                "another `synod dev`{holder} uses the data directory \"{shown}\": stop that one, or choose another \
                 directory with --data-dir"
            );
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(cannot)?;
    Ok(Lock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path(), ".synod").unwrap();
        let refused = take(dir.path(), ".synod").unwrap_err().to_string();
        assert!(refused.contains(&format!("(process {})", std::process::id())), "{refused}");
        assert!(refused.contains("--data-dir"), "{refused}");
        drop(first);
        take(dir.path(), ".synod").unwrap();
    }
}
