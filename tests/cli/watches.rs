//! Watches: one line for each change, whatever happens to leaders, and on from where an earlier one ended.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use super::synod::{PATIENCE, Synod};

/// A watch that runs.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn start(synod: &Synod, arguments: &[&str]) -> Self {
        let mut child = synod.command(arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("no line comes");
        line.unwrap().expect("it has ended")
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    /// Ctrl-C. Returns what it said on standard error.
    async fn interrupt(mut self) -> String {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).await.unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it hangs").unwrap();
        assert_eq!(status.code(), Some(0), "{told}");
        told
    }
}

/// What a watch has seen last of a key that counts up, and where it says to go on from.
async fn begun(synod: &Synod) -> (u64, String) {
    synod.ok(&["map", "put", "users", "alice", "0"]).await;
    // What happens before the watch has begun is not in it, so something happens until it has.
    let mut watch = Watch::start(synod, &["map", "watch", "users", "--key", "alice"]);
    let mut last = 0;
    let first = loop {
        last += 1;
        synod.ok(&["map", "put", "users", "alice", &last.to_string()]).await;
        if let Ok(line) = timeout(std::time::Duration::from_millis(100), watch.lines.next_line()).await {
            break line.unwrap().unwrap();
        }
    };
    assert!(first.starts_with("updated alice "), "{first}");
    let told = watch.interrupt().await;
    let (_, cursor) = told.trim().split_once("--from ").expect("it says where to go on");
    (last, cursor.to_owned())
}

#[tokio::test]
async fn a_watch_misses_nothing_also_when_leaders_change() {
    let synod = Synod::start(1, 3).await;
    synod.ok(&["map", "put", "users", "alice", "0"]).await;
    let mut watch = Watch::start(&synod, &["map", "watch", "users", "--initial", "-o", "json"]);
    assert_eq!(watch.json().await["event"], "reset");
    let present = watch.json().await;
    assert_eq!((&present["event"], &present["key"]), (&json!("present"), &json!("alice")));
    assert_eq!(watch.json().await["event"], "complete");
    for value in ["1", "2", "3"] {
        synod.ok(&["map", "put", "users", "alice", value]).await;
        // Everybody has to know the last leader before the next one is asked for.
        let settled = synod.run(&["status", "--wait", "60s"]).await;
        assert_eq!(settled.code, 0, "{settled:?}");
        let leads = synod.ok(&["member", "transfer-leadership", "--partition", "0"]).await;
        assert!(leads.trim().parse::<u64>().unwrap() > 0, "{leads}");
        let event = watch.json().await;
        assert_eq!((&event["event"], &event["value"]), (&json!("updated"), &json!(value)));
    }
    watch.interrupt().await;
}

#[tokio::test]
async fn a_watch_goes_on_from_where_an_earlier_one_ended() {
    let synod = Synod::start(1, 1).await;
    let (last, cursor) = begun(&synod).await;
    synod.ok(&["map", "put", "users", "bob smith", "two words"]).await;
    synod.ok(&["map", "remove", "users", "alice"]).await;
    let mut resumed = Watch::start(&synod, &["map", "watch", "users", "--from", &cursor]);
    assert_eq!(resumed.line().await, "inserted \"bob smith\" \"two words\"");
    assert_eq!(resumed.line().await, format!("removed alice {last}"));
    synod.ok(&["map", "put", "users", "carol", "1", "--ttl", "100ms"]).await;
    assert_eq!(resumed.line().await, "inserted carol 1");
    assert_eq!(resumed.line().await, "expired carol 1");
    resumed.interrupt().await;
}

#[tokio::test]
async fn every_kind_can_be_watched() {
    let synod = Synod::start(1, 1).await;
    synod.ok(&["set", "add", "tags", "blue"]).await;
    let mut set = Watch::start(&synod, &["set", "watch", "tags", "--initial"]);
    assert_eq!(set.line().await, "reset partition 0");
    assert_eq!(set.line().await, "present blue");
    assert_eq!(set.line().await, "complete partition 0");
    synod.ok(&["set", "remove", "tags", "blue"]).await;
    assert_eq!(set.line().await, "removed blue");
    set.interrupt().await;

    // From where an earlier one ended on.
    let (_, begin) = begun(&synod).await;
    let begin = begin.as_str();
    for (kind, name) in [("counter", "hits"), ("value", "motd"), ("lock", "deploy"), ("election", "main")] {
        synod.ok(&["primitive", "create", kind, name]).await;
    }
    let mut counter = Watch::start(&synod, &["counter", "watch", "hits", "--from", begin, "-o", "json"]);
    synod.ok(&["counter", "increment", "hits", "--by", "7"]).await;
    let change = counter.json().await;
    assert_eq!((&change["value"], &change["previous"]), (&json!(7), &json!(0)));
    counter.interrupt().await;

    let mut value = Watch::start(&synod, &["value", "watch", "motd", "--from", begin]);
    synod.ok(&["value", "set", "motd", "hello"]).await;
    assert_eq!(value.line().await, "created hello");
    value.interrupt().await;

    let mut lock = Watch::start(&synod, &["lock", "watch", "deploy", "--from", begin, "-o", "json"]);
    synod.ok(&["lock", "run", "deploy", "--", "true"]).await;
    assert_eq!(lock.json().await["event"], "granted");
    assert_eq!(lock.json().await["event"], "released");
    lock.interrupt().await;

    let mut election = Watch::start(&synod, &["election", "watch", "main", "--from", begin]);
    synod.ok(&["election", "run", "main", "--candidate", "a", "--", "true"]).await;
    assert_eq!(election.line().await, "term 1 leader a");
    assert_eq!(election.line().await, "term 1 leader -");
    election.interrupt().await;
}
