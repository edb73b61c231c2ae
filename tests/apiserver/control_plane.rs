//! An API server with a store of its own, in a directory that goes with it, and the programs that talk to it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use synod_client::controller::ApiServer;
use synod_tests::running::binary;
use tempfile::TempDir;

/// How long something may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who may do everything, and who may do what the chart lets the operator do.
const TOKENS: &str = "admin,admin,1,system:masters
operator,system:serviceaccount:synod-system:synod-operator,2,system:serviceaccounts
";

/// A process that is killed when nobody needs it any more.
pub(crate) struct Process(Child);

impl Process {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Process {
    /// Whether it ended by itself, and if so whether it says that all is well.
    pub(crate) fn ended(&mut self) -> Option<bool> {
        self.0.try_wait().unwrap().map(|status| status.success())
    }

    /// The code with which it ended by itself.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.0.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    /// How many files and connections it has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.0.id())).unwrap().count()
    }

    /// The most memory that it has had at any time.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not a word of good-bye: what is here has to bear that.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An operator, which is killed when nobody needs it any more.
pub(crate) struct Operator {
    pub(crate) process: Process,
    /// Where it serves clients.
    pub(crate) controller: String,
    health: String,
}

impl Operator {
    /// What it counts: each series with its labels, and its number.
    pub(crate) fn metrics(&self) -> BTreeMap<String, f64> {
        let mut stream = TcpStream::connect(&self.health).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let series = answer.lines().filter(|line| line.starts_with("synod_operator_"));
        let series = series.filter_map(|line| line.rsplit_once(' '));
        series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }
}

/// An API server that knows the kinds of Synod and the rights of the operator.
pub(crate) struct ControlPlane {
    _processes: Vec<Process>,
    dir: TempDir,
    port: u16,
}

fn program(name: &str) -> PathBuf {
    let bin = std::env::var_os("CLUSTER_BIN")
        .expect("CLUSTER_BIN names the programs of a cluster: tests/e2e/cluster/build");
    Path::new(&bin).join(name)
}

/// Ports that are free now, and that no connection gets: those come from 32768 on.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    static NEXT: AtomicU16 = AtomicU16::new(7_000);
    std::array::from_fn(|_| {
        let mut candidates = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
        candidates.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
    })
}

impl ControlPlane {
    pub(crate) fn start() -> Self {
        // It may have to be built, which nobody is to wait for later.
        binary();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let [store, peers, port] = free_ports();
        let (store, peers) = (format!("http://127.0.0.1:{store}"), format!("http://127.0.0.1:{peers}"));
        let mut etcd = Command::new(program("etcd"));
        etcd.arg("--data-dir").arg(path("etcd")).args(["--unsafe-no-fsync", "--log-level=warn"]);
        etcd.args(["--listen-client-urls", &store, "--advertise-client-urls", &store]);
        etcd.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        etcd.args(["--initial-cluster", &format!("default={peers}")]);
        std::fs::write(path("tokens.csv"), TOKENS).unwrap();
        generate_key(&path("accounts.key"));
        let mut server = Command::new(program("kube-apiserver"));
        server.args(["--etcd-servers", &store, "--secure-port", &port.to_string()]);
        server.args([
            "--bind-address=127.0.0.1",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
        ]);
        server.arg("--cert-dir").arg(path("pki")).arg("--token-auth-file").arg(path("tokens.csv"));
        server.arg("--service-account-key-file").arg(path("accounts.key"));
        server.arg("--service-account-signing-key-file").arg(path("accounts.key"));
        server.arg("--service-account-issuer=https://localhost");
        let processes = vec![
            Process::start(&mut etcd, &path("etcd.log")),
            Process::start(&mut server, &path("kube-apiserver.log")),
        ];
        let plane = Self { _processes: processes, dir, port };
        for user in ["admin", "operator"] {
            plane.write_kubeconfig(user, user, &format!("https://127.0.0.1:{port}"));
        }
        plane.eventually("the API server is ready", || {
            plane.run(&["get", "--raw", "/readyz"], None).status.success()
        });
        plane.prepare();
        plane
    }

    fn prepare(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        self.eventually("the namespace is there", || {
            self.run(&["get", "namespace", "default"], None).status.success()
        });
        self.kubectl(&["create", "namespace", "synod-system"]);
        for directory in ["crds", "config/rbac"] {
            let directory = root.join(directory);
            self.kubectl(&["--namespace=synod-system", "apply", "-k", directory.to_str().unwrap()]);
        }
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crds", "--all"]);
        // What is established is served a moment later.
        for kind in ["partitiongroups", "primitives"] {
            self.eventually("the kinds are served", || self.run(&["get", kind], None).status.success());
        }
    }

    /// Operators have leases in any namespace, not only in their own.
    pub(crate) fn let_operators_lead_anywhere(&self) {
        let role = ["leases", "--verb=create,get,update", "--resource=leases.coordination.k8s.io"];
        self.kubectl(&[&["create", "clusterrole"], &role[..]].concat());
        let account = "--serviceaccount=synod-system:synod-operator";
        self.kubectl(&["create", "clusterrolebinding", "leases", "--clusterrole=leases", account]);
    }

    pub(crate) fn kubeconfig(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.kubeconfig"))
    }

    /// Says how a user reaches the API server, or who is between.
    pub(crate) fn write_kubeconfig(&self, name: &str, user: &str, url: &str) -> PathBuf {
        let path = self.kubeconfig(name);
        std::fs::write(&path, kubeconfig(user, url)).unwrap();
        path
    }

    /// Starts an operator that has the rights of one.
    pub(crate) fn start_operator(&self, name: &str) -> Operator {
        self.start_operator_with(name, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_operator_with(&self, name: &str, arguments: &[&str]) -> Operator {
        let arguments = [&["--namespace=synod-system"], arguments].concat();
        self.start_operator_at(&self.kubeconfig("operator"), name, &arguments)
    }

    /// The API server, as a pod reaches it that has this token.
    pub(crate) fn api_server(&self, token: &str) -> ApiServer {
        let pod = self.dir.path().join("pod");
        std::fs::create_dir_all(&pod).unwrap();
        std::fs::write(pod.join("token"), token).unwrap();
        std::fs::copy(self.dir.path().join("pki/apiserver.crt"), pod.join("ca.crt")).unwrap();
        ApiServer::new("127.0.0.1", self.port, pod)
    }

    /// Starts an operator that talks to the API server as `kubeconfig` says. The arguments say where its lease is.
    pub(crate) fn start_operator_at(&self, kubeconfig: &Path, name: &str, arguments: &[&str]) -> Operator {
        let [port, health] = free_ports();
        let (controller, health) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{health}"));
        let mut operator = Command::new(binary());
        operator.args(["operator", "--name", name, "--image=localhost/synod:test"]);
        operator.args(["--controller-listen", &controller, "--health-listen", &health]).args(arguments);
        operator.env("KUBECONFIG", kubeconfig);
        let process = Process::start(&mut operator, &self.dir.path().join("operator.log"));
        Operator { process, controller: format!("https://localhost:{port}"), health }
    }

    /// What the processes have logged last.
    pub(crate) fn log(&self) -> String {
        let last = |name: &str| {
            let log = std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            format!("{name}:\n{}\n", lines[lines.len().saturating_sub(20)..].join("\n"))
        };
        ["etcd.log", "kube-apiserver.log", "operator.log"].map(last).concat()
    }

    pub(crate) fn run(&self, arguments: &[&str], input: Option<&str>) -> Output {
        let mut command = Command::new(program("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig("admin")).args(arguments);
        command.env("KUBECACHEDIR", self.dir.path().join("cache"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        child.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs a command as the administrator types it. Returns what it prints if it succeeds, or else what is wrong.
    pub(crate) fn shell(&self, command: &str) -> Result<String, String> {
        let mut shell = Command::new("sh");
        let path = format!("{}:{}", program("").display(), std::env::var("PATH").unwrap_or_default());
        shell.args(["-c", command]).env("PATH", path).env("KUBECONFIG", self.kubeconfig("admin"));
        shell.env("KUBECACHEDIR", self.dir.path().join("cache"));
        let Output { status, stdout, stderr } = shell.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
    }

    /// What kubectl prints, as the administrator.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.done(arguments, None)
    }

    pub(crate) fn apply(&self, manifest: &str) {
        self.done(&["apply", "-f", "-"], Some(manifest));
    }

    fn done(&self, arguments: &[&str], input: Option<&str>) -> String {
        let output = self.run(arguments, input);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// An object, if it is there.
    pub(crate) fn find(&self, what: &str) -> Option<Value> {
        let output = self.run(&["get", what, "--output=json", "--show-managed-fields"], None);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Waits until something is so.
    pub(crate) fn eventually(&self, what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}\n{}", self.log());
            sleep(Duration::from_millis(100));
        }
    }

    /// Waits until an object is as it should be.
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        self.eventually(what, || self.find(what).is_some_and(|object| is_so(&object)));
    }

    /// What the API server was asked so far: the verb, the kind, the answer's code, and how often.
    fn requests(&self) -> Vec<(String, String, String, f64)> {
        let metrics = self.kubectl(&["get", "--raw", "/metrics"]);
        let lines = metrics.lines().filter(|line| line.starts_with("apiserver_request_total{"));
        lines
            .map(|line| {
                let label = |name: &str| {
                    let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap_or_default();
                    rest.split('"').next().unwrap_or_default().to_owned()
                };
                let count = line.rsplit(' ').next().unwrap().parse().unwrap();
                (label("verb"), label("resource"), label("code"), count)
            })
            .collect()
    }

    /// How often the API server was asked to write objects of groups, by verb and kind; and how often it has forbidden
    /// anything to anybody.
    pub(crate) fn counts(&self) -> (BTreeMap<String, f64>, f64) {
        let (mut writes, mut forbidden) = (BTreeMap::new(), 0.0);
        for (verb, resource, code, count) in self.requests() {
            if code == "403" {
                forbidden += count;
            }
            if ["APPLY", "PATCH", "POST", "PUT", "DELETE"].contains(&verb.as_str()) && resource != "leases" {
                *writes.entry(format!("{verb} {resource}")).or_insert(0.0) += count;
            }
        }
        (writes, forbidden)
    }

    /// How often objects of a kind were listed.
    pub(crate) fn lists(&self, kind: &str) -> f64 {
        let requests = self.requests().into_iter();
        let lists = requests.filter(|(verb, resource, ..)| verb == "LIST" && resource == kind);
        lists.map(|(.., count)| count).sum()
    }
}

fn generate_key(path: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]).arg(path);
    assert!(openssl.output().is_ok_and(|made| made.status.success()), "{openssl:?} makes no key");
}

fn kubeconfig(user: &str, url: &str) -> String {
    format!(
        r#"apiVersion: v1
kind: Config
clusters: [{{name: here, cluster: {{server: "{url}", insecure-skip-tls-verify: true}}}}]
users: [{{name: {user}, user: {{token: {user}}}}}]
contexts: [{{name: here, context: {{cluster: here, user: {user}, namespace: default}}}}]
current-context: here
"#
    )
}
