//! A program that writes all the time, in a pod, while something is done to its group; and what it says at the end.

use serde_json::Value;

use crate::kubectl::Namespace;

/// What a workload saw.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: u64,
    pub(crate) failed: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// The longest time for which no write was acknowledged, in milliseconds.
    pub(crate) longest_pause_ms: u64,
}

const POD: &str = "workload";

/// Runs a workload for so long while `during` is done. Fails if a write was lost, was done twice, or failed although it
/// could have been tried again.
pub(crate) fn under_load(namespace: &Namespace, what: &str, seconds: u64, during: impl FnOnce()) -> Outcome {
    namespace.start_pod(POD, "localhost/endurance:e2e", &[&seconds.to_string()]);
    namespace.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{POD}"), "--timeout=60s"]);
    during();
    let phase = namespace.get(&format!("pod/{POD}"))["status"]["phase"].clone();
    assert_eq!(phase, "Running", "the workload has ended before the end of: {what}");
    let log = namespace.finish_pod(POD);
    namespace.kubectl(&["delete", "pod", POD]);
    let said: Value = log.lines().last().and_then(|line| serde_json::from_str(line).ok()).expect(&log);
    let number = |name: &str| said[name].as_u64().unwrap_or_else(|| panic!("no {name} in {said}"));
    let outcome = Outcome {
        acknowledged: number("acknowledged"),
        failed: number("failed"),
        lost: number("lost"),
        doubled: number("doubled"),
        longest_pause_ms: number("longest_pause_ms"),
    };
    println!("{what}: {outcome:?}");
    assert!(outcome.acknowledged > 0, "{outcome:?}");
    assert_eq!((outcome.lost, outcome.doubled, outcome.failed), (0, 0, 0), "{what}: {log}");
    outcome
}
