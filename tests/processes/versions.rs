//! Files that a newer version wrote: a node that does not understand them leaves them alone and says so.

use std::path::{Path, PathBuf};

use synod_client::admin::Phase;

use crate::judge::judge;
use crate::load::Load;
use crate::site::{Options, Site, on_site};
use crate::view::PARTITIONS;

const PROGRESS: u64 = 20;

const SEGMENT_HEADER_BYTES: usize = 64;

/// Gives the header of a file the next version. Behind eight bytes that say what it is comes the version; in identities and
/// segments of logs the checksum of the header stands between them.
fn make_newer(file: &mut [u8]) {
    let header_bytes = match &file[..8] {
        b"SYNODSNP" => return file[8] += 1,
        b"SYNODWAL" => SEGMENT_HEADER_BYTES,
        _ => file.len(),
    };
    file[12] += 1;
    let checksum = crc32c::crc32c(&file[12..header_bytes]);
    file[8..12].copy_from_slice(&checksum.to_le_bytes());
}

/// A file of each format, of one partition each.
fn files(site: &Site, node: usize) -> Vec<PathBuf> {
    let dir = site.machines[node].data_dir().join("replicas/default/sample");
    let newest = |dir: &Path| {
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|kind| kind != "tmp")).max().unwrap()
    };
    vec![dir.join("0/identity"), newest(&dir.join("1/snapshots")), newest(&dir.join("2/log"))]
}

#[test]
fn f14_what_a_newer_version_wrote_is_refused_and_kept() {
    on_site(Options::default(), async |site| {
        let load = Load::start(&site.view, 1).await;
        load.record.progress(PROGRESS).await;
        let node = site.leader(0).await;
        site.kill(node).await;
        let files = files(site, node);
        let before: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        let mut newer = before.clone();
        for (file, bytes) in files.iter().zip(&mut newer) {
            make_newer(bytes);
            std::fs::write(file, bytes).unwrap();
        }
        site.start(node);
        let name = site.view.nodes().nth(node).unwrap();
        let problems = site.view.see("the node says that it does not understand", |seen| {
            let own = seen.iter().filter(|seen| seen.node == name && seen.replica.phase() == Phase::Failed);
            let problems: Vec<_> = own.map(|seen| seen.replica.problem.clone()).collect();
            (problems.len() == PARTITIONS).then_some(problems)
        });
        for problem in problems.await {
            assert!(problem.contains("newer version"), "{problem}");
        }
        load.record.progress(PROGRESS).await;
        site.kill(node).await;
        for ((file, before), newer) in files.iter().zip(&before).zip(&newer) {
            assert!(std::fs::read(file).unwrap() == *newer, "{} is as it was", file.display());
            std::fs::write(file, before).unwrap();
        }
        site.start(node);
        site.view.is_whole().await;
        let record = load.record.clone();
        load.finish().await;
        judge(&record.history());
    });
}
