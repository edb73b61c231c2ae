//! Whatever comes in at the ports: the node goes on serving, and holds no memory for it.

use std::io::ErrorKind;
use std::time::Duration;

use axum::body::Body;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use synod_proto::DESCRIPTORS;
use synod_proto::map::v1::PutRequest;
use synod_proto::map::v1::map_client::MapClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;
use tonic::codegen::{Service as _, http};

use super::*;
use crate::metrics::resident_bytes;

/// What may be held after thousands of bad connections. Other tests run beside this one.
const RESIDENT_BYTES_MAX: u64 = 400 << 20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// What is none of what the ports speak, or not all of it.
fn rubbish() -> Vec<Vec<u8>> {
    let tls_hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &noise(7, 506)].concat();
    let frame = |length: u32, kind: u8, flags: u8, stream: u32| {
        [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()[..]].concat()
    };
    let settings = frame(0, 4, 0, 0);
    let http2 = |rest: Vec<u8>| [PREFACE, &settings, &rest].concat();
    vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"GET /nothing HTTP/1.1\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 1 << 20], b"\r\n\r\n".to_vec()].concat(),
        b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nx".to_vec(),
        b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(),
        vec![0; 4096],
        noise(1, 100_000),
        noise(2, 9),
        tls_hello,
        PREFACE[..10].to_vec(),
        PREFACE.to_vec(),
        http2(frame(0xff_ffff, 0, 0, 1)),
        http2(frame(100, 1, 4, 1)),
        http2([frame(100, 1, 4, 1), noise(3, 100)].concat()),
        http2([frame(5, 0, 0, 77), noise(4, 5)].concat()),
        http2(frame(0, 9, 4, 1).repeat(1_000)),
        http2(noise(5, 50_000)),
        [PREFACE.to_vec(), noise(6, 50_000)].concat(),
    ]
}

/// Sends bytes and reads whatever comes until the other side closes, or has said enough.
async fn send(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may have closed already.
    let _ = stream.write_all(bytes).await;
    let mut answer = vec![0; 4096];
    let _ = timeout(Duration::from_millis(50), stream.read(&mut answer)).await;
}

fn addresses(node: &Node) -> [SocketAddr; 3] {
    [node.client_address(), node.peer_address(), node.metrics_address().unwrap()]
}

/// A client that writes all the time, and what it was told.
struct Writer {
    stop: tokio::sync::oneshot::Sender<()>,
    done: tokio::task::JoinHandle<i64>,
}

impl Writer {
    async fn begin(cluster: &Cluster, number: usize) -> Self {
        let mut client = cluster.counter(number).await;
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let done = tokio::spawn(async move {
            let mut acknowledged = 0;
            while stopped.try_recv().is_err() {
                let asked = timeout(PATIENCE, increment(&mut client, "hits"));
                acknowledged = asked.await.expect("it hangs").expect("it fails");
                tokio::task::yield_now().await;
            }
            acknowledged
        });
        Self { stop, done }
    }

    /// Everything that was acknowledged is there, and nothing else.
    async fn end(self, cluster: &Cluster) {
        self.stop.send(()).unwrap();
        let acknowledged = self.done.await.unwrap();
        assert!(acknowledged > 0);
        assert_eq!(count(&mut cluster.counter(0).await, "hits").await, acknowledged);
        cluster.assert_whole().await;
    }
}

#[tokio::test]
async fn rubbish_at_every_port_disturbs_nobody() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let writer = Writer::begin(&cluster, 0).await;
    for bytes in rubbish() {
        for node in cluster.nodes.values() {
            let sending = addresses(node).map(|address| send(address, &bytes));
            futures::future::join_all(sending).await;
        }
    }
    writer.end(&cluster).await;
}

#[tokio::test]
async fn thousands_of_half_open_connections_take_neither_places_nor_memory() {
    const EACH: usize = 1_000;
    let cluster = Cluster::of_partitions(3, 1).await;
    let writer = Writer::begin(&cluster, 0).await;
    let before = resident_bytes().unwrap();
    let mut open = Vec::new();
    for address in addresses(&cluster.nodes[&0]) {
        for number in 0..EACH {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let said = [&b""[..], &PREFACE[..12], PREFACE, b"GET /"][number % 4];
            stream.write_all(said).await.unwrap();
            open.push(stream);
        }
    }
    // While all of them are open there is room for one who means it, at each port.
    assert!(count(&mut cluster.counter(0).await, "hits").await > 0);
    let metrics = super::http::get(&cluster.nodes[&0], "/metrics").await;
    let gauge = |port: &str| format!("synod_node_connections{{port=\"{port}\"}} ");
    for port in ["clients", "nodes", "metrics"] {
        let line = metrics.body.lines().find_map(|line| line.strip_prefix(&gauge(port)));
        let connections: usize = line.unwrap().parse().unwrap();
        assert!(connections >= EACH * 3 / 4, "{connections} at {port}");
    }
    let held = resident_bytes().unwrap().saturating_sub(before);
    assert!(held < RESIDENT_BYTES_MAX, "{held} bytes for {} connections", open.len());
    drop(open);
    let begin = Instant::now();
    while !super::http::get(&cluster.nodes[&0], "/metrics").await.body.lines().any(|line| {
        let connections = line.strip_prefix(&gauge("clients"));
        connections.is_some_and(|connections| connections.parse::<usize>().unwrap() < 50)
    }) {
        assert!(begin.elapsed() < PATIENCE, "they are still counted");
        sleep(Duration::from_millis(20)).await;
    }
    writer.end(&cluster).await;
}

/// Calls a method with any bytes as the body, and returns the status if the call failed.
async fn raw(channel: &Channel, path: &str, body: Vec<u8>) -> Option<Code> {
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(Body::from(body)))
        .unwrap();
    let mut channel = channel.clone();
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let response = timeout(PATIENCE, channel.call(request)).await.expect("it hangs").unwrap();
    let status = response.headers().get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()));
    if status.is_none() {
        // An answer, or answers that go on: those of a stream are cut off.
        let rest = axum::body::to_bytes(Body::new(response.into_body()), 1 << 20);
        let _ = timeout(Duration::from_millis(50), rest).await;
    }
    status
}

fn framed(length: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &length.to_be_bytes()[..], body].concat()
}

/// Every method of every service, as a path.
fn methods() -> Vec<String> {
    let files = FileDescriptorSet::decode(DESCRIPTORS).unwrap().file;
    let mut methods = Vec::new();
    for file in &files {
        for service in &file.service {
            for method in &service.method {
                methods.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    methods
}

#[tokio::test]
async fn calls_that_make_no_sense_are_refused_and_nothing_else() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let writer = Writer::begin(&cluster, 0).await;
    let before = resident_bytes().unwrap();
    let methods = methods();
    assert!(methods.len() > 50, "{methods:?}");
    let ports = [cluster.nodes[&0].client_address(), cluster.nodes[&0].peer_address()];
    for address in ports {
        let channel = connect(address).await;
        assert_eq!(raw(&channel, "/", Vec::new()).await, Some(Code::Unimplemented));
        assert_eq!(
            raw(&channel, "/synod.map.v1.Map/Nothing", framed(0, b"")).await,
            Some(Code::Unimplemented)
        );
        for (seed, path) in (1..).zip(&methods) {
            let noise = noise(seed, 200);
            for body in [
                framed(200, &noise),
                framed(u32::MAX, b"x"),
                framed(0x7fff_ffff, &noise),
                framed(100, b"half"),
                [1, 0, 0, 0, 1, 0].to_vec(),
                noise.clone(),
                Vec::new(),
            ] {
                raw(&channel, path, body).await;
            }
        }
    }
    let channel = connect(ports[0]).await;
    let increment = "/synod.counter.v1.Counter/Increment";
    assert_eq!(raw(&channel, increment, framed(u32::MAX, b"x")).await, Some(Code::OutOfRange));
    assert_eq!(raw(&channel, increment, framed(2, b"\xff\xff")).await, Some(Code::Internal));
    let held = resident_bytes().unwrap().saturating_sub(before);
    assert!(held < RESIDENT_BYTES_MAX, "{held} bytes");
    writer.end(&cluster).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_the_limit() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    for number in [leader, (leader + 1) % 3] {
        let mut client = MapClient::new(cluster.channel(number).await);
        let mut put = async |key: String, bytes: usize| {
            let request =
                PutRequest { primitive: named("m"), key, value: vec![1; bytes].into(), ..Default::default() };
            client.put(request).await
        };
        put("k".into(), 1 << 20).await.unwrap();
        let value = put("k".into(), (1 << 20) + 1).await.unwrap_err();
        assert_eq!(code(&value), ErrorCode::Invalid);
        assert!(value.message().contains("use at most 1048576"), "{value}");
        let request = put("k".into(), 2 << 20).await.unwrap_err();
        assert!(request.message().contains("use at most 1572864"), "{request}");
        let message = put("k".into(), 20 << 20).await.unwrap_err();
        assert_eq!(message.code(), Code::OutOfRange, "{message}");
        let key = put("x".repeat(4_097), 1).await.unwrap_err();
        assert_eq!(
            (code(&key), key.message()),
            (ErrorCode::Invalid, "the key has 4097 bytes: use at most 4096")
        );
        let empty = put(String::new(), 1).await.unwrap_err();
        assert_eq!(
            (code(&empty), empty.message()),
            (ErrorCode::Invalid, "the key is empty: use 1 to 4096 bytes")
        );
    }
    cluster.assert_whole().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let cluster = Cluster::new(1).await;
    let mut silent = TcpStream::connect(cluster.nodes[&0].client_address()).await.unwrap();
    silent.write_all(&PREFACE[..5]).await.unwrap();
    tokio::time::pause();
    let begin = Instant::now();
    let mut bytes = [0; 64];
    let ended = loop {
        match silent.read(&mut bytes).await {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    };
    assert!(matches!(ended, None | Some(ErrorKind::ConnectionReset)), "{ended:?}");
    assert!(begin.elapsed() >= Duration::from_secs(30));
}
