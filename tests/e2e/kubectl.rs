//! The cluster, through kubectl: what users have.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

static TURN: Mutex<()> = Mutex::new(());

/// A namespace for one test, which has its turn as long as it has this. Deleted at the end; when the test failed, what is in
/// it is printed before, and it stays if `E2E_KEEP` is set.
pub(crate) struct Namespace {
    pub(crate) name: String,
    _turn: MutexGuard<'static, ()>,
}

impl Namespace {
    pub(crate) fn new(name: &str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("e2e-{name}");
        run(&["delete", "namespace", &name, "--ignore-not-found", "--timeout=120s"], None);
        run(&["create", "namespace", &name], None);
        let programs = format!("--group=system:serviceaccounts:{name}");
        let binding = ["create", "rolebinding", "programs", "--clusterrole=synod-client", &programs];
        run(&[&["--namespace", &name], &binding[..]].concat(), None);
        run(&["label", "namespace", &name, "pod-security.kubernetes.io/enforce=restricted"], None);
        Self { name, _turn: turn }
    }

    /// What kubectl prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        run(&self.within(arguments), None)
    }

    /// Whether kubectl succeeds, and all that it prints.
    pub(crate) fn try_kubectl(&self, arguments: &[&str], input: Option<&str>) -> (bool, String) {
        let output = start(&self.within(arguments), input);
        (output.status.success(), text(&output))
    }

    fn within<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&["--namespace", &self.name], arguments].concat()
    }

    pub(crate) fn apply(&self, manifest: &str) {
        run(&self.within(&["apply", "-f", "-"]), Some(manifest));
    }

    /// An object.
    pub(crate) fn get(&self, what: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", what, "--output=json"])).unwrap()
    }

    /// The names of objects.
    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        let names = self.kubectl(&["get", kind, "--output=name"]);
        names.lines().filter_map(|line| line.split('/').next_back()).map(str::to_owned).collect()
    }

    /// Waits until an object is as it should be, and says how long that took. Fails with the object when it does not come.
    pub(crate) fn wait(&self, what: &str, seconds: u64, is_so: impl Fn(&Value) -> bool) -> Duration {
        let started = Instant::now();
        loop {
            let (found, text) = self.try_kubectl(&["get", what, "--output=json"], None);
            let object = serde_json::from_str(&text).unwrap_or(Value::Null);
            if found && is_so(&object) {
                return started.elapsed();
            }
            assert!(
                started.elapsed() < Duration::from_secs(seconds),
                "{what} is not as it should be after {seconds} s: {}",
                if found { object["status"].to_string() } else { text }
            );
            sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a group is ready as of its newest spec.
    pub(crate) fn wait_ready(&self, group: &str, seconds: u64) -> Duration {
        self.wait(&format!("partitiongroup/{group}"), seconds, is_ready)
    }

    /// Waits until an event about a group says this, and says how long that took.
    pub(crate) fn wait_told(&self, group: &str, said: &str, seconds: u64) -> Duration {
        self.wait("events", seconds, |events| {
            let is_so = |event: &Value| {
                let about = &event["involvedObject"];
                let message = event["message"].as_str().unwrap_or_default();
                about["kind"] == "PartitionGroup" && about["name"] == group && message.contains(said)
            };
            events["items"].as_array().is_some_and(|events| events.iter().any(is_so))
        })
    }

    /// Waits until a condition of a group, with this answer, says this; and an event about it, if it is a trouble.
    pub(crate) fn wait_said(&self, group: &str, question: &str, answer: &str, said: &str, seconds: u64) {
        let took = self.wait(&format!("partitiongroup/{group}"), seconds, |group| {
            let (status, _, message) = condition(group, question);
            status == answer && message.contains(said)
        });
        let told = self.wait_told(group, said, 10);
        println!(
            "{question} says \"{said}\" after {:.1} s, an event {:.1} s later",
            took.as_secs_f64(),
            told.as_secs_f64()
        );
    }

    /// Changes the spec of an object.
    pub(crate) fn patch(&self, what: &str, patch: &Value) {
        self.kubectl(&["patch", what, "--type=merge", "--patch", &patch.to_string()]);
    }

    /// What a verb of synod answers about the group of this namespace.
    pub(crate) fn synod(&self, verb: &[&str]) -> String {
        let program = ["--namespace=synod-system", "exec", "deployment/synod-operator", "--", "/synod"];
        kubectl(&[&program[..], verb, &["--namespace", &self.name]].concat())
    }

    /// Runs a pod of an image to its end, and returns what it logged.
    pub(crate) fn run_pod(&self, name: &str, image: &str, arguments: &[&str]) -> String {
        self.start_pod(name, image, arguments);
        self.finish_pod(name)
    }

    pub(crate) fn start_pod(&self, name: &str, image: &str, arguments: &[&str]) {
        let arguments: Vec<_> = arguments.iter().map(|argument| format!("{argument:?}")).collect();
        self.apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: main
    image: {image}
    args: [{}]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
",
            arguments.join(", ")
        ));
    }

    pub(crate) fn finish_pod(&self, name: &str) -> String {
        let phase = |pod: &Value| pod["status"]["phase"].as_str().unwrap_or_default().to_owned();
        self.wait(&format!("pod/{name}"), 300, |pod| ["Succeeded", "Failed"].contains(&phase(pod).as_str()));
        let log = self.kubectl(&["logs", name]);
        assert_eq!(phase(&self.get(&format!("pod/{name}"))), "Succeeded", "{log}");
        log
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for what in ["partitiongroups,pods", "events"] {
                println!("{}", self.try_kubectl(&["get", what, "--output=wide"], None).1);
            }
            if std::env::var_os("E2E_KEEP").is_some() {
                return;
            }
        }
        start(&["delete", "namespace", &self.name, "--wait=false"], None);
    }
}

/// What kubectl prints, for the whole cluster.
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    run(arguments, None)
}

fn run(arguments: &[&str], input: Option<&str>) -> String {
    let output = start(arguments, input);
    let text = text(&output);
    assert!(output.status.success(), "kubectl {}: {text}", arguments.join(" "));
    text
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { out.into_owned() } else { format!("{out}{err}") }
}

fn start(arguments: &[&str], input: Option<&str>) -> Output {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl must be in the path");
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes()).unwrap();
    }
    child.wait_with_output().unwrap()
}

/// The answer of a group to one question: status, reason and message.
pub(crate) fn condition(object: &Value, question: &str) -> (String, String, String) {
    let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|condition| condition["type"] == question).unwrap_or_default();
    let field = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    (field("status"), field("reason"), field("message"))
}

/// Whether an object is ready as of its newest spec.
pub(crate) fn is_ready(object: &Value) -> bool {
    let is_current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    is_current && condition(object, "Ready").0 == "True"
}

/// The members of a partition, in the order of their nodes: id and role.
pub(crate) fn members(group: &Value, partition: usize) -> Vec<(String, String)> {
    let members = group["status"]["partitions"][partition]["members"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut members: Vec<_> = members
        .iter()
        .map(|member| (text(&member["node"]), text(&member["id"]), text(&member["role"])))
        .collect();
    members.sort();
    members.into_iter().map(|(_, id, role)| (id, role)).collect()
}

/// The node that leads a partition.
pub(crate) fn leader(group: &Value, partition: usize) -> Option<String> {
    let partition = &group["status"]["partitions"][partition];
    let members = partition["members"].as_array()?;
    let leader = members.iter().find(|member| member["id"] == partition["leader"])?;
    leader["node"].as_str().map(str::to_owned)
}
