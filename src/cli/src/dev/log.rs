//! What a node logs: into a file that does not grow for ever, and to the terminal if that is wanted.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

/// The file begins anew beyond this; what was in it is kept once, beside it.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The longest line; the rest of it is another line.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// The log of a node that is being carried.
#[derive(Debug)]
pub(super) struct Tail(JoinHandle<String>);

impl Tail {
    /// Waits until the log ends, as it does when the node does, and returns its last line, which tells why.
    pub(super) fn last_line(self) -> String {
        self.0.join().unwrap_or_default()
    }
}

/// Carries what a node logs, until it ends, on a thread of its own: neither a slow disk nor a slow terminal holds
/// anything else up. `label` is put in front of each line on the terminal, if there is to be one.
pub(super) fn carry(
    source: impl Read + Send + 'static,
    path: &Path,
    label: Option<String>,
) -> io::Result<Tail> {
    let mut log = Log::open(path)?;
    let thread = thread::Builder::new().name("node log".to_owned()).spawn(move || {
        let mut source = BufReader::new(source);
        let (mut line, mut last) = (Vec::new(), String::new());
        // An error is the end, as it is when the node ends.
        while read_line(&mut source, &mut line).is_ok_and(|read| read > 0) {
            log.write(&line);
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if let Some(label) = &label {
                super::console::warn(format_args!("{label} | {text}"));
            }
            if !text.is_empty() {
                text.clone_into(&mut last);
            }
        }
        last
    })?;
    Ok(Tail(thread))
}

fn read_line(source: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    source.take(LINE_BYTES_MAX).read_until(b'\n', line)
}

struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes })
    }

    /// A log that cannot be written is not worth stopping for.
    fn write(&mut self, line: &[u8]) {
        if self.bytes > FILE_BYTES_MAX {
            let kept = PathBuf::from(format!("{}.1", self.path.display()));
            if std::fs::rename(&self.path, kept).is_ok()
                && let Ok(log) = Self::open(&self.path)
            {
                *self = log;
            }
        }
        let _ = self.file.write_all(line);
        self.bytes += line.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/node-0.log");
        let mut log = Log::open(&path).unwrap();
        let line = [b'x'; 1 << 20];
        for _ in 0..20 {
            log.write(&line);
        }
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(size(&path) <= FILE_BYTES_MAX + (1 << 20));
        assert!(size(&dir.path().join("deep/node-0.log.1")) <= FILE_BYTES_MAX + (1 << 20));
        assert_eq!(std::fs::read_dir(dir.path().join("deep")).unwrap().count(), 2);
    }

    #[test]
    fn the_last_line_tells_why() {
        let dir = tempfile::tempdir().unwrap();
        let (source, mut sink) = io::pipe().unwrap();
        let tail = carry(source, &dir.path().join("log"), None).unwrap();
        sink.write_all(b"one\nerror: broken\n\n").unwrap();
        drop(sink);
        assert_eq!(tail.last_line(), "error: broken");
        assert_eq!(std::fs::read(dir.path().join("log")).unwrap(), b"one\nerror: broken\n\n");
    }
}
