//! Whatever comes in at the controller's port: it goes on serving, does not grow, and its nodes do not notice.

use std::time::Duration;

use rustix::process::Pid;
use synod_tests::running::Dev;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::files::{group, write};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What it may hold more than before.
const GROWTH_KIB_MAX: u64 = 64 << 10;

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn rubbish() -> Vec<Vec<u8>> {
    let frame = |length: u32, kind: u8, flags: u8, stream: u32| {
        [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()[..]].concat()
    };
    let http2 = |rest: Vec<u8>| [PREFACE, &frame(0, 4, 0, 0), &rest].concat();
    vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 1 << 20], b"\r\n\r\n".to_vec()].concat(),
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nx".to_vec(),
        noise(1, 100_000),
        noise(2, 9),
        [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &noise(7, 506)].concat(),
        PREFACE[..10].to_vec(),
        http2(frame(0xff_ffff, 0, 0, 1)),
        http2(frame(100, 1, 4, 1)),
        http2([frame(100, 1, 4, 1), noise(3, 100)].concat()),
        http2(frame(0, 9, 4, 1).repeat(1_000)),
        http2(noise(5, 50_000)),
    ]
}

fn resident_kib(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn files(pid: Pid) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap().count()
}

#[tokio::test]
async fn rubbish_at_the_controller_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "group.yaml", &group("sample", 1, 1));
    let dev = Dev::ready(&dir.path().join("data"), &[&file]).await;
    let client = dev.client().await;
    let hits = client.default_group().await.unwrap().counter("hits");
    hits.increment(1).await.unwrap();
    let (address, pid) = (dev.controller_address(), dev.pid());
    let (kib, open) = (resident_kib(pid), files(pid));
    for bytes in rubbish() {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            // The other side may have closed already.
            let _ = stream.write_all(&bytes).await;
            let mut answer = [0; 4096];
            let _ = timeout(Duration::from_millis(5), stream.read(&mut answer)).await;
        }
        assert_eq!(dev.controller().groups("").await.unwrap().len(), 1);
    }
    let mut half_open = Vec::new();
    for number in 0..500 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all([&b""[..], &PREFACE[..12], PREFACE, b"GET /"][number % 4]).await.unwrap();
        half_open.push(stream);
    }
    assert_eq!(dev.controller().groups("").await.unwrap().len(), 1);
    drop(half_open);
    let begin = Instant::now();
    while files(pid) > open + 20 {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{} files are open, {open} were before",
            files(pid)
        );
        sleep(Duration::from_millis(50)).await;
    }
    let grown = resident_kib(pid).saturating_sub(kib);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB more than before");
    assert_eq!(hits.increment(1).await.unwrap(), 2);
    let ended = dev.stop().await;
    assert!(ended.status.success() && !ended.err.contains("panicked"), "{ended:?}");
}
