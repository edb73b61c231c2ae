//! The supervisor: everything from the files to the last node that stops.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::join_all;
use synod_api::Primitive;
use synod_node::SystemClock;
use synod_operator::controller::{
    Access, Catalog, ControllerService, Directory as _, GroupKey, PrimitiveKey, create_primitive,
};
use synod_proto::DESCRIPTORS;
use synod_storage::disk::{Disk as _, RealDisk};
use synod_types::Clock as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tonic::transport::Server;

use super::directory::{LocalDirectory, check_ports};
use super::group::Shared;
use super::lock::{self, Lock};
use super::merge::{Merged, merge, set_aside};
use super::node::Order;
use super::settings::Settings;
use super::state::{State, StateFile};
use super::wanted::{Wanted, group_of};
use super::{Refusal, console, ports};

/// How long to wait before a primitive that could not be created is tried again.
const PRIMITIVE_RETRY: Duration = Duration::from_secs(1);

/// The most calls at a time on one connection to the controller: watchers, mostly.
const STREAMS_MAX: u32 = 256;

/// How often clients of the controller are asked whether they are still there, and how long they have to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a shell says of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// The supervisor of all groups on this machine.
pub(super) struct Supervisor {
    directory: Arc<LocalDirectory>,
    run: BTreeSet<GroupKey>,
    primitives: Vec<Primitive>,
    listener: TcpListener,
    _lock: Lock,
}

impl Supervisor {
    /// Reads the files, and makes sure of everything that the groups need. No process is started yet.
    pub(super) async fn prepare(settings: Settings) -> Result<Self, Refusal> {
        let wanted = Wanted::read(&settings.files)?;
        let shown = settings.shown_data_dir();
        RealDisk
            .create_dir_all(&settings.data_dir)
            .with_context(|| format!("cannot use the data directory \"{shown}\""))?;
        let lock = lock::take(&settings.data_dir, &shown)?;
        let remembered = State::read(&settings.data_dir, &shown)?;
        let Merged { state, run, new, notes } = merge(&settings, &wanted, remembered)?;
        let listener = listen(&settings, state.controller_port).await?;
        for key in &run {
            let advice = if new.contains(key) {
                "stop that program, or choose other ports with --port-base or --ports auto"
            } else {
                "the members know each other by their ports, so they stay: stop that program"
            };
            let nodes = state.group(key).map(|group| group.nodes.as_slice()).unwrap_or_default();
            check_ports(settings.listen, key, nodes, advice).await?;
        }
        for key in &new {
            if let Some(aside) = set_aside(&settings, key)? {
                console::say(format_args!(
                    "what was left of another group is moved to \"{}\"",
                    aside.display()
                ));
            }
        }
        notes.into_iter().for_each(console::say);
        let state = StateFile::create(&settings.data_dir, state)?;
        let catalog = Catalog::new(SystemClock.wall_ms());
        let directory = Arc::new(LocalDirectory::new(Arc::new(Shared { settings, state, catalog })));
        let primitives = wanted.primitives.into_iter().map(|(_, primitive)| primitive).collect();
        Ok(Self { directory, run, primitives, listener, _lock: lock })
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(self, started: Instant) -> anyhow::Result<ExitCode> {
        let mut signals = Signals::new()?;
        let Self { directory, run, primitives, listener, _lock } = self;
        for key in &run {
            directory.start(key).await?;
        }
        let reflection =
            tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
        let (_health, health) = tonic_health::server::health_reporter();
        let router = Server::builder()
            .max_concurrent_streams(STREAMS_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_service(ControllerService::server(directory.clone(), Access::open()))
            .add_service(health)
            .add_service(reflection.build_v1().context("the service cannot be described")?);
        tokio::spawn(router.serve_with_incoming(synod_node::connections(listener)));
        let ready = async {
            tokio::join!(all_ready(&directory, &run), create_all(&directory, &primitives));
            console::say(banner(&directory, &run, &primitives, started.elapsed()));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = ready => {}
            () = signals.next() => {}
        }
        console::say("stopping");
        let order = watch::Sender::new(Order::Stop);
        let mut code = ExitCode::SUCCESS;
        let stopped = directory.stop_all(order.subscribe());
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(code),
                () = signals.next() => {
                    order.send_replace(Order::Kill);
                    code = ExitCode::from(INTERRUPTED);
                }
            }
        }
    }
}

async fn listen(settings: &Settings, port: u16) -> anyhow::Result<TcpListener> {
    let advice = "stop that program, or choose other ports with --port-base or --ports auto";
    let refused = |error: std::io::Error| {
        anyhow::anyhow!(ports::refusal(settings.listen, port, "the controller", &error, advice))
    };
    ports::await_free(settings.listen, port).await.map_err(refused)?;
    TcpListener::bind(SocketAddr::new(settings.listen, port)).await.map_err(refused)
}

/// Waits until groups are ready.
async fn all_ready(directory: &LocalDirectory, keys: &BTreeSet<GroupKey>) {
    let mut groups = directory.groups();
    let is_ready = |key: &GroupKey, groups: &synod_operator::controller::Groups| {
        groups.get(key).is_none_or(|group| group.ready)
    };
    // It can only end because the catalog does, and that is with the process.
    let _ = groups.wait_for(|groups| keys.iter().all(|key| is_ready(key, groups))).await;
}

/// Creates the primitives that are declared, each as soon as that is possible.
async fn create_all(directory: &LocalDirectory, primitives: &[Primitive]) {
    join_all(primitives.iter().map(|primitive| async move {
        let (group, key) = (group_of(primitive), PrimitiveKey::from(primitive));
        loop {
            match create_primitive(directory.groups(), &group, &key).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(PRIMITIVE_RETRY).await,
                Err(error) => {
                    let (kind, name) = (key.kind, &key.name);
                    return console::warn(format_args!("{kind} \"{name}\" cannot be created: {error}"));
                }
                Ok(_) => return,
            }
        }
    }))
    .await;
}

/// What runs, and what to try.
fn banner(
    directory: &LocalDirectory,
    run: &BTreeSet<GroupKey>,
    primitives: &[Primitive],
    took: Duration,
) -> String {
    let Shared { settings, state, .. } = directory.shared();
    let state = state.get();
    let controller = settings.address(state.controller_port);
    let mut text = format!("Synod runs on this machine (ready in {:.2} s)\n\n", took.as_secs_f64());
    for group in state.groups.iter().filter(|group| run.contains(&group.key())) {
        let (namespace, name) = group.key();
        let spec = &group.manifest.spec;
        let (partitions, replicas) = (spec.partitions, spec.replicas);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  group       {namespace}/{name}: {partitions} partitions, {replicas} replicas each"
        );
        let nodes = group.nodes.iter().map(|node| settings.address(node.ports.client));
        let _ = writeln!(text, "  nodes       {}", nodes.collect::<Vec<_>>().join(" "));
    }
    if !primitives.is_empty() {
        let each = primitives
            .iter()
            .map(|primitive| format!("{} ({:?})", primitive.primitive_name(), primitive.spec.kind));
        let _ = writeln!(text, "  primitives  {}", each.collect::<Vec<_>>().join(", "));
    }
    let _ = writeln!(text, "  controller  {controller}");
    let _ = writeln!(text, "  data        {}\n", settings.shown_data_dir());
    text.push_str("Try in another terminal:\n\n");
    if state.controller_port != 5_679 {
        let _ = writeln!(text, "  export SYNOD_CONTROLLER={controller}");
    }
    text.push_str(
        "  synod map put users alice 1\n  synod map get users alice\n  synod status\n\nCtrl-C stops it; the data stays.",
    );
    text
}

/// The signals that end a supervisor.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot wait for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
