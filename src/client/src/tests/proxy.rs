//! A proxy that treats connections badly when it is told to.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How connections are treated.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Treatment {
    /// Bytes are passed on; otherwise they wait.
    passes: bool,
    /// Connections of earlier ages are cut.
    age: u64,
}

/// Passes connections on to an address.
pub(super) struct Proxy {
    address: SocketAddr,
    treatment: watch::Sender<Treatment>,
    accepting: AbortHandle,
}

impl Proxy {
    pub(super) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (treatment, told) = watch::channel(Treatment { passes: true, age: 0 });
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, target, told.clone()));
            }
        });
        Self { address, treatment, accepting: accepting.abort_handle() }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection there is.
    pub(super) fn cut(&self) {
        self.treatment.send_modify(|treatment| treatment.age += 1);
    }

    /// Holds everything back, in both directions, until it is told otherwise.
    pub(super) fn hold_back(&self) {
        self.treatment.send_modify(|treatment| treatment.passes = false);
    }

    /// Passes everything on again.
    pub(super) fn pass_on(&self) {
        self.treatment.send_modify(|treatment| treatment.passes = true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(client: TcpStream, target: SocketAddr, mut told: watch::Receiver<Treatment>) {
    let age = told.borrow().age;
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, told.clone(), age) => {}
        () = pump(from_server, to_client, told.clone(), age) => {}
        // The proxy going away cuts everything as well.
        _ = told.wait_for(|treatment| treatment.age != age) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut told: watch::Receiver<Treatment>,
    age: u64,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        match told.wait_for(|treatment| treatment.passes).await {
            // What was held back is not passed on when the connection is cut at the same moment.
            Ok(treatment) if treatment.age == age => {}
            _ => return,
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
