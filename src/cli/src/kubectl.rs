//! `kubectl synod`: the verbs, for whoever is outside of the cluster.
//!
//! Replicas have addresses that only pods can reach. So this binary, under the name `kubectl-synod`, runs each verb in a pod
//! of the operator by `kubectl exec`: with the rights of whoever calls, and what the verb answers is answered here, the exit
//! code included.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Parser;

use crate::exit::Exit;

/// The name under which kubectl looks for plugins.
const NAME: &str = "kubectl-synod";

/// Where the verbs run.
const POD: &str = "deployment/synod-operator";
const PROGRAM: &str = "/synod";

/// What runs where it is called, and not in a pod.
const LOCAL: [&str; 4] = ["dev", "node", "operator", "completion"];

/// Use the primitives of a cluster, and look after its groups: runs the verbs of synod in a pod of the operator.
#[derive(Parser)]
#[command(
    name = "kubectl synod",
    bin_name = "kubectl synod",
    version,
    override_usage = "kubectl synod [OPTIONS] <VERB>..."
)]
struct Arguments {
    /// The context of kubectl.
    #[arg(long, value_name = "NAME")]
    context: Option<OsString>,

    /// The configuration of kubectl.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<OsString>,

    /// The namespace of the group: that of the context if nothing is said.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<OsString>,

    /// Where the operator runs.
    #[arg(long, value_name = "NAME", env = "SYNOD_OPERATOR_NAMESPACE", default_value = "synod-system")]
    operator_namespace: OsString,

    /// The verb and all that belongs to it, as in: status, map get NAME KEY. `kubectl synod help` lists them.
    #[arg(value_name = "VERB", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    verb: Vec<OsString>,
}

/// Whether this process was called as a plugin of kubectl.
pub(crate) fn is_called() -> bool {
    let called = std::env::args_os().next();
    called.as_deref().and_then(|name| Path::new(name).file_name()) == Some(OsStr::new(NAME))
}

/// Does what the arguments of this process say.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let local = arguments.verb.first().filter(|verb| LOCAL.iter().any(|local| local == verb));
    if let Some(verb) = local.map(|verb| verb.display()) {
        eprintln!("error: {verb} does nothing for a cluster; on this machine it is: synod {verb}");
        return ExitCode::from(Exit::USAGE.0);
    }
    let namespace = arguments.namespace.clone().or_else(|| namespace_of_context(&arguments));
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    match arguments.exec(namespace.as_deref(), is_terminal).status() {
        Ok(status) => {
            ExitCode::from(status.code().and_then(|code| code.try_into().ok()).unwrap_or(Exit::FAULT.0))
        }
        Err(error) => {
            eprintln!("error: kubectl, which has to be in the PATH, cannot be run: {error}");
            ExitCode::from(Exit::FAULT.0)
        }
    }
}

/// The namespace of the context, if it has one.
fn namespace_of_context(arguments: &Arguments) -> Option<OsString> {
    let mut view = arguments.kubectl();
    view.args(["config", "view", "--minify", "--output=jsonpath={..namespace}"]);
    let said = String::from_utf8(view.output().ok()?.stdout).ok()?;
    Some(said).filter(|said| !said.is_empty()).map(OsString::from)
}

impl Arguments {
    fn kubectl(&self) -> Command {
        let mut kubectl = Command::new("kubectl");
        for (flag, value) in [("--context", &self.context), ("--kubeconfig", &self.kubeconfig)] {
            kubectl.args(value.iter().flat_map(|value| [OsStr::new(flag), value.as_os_str()]));
        }
        kubectl
    }

    /// Runs the verb in a pod. The namespace goes behind its first word, where every verb takes it.
    fn exec(&self, namespace: Option<&OsStr>, is_terminal: bool) -> Command {
        let mut exec = self.kubectl();
        exec.arg("exec").arg("--namespace").arg(&self.operator_namespace).args(["--quiet", "--stdin"]);
        exec.args(is_terminal.then_some("--tty"));
        exec.args([POD, "--", PROGRAM]);
        let (first, rest) = self.verb.split_at(1.min(self.verb.len()));
        let has_place = first.iter().all(|verb| verb != "help" && !verb.as_encoded_bytes().starts_with(b"-"));
        let place = [OsStr::new("--namespace"), namespace.unwrap_or(OsStr::new("default"))];
        exec.args(first).args(place.iter().filter(|_| has_place)).args(rest);
        exec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str, namespace: Option<&str>, is_terminal: bool) -> String {
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        let command = arguments.exec(namespace.map(OsStr::new), is_terminal);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn a_verb_runs_in_a_pod_of_the_operator() {
        assert_eq!(
            words("kubectl-synod map put m key value --ttl 1m", Some("shop"), false),
            "exec --namespace synod-system --quiet --stdin deployment/synod-operator -- /synod map --namespace shop put m key value --ttl 1m"
        );
        assert_eq!(
            words("kubectl-synod --context c --operator-namespace o status", None, true),
            "--context c exec --namespace o --quiet --stdin --tty deployment/synod-operator -- /synod status --namespace default"
        );
        assert!(words("kubectl-synod help map", Some("shop"), false).ends_with("-- /synod help map"));
        assert!(Arguments::try_parse_from(["kubectl-synod"]).is_err(), "a verb is missing");
    }
}
