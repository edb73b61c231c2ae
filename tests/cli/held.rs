//! Commands that run under a lock, or while they lead.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use synod_tests::running::{eventually, lives};
use tokio::process::Child;

use super::synod::Synod;

#[tokio::test]
async fn a_command_runs_only_as_long_as_its_lock_is_held() {
    let synod = Synod::start(1, 1).await;
    exit_codes(&synod).await;
    one_at_a_time(&synod).await;
    forced(&synod).await;
    keeper_killed(&synod).await;
    leadership(&synod).await;
    cut_off(synod).await;
}

/// A line that a command has written into a file.
async fn line(file: &Path) -> String {
    let read = || std::fs::read_to_string(file).unwrap_or_default();
    eventually("the command writes a line", || read().ends_with('\n')).await;
    read().trim().to_owned()
}

/// Runs a command under the lock that tells its process and then waits to be stopped.
async fn waiting(synod: &Synod, lock: &str) -> (Child, Pid) {
    let file = synod.dir.path().join(format!("{lock}.pid"));
    let script = format!("echo $$ > {}; while :; do sleep 0.05; done", file.display());
    let mut command = synod.command(&["lock", "run", lock, "--", "sh", "-c", &script]);
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_raw(line(&file).await.parse().unwrap()).unwrap();
    (child, pid)
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap()
}

async fn exit_codes(synod: &Synod) {
    let script = r#"test "$SYNOD_FENCE" -gt 0 && echo "$SYNOD_LOCK" && exit 42"#;
    let answer = synod.run(&["lock", "run", "deploy", "--", "sh", "-c", script]).await;
    assert_eq!((answer.code, answer.out.as_str(), answer.err.as_str()), (42, "deploy\n", ""));
    let missing = synod.run(&["lock", "run", "deploy", "--", "/no/such/program"]).await;
    assert_eq!(missing.code, 127, "{missing:?}");
    // It was released both times.
    assert_eq!(synod.json(&["lock", "status", "deploy"]).await["holders"].as_array().unwrap().len(), 0);
    // Arguments of the command are its own, and standard input too.
    let run = ["lock", "run", "deploy", "--no-wait", "--", "cat", "-", "--"];
    let cat = synod.run_with_input(&run, b"for the command").await;
    assert_eq!((cat.code, cat.out.as_str()), (0, "for the command"), "{cat:?}");
}

async fn one_at_a_time(synod: &Synod) {
    let (mut keeper, pid) = waiting(synod, "one").await;
    let fence = synod.json(&["lock", "status", "one"]).await["holders"][0]["fence"].to_string();
    assert_eq!(synod.ok(&["lock", "check", "one", &fence]).await, "true\n");
    for wait in [["--wait", "50ms"].as_slice(), &["--no-wait"]] {
        let run = [["lock", "run", "one"].as_slice(), wait, &["--", "echo", "it ran"]].concat();
        let second = synod.run(&run).await;
        assert_eq!((second.code, second.out.as_str()), (4, ""), "{second:?}");
        assert!(second.err.contains(&fence), "it says who holds it: {second:?}");
    }
    // A signal goes to the command, and the keeper ends as that does.
    kill_process(pid_of(&keeper), Signal::TERM).unwrap();
    assert_eq!(keeper.wait().await.unwrap().code(), Some(128 + 15));
    assert!(!lives(pid));
    assert_eq!(synod.ok(&["lock", "run", "one", "--no-wait", "--", "echo", "it ran"]).await, "it ran\n");
    let stale = synod.run(&["lock", "check", "one", &fence]).await;
    assert_eq!((stale.code, stale.out.as_str()), (4, "false\n"));
}

async fn forced(synod: &Synod) {
    let (keeper, pid) = waiting(synod, "forced").await;
    let fence = synod.json(&["lock", "status", "forced"]).await["holders"][0]["fence"].to_string();
    synod.ok(&["lock", "release", "forced", &fence]).await;
    let output = keeper.wait_with_output().await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(8), "{told}");
    assert!(told.contains("lost"), "{told}");
    assert!(!lives(pid));
}

async fn keeper_killed(synod: &Synod) {
    let (mut keeper, pid) = waiting(synod, "killed").await;
    let keepers_pid = pid_of(&keeper).as_raw_nonzero();
    let children = format!("/proc/{keepers_pid}/task/{keepers_pid}/children");
    let guards = |child: &str| {
        std::fs::read_to_string(format!("/proc/{child}/cmdline"))
            .is_ok_and(|line| line.contains("\0guardian\0"))
    };
    let is_guarded = || std::fs::read_to_string(&children).unwrap().split_whitespace().any(guards);
    eventually("the command has a guardian", is_guarded).await;
    keeper.kill().await.unwrap();
    eventually("the command is stopped in place of its keeper", || !lives(pid)).await;
}

/// Where nobody confirms that the lock is held, it is not held for long.
async fn cut_off(synod: Synod) {
    let file = synod.dir.path().join("cut-off.pid");
    let script = format!("echo $$ > {}; while :; do sleep 0.05; done", file.display());
    let run = ["lock", "run", "cut-off", "--session-timeout", "1s", "--timeout", "500ms"];
    let mut command = synod.command(&[&run[..], &["--", "sh", "-c", &script]].concat());
    let keeper = command.stdout(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_raw(line(&file).await.parse().unwrap()).unwrap();
    synod.kill();
    let output = keeper.wait_with_output().await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(8), "{told}");
    assert!(told.contains("lost"), "{told}");
    assert!(!lives(pid));
}

async fn leadership(synod: &Synod) {
    let file = synod.dir.path().join("leads");
    let script = format!("echo $SYNOD_FENCE > {}; while :; do sleep 0.05; done", file.display());
    let enter = |candidate| ["election", "run", "main", "--candidate", candidate, "--"];
    let first = [&enter("first")[..], &["sh", "-c", &script]].concat();
    let first = synod.command(&first).stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(line(&file).await, "1");
    assert_eq!(synod.ok(&["election", "leader", "main"]).await, "first\n");
    let duplicate = synod.run(&[&enter("first")[..], &["true"]].concat()).await;
    assert_eq!(duplicate.code, 4, "{duplicate:?}");
    let second = [&enter("second")[..], &["sh", "-c", "echo $SYNOD_FENCE"]].concat();
    let second = synod.command(&second).spawn().unwrap();
    loop {
        let term = synod.json(&["election", "get", "main"]).await;
        if term["queue"] == serde_json::json!(["second"]) {
            break;
        }
    }
    synod.ok(&["election", "anoint", "main", "second"]).await;
    assert_eq!(first.wait_with_output().await.unwrap().status.code(), Some(8));
    let second = second.wait_with_output().await.unwrap();
    assert_eq!((second.status.code(), second.stdout.as_slice()), (Some(0), b"2\n".as_slice()));
}
