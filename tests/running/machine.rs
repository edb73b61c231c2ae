//! Machines of one's own: namespaces for the network and for mounts, and a disk that can be made to fail.

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Mounts a volume, if one is wanted, says so, and stays as long as its standard input.
const HOLD: &str = r#"
if [ -n "$2" ]; then mount -t tmpfs -o "size=$2" synod "$1" || exit; fi
echo ready
exec cat
"#;

/// A machine: whatever runs on it has a network and mounts of its own. It leaves nothing behind, however the test ends:
/// namespaces go with the last process in them.
#[derive(Debug)]
pub struct Machine {
    dir: PathBuf,
    holder: Child,
}

impl Machine {
    /// A machine that keeps its data in a directory; on a volume of so many bytes if that is said, which is lost with the
    /// machine.
    ///
    /// # Panics
    /// When this system cannot have machines; the message says what is missing.
    pub fn start(dir: &Path, volume_bytes: Option<u64>) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "tests with networks and volumes of their own make namespaces: run them as root"
        );
        std::fs::create_dir_all(dir.join("data")).unwrap();
        std::fs::create_dir_all(dir.join("faults")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--propagation", "private", "sh", "-c", HOLD, "sh"]);
        command.arg(dir.join("data")).arg(volume_bytes.map_or(String::new(), |bytes| bytes.to_string()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let spawned = command.spawn();
        let mut holder =
            spawned.unwrap_or_else(|error| panic!("`unshare` cannot be run ({error}): install util-linux"));
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(
            line, "ready\n",
            "no namespaces for the network and mounts: the kernel must allow `unshare --net --mount`"
        );
        Self { dir: dir.to_owned(), holder }
    }

    /// Where its data is, for whoever runs on it.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A command that runs on it. It is the process itself that the command starts, so that signals reach it.
    pub fn command(&self, program: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("nsenter");
        for kind in ["net", "mount"] {
            let file = if kind == "mount" { "mnt" } else { kind };
            command.arg(format!("--{kind}={}", self.namespace(file).display()));
        }
        command.arg("--").arg(program);
        command.env("LD_PRELOAD", faulty_disk()).env("FAULTY_DISK", self.dir.join("faults"));
        command
    }

    /// Moves the calling thread to its network, for good.
    ///
    /// # Panics
    /// When that is refused.
    pub fn join_network(&self) {
        let network = std::fs::File::open(self.namespace("net")).unwrap();
        let moved = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
        moved.unwrap_or_else(|error| panic!("a network namespace cannot be joined: {error}"));
    }

    /// From now on the disk has a fault; see `faulty_disk.c`.
    pub fn break_disk(&self, fault: &str, how: &str) {
        // It must never be seen half written.
        let (new, file) = (self.dir.join("fault"), self.dir.join("faults").join(fault));
        std::fs::write(&new, how).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// From now on the disk works.
    pub fn mend_disk(&self) {
        for fault in std::fs::read_dir(self.dir.join("faults")).unwrap() {
            std::fs::remove_file(fault.unwrap().path()).unwrap();
        }
    }

    /// A path on the machine, for whoever is not on it.
    pub fn path(&self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(path.strip_prefix("/").unwrap())
    }

    fn namespace(&self, kind: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/{kind}", self.holder.id()))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// The library that makes disks fail, built once for each process of tests.
fn faulty_disk() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("faulty_disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/running/faulty_disk.c");
        let mut command = Command::new("cc");
        command
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl");
        let status = command.status().unwrap_or_else(|error| {
            panic!("`cc` cannot be run ({error}): install a C compiler, which builds the disk that fails")
        });
        assert!(status.success(), "{command:?} failed: {status}");
        (dir, library)
    });
    library
}
