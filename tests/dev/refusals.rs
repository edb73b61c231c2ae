//! What cannot be run is refused before anything starts: what is wrong, where, and what to do about it.

use std::net::TcpListener;
use std::path::Path;

use synod_tests::running::{Dev, Output};

use super::files::{group, write};

/// The files are wrong.
const FILES: i32 = 2;
/// This machine does not allow it.
const MACHINE: i32 = 1;

async fn refused(dir: &Path, arguments: &[&str]) -> Output {
    let output = Dev::start(dir, arguments).ended().await;
    assert_eq!(output.out, "", "nothing ran");
    output
}

async fn assert_refused(dir: &Path, arguments: &[&str], code: i32, expected: &[&str]) {
    let output = refused(dir, arguments).await;
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    for text in expected {
        assert!(output.err.contains(text), "{text}: {}", output.err);
    }
}

#[tokio::test]
async fn wrong_files_are_refused_with_path_and_place() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let sample = group("sample", 3, 3);
    let cases: [(&str, String, &[&str]); 10] = [
        ("unknown.yaml", sample.replace("replicas", "replcas"), &["line 7", "spec.replcas", "replicas"]),
        (
            "type.yaml",
            sample.replace("partitions: 3", "partitions: three"),
            &["line 6", "spec.partitions", "three"],
        ),
        ("zero.yaml", group("sample", 3, 0), &["line 7", "spec.replicas", "0", "1"]),
        ("even.yaml", group("sample", 3, 2), &["line 7", "spec.replicas", "odd number: use 1 or 3"]),
        ("slots.yaml", group("sample", 40_000, 1), &["line 6", "spec.partitions", "40000", "1024"]),
        ("none.yaml", group("sample", 0, 1), &["line 6", "spec.partitions", "0", "1"]),
        ("broken.yaml", sample.replace("  name", " \tname"), &["broken.yaml", "line 4"]),
        (
            "kind.yaml",
            sample.replace("PartitionGroup", "PartitionGruop"),
            &["kind", "PartitionGruop", "PartitionGroup"],
        ),
        ("empty.yaml", String::new(), &["empty.yaml"]),
        (
            "orphan.yaml",
            format!(
                "{sample}---\napiVersion: synod.dev/v1alpha1\nkind: Primitive\nmetadata: {{name: users}}\nspec: {{group: smaple, kind: Map}}\n"
            ),
            &["spec.group", "there is no group default/smaple, only default/sample"],
        ),
    ];
    for (name, text, expected) in cases {
        let file = write(dir.path(), name, &text);
        assert_refused(&data, &[&file], FILES, &[expected, &[name]].concat()).await;
    }
    let missing = dir.path().join("missing.yaml");
    assert_refused(&data, &[missing.to_str().unwrap()], FILES, &["missing.yaml"]).await;
    assert!(!data.join("state.yaml").exists(), "what was refused leaves nothing behind");
}

#[tokio::test]
async fn a_port_that_is_busy_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = write(dir.path(), "group.yaml", &group("sample", 1, 1));
    let dev = Dev::ready(&data, &[&file]).await;
    let ports = &dev.state().groups[0].nodes[0].ports;
    let (controller, peer) = (dev.state().controller_port, ports.peer);
    assert!(dev.stop().await.status.success());
    for (port, purpose) in
        [(controller, "the controller"), (peer, "other nodes of node-0 of group default/sample")]
    {
        let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let busy = format!(
            "port {port} is busy: another program listens on 127.0.0.1:{port}, which is for {purpose}"
        );
        assert_refused(&data, &[&file], MACHINE, &[&busy, "stop that program"]).await;
        drop(taken);
    }
    Dev::ready(&data, &[&file]).await;
}

#[tokio::test]
async fn a_directory_belongs_to_one_supervisor() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = write(dir.path(), "group.yaml", &group("sample", 1, 1));
    let dev = Dev::ready(&data, &[&file]).await;
    let holder = format!("another `synod dev` (process {})", dev.pid().as_raw_nonzero());
    assert_refused(&data, &[&file], MACHINE, &[&holder, "--data-dir"]).await;
    dev.group_is_ready("sample").await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_and_the_data_stays() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = write(dir.path(), "group.yaml", &group("sample", 2, 1));
    let dev = Dev::ready(&data, &[&file]).await;
    let client = dev.client().await;
    client.default_group().await.unwrap().counter("hits").increment(7).await.unwrap();
    client.close().await;
    assert!(dev.stop().await.status.success());

    let other = write(dir.path(), "other.yaml", &group("sample", 3, 1));
    let expected = [
        "other.yaml",
        "document 1",
        "spec.partitions: the number of partitions cannot be changed: leave it at 2",
        "nothing was changed",
    ];
    assert_refused(&data, &[&other], FILES, &expected).await;

    let dev = Dev::ready(&data, &[&file]).await;
    let group = dev.client().await.default_group().await.unwrap();
    assert_eq!(group.counter("hits").get().await.unwrap(), 7);
}

#[tokio::test]
async fn a_data_directory_that_is_damaged_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = write(dir.path(), "group.yaml", &group("sample", 1, 1));
    let dev = Dev::ready(&data, &[&file]).await;
    assert!(dev.stop().await.status.success());
    let state = data.join("state.yaml");
    let whole = std::fs::read(&state).unwrap();

    std::fs::write(&state, &whole[..whole.len() / 2]).unwrap();
    assert_refused(&data, &[&file], MACHINE, &["state.yaml", "is damaged", "move"]).await;
    assert_eq!(std::fs::read(&state).unwrap(), whole[..whole.len() / 2]);
    std::fs::remove_file(&state).unwrap();
    assert_refused(&data, &[&file], MACHINE, &["holds data of nodes", "state.yaml", "is missing"]).await;
    assert!(!state.exists());
    std::fs::write(&state, "version: 99\n").unwrap();
    assert_refused(&data, &[&file], MACHINE, &["a newer version of Synod", "99"]).await;

    std::fs::write(&state, &whole).unwrap();
    let dev = Dev::ready(&data, &[&file]).await;
    assert!(dev.stop().await.status.success());
    let nothing = write(dir.path(), "nothing", "");
    assert_refused(Path::new(&nothing), &[&file], MACHINE, &["cannot use the data directory", "nothing"])
        .await;
}

/// A log that is damaged where it was acknowledged must not be taken for one that ends there.
#[tokio::test]
async fn a_damaged_log_is_named_and_never_cut() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = write(dir.path(), "group.yaml", &group("sample", 1, 1));
    let dev = Dev::ready(&data, &[&file]).await;
    let client = dev.client().await;
    let map = client.default_group().await.unwrap().map("users");
    for number in 0..20 {
        map.put(format!("key-{number}"), vec![b'x'; 1_000]).await.unwrap();
    }
    client.close().await;
    let log = dev.group_dir("sample").join("node-0/replicas/default/sample/0/log/0000000000000001.wal");
    assert!(dev.stop().await.status.success());
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.windows(100).position(|window| window == [b'x'; 100]).unwrap();
    bytes[middle] = b'y';
    std::fs::write(&log, &bytes).unwrap();

    let dev = Dev::start(&data, &[&file]);
    dev.warns("0000000000000001.wal").await;
    let now = dev.controller().group("default", "sample").await.unwrap();
    assert!(!now.ready);
    let ended = dev.stop().await;
    assert!(!ended.out.contains("Synod runs on this machine"), "{ended:?}");
    assert_eq!(std::fs::read(&log).unwrap(), bytes, "the log was changed");
}
