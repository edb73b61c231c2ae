//! What the machine allows: a write cannot be faster than two hops and one sync.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

const SAMPLES: u32 = 1_000;
const BLOCK: usize = 4_096;

/// Medians, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Probe {
    /// A block is written over zeros and synced.
    pub(crate) sync_us: f64,
    /// A message of the size of a put goes to another thread over TCP and back.
    pub(crate) hop_us: f64,
}

impl Probe {
    /// A hop from the client to the leader, one from the leader to a follower, and the sync of the follower.
    pub(crate) fn floor_us(&self) -> f64 {
        2.0 * self.hop_us + self.sync_us
    }
}

/// Measures it, with files in this directory.
pub(crate) fn probe(dir: &Path) -> anyhow::Result<Probe> {
    Ok(Probe { sync_us: sync(dir)?, hop_us: hop()? })
}

fn sync(dir: &Path) -> anyhow::Result<f64> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join("probe");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let block = [0_u8; BLOCK];
    for number in 0..SAMPLES {
        file.write_all_at(&block, u64::from(number) * BLOCK as u64)?;
    }
    file.sync_all()?;
    let mut samples = Vec::new();
    for number in 0..SAMPLES {
        let begin = Instant::now();
        file.write_all_at(&[1; BLOCK], u64::from(number) * BLOCK as u64)?;
        file.sync_data()?;
        samples.push(begin.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(median(samples))
}

fn hop() -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    let (mut server, _) = listener.accept()?;
    server.set_nodelay(true)?;
    let echo = std::thread::spawn(move || {
        let mut message = [0; 384];
        while server.read_exact(&mut message).is_ok() && server.write_all(&message).is_ok() {}
    });
    let mut samples = Vec::new();
    let mut message = [1; 384];
    for _ in 0..SAMPLES {
        let begin = Instant::now();
        client.write_all(&message)?;
        client.read_exact(&mut message)?;
        samples.push(begin.elapsed());
    }
    drop(client);
    let _ = echo.join();
    Ok(median(samples))
}

fn median(mut samples: Vec<Duration>) -> f64 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_secs_f64() * 1e6
}
