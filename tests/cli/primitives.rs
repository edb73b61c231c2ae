//! The verbs of counters, values, maps and sets.

use serde_json::json;

use super::synod::Synod;

#[tokio::test]
async fn each_verb_prints_what_was_asked_for_and_nothing_else() {
    let synod = Synod::start(2, 1).await;
    counters(&synod).await;
    values(&synod).await;
    maps(&synod).await;
    sets(&synod).await;
    bytes(&synod).await;
    applications(&synod).await;
}

async fn counters(synod: &Synod) {
    assert_eq!(synod.ok(&["counter", "get", "hits"]).await, "0\n");
    assert_eq!(synod.ok(&["counter", "increment", "hits"]).await, "1\n");
    assert_eq!(synod.ok(&["counter", "increment", "hits", "--by", "9"]).await, "10\n");
    assert_eq!(synod.ok(&["counter", "decrement", "hits", "--by", "-5"]).await, "15\n");
    assert_eq!(synod.ok(&["counter", "set", "hits", "-3", "--if-value", "15"]).await, "");
    let refused = synod.run(&["counter", "set", "hits", "8", "--if-value", "15"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (4, ""));
    assert!(refused.err.contains("-3"), "{refused:?}");
    assert_eq!(synod.json(&["counter", "get", "hits"]).await, json!({ "value": -3 }));
    assert_eq!(synod.json(&["counter", "set", "hits", "7"]).await, json!({ "value": 7, "previous": -3 }));
}

async fn values(synod: &Synod) {
    assert_eq!(synod.run(&["value", "get", "motd"]).await.code, 3);
    assert_eq!(synod.ok(&["value", "set", "motd", "hello"]).await, "");
    assert_eq!(synod.ok(&["value", "get", "motd"]).await, "hello\n");
    assert_eq!(synod.run(&["value", "insert", "motd", "again"]).await.code, 4);
    let found = synod.json(&["value", "get", "motd"]).await;
    let version = found["version"].to_string();
    assert_eq!(found["value"], "hello");
    assert_eq!(synod.ok(&["value", "update", "motd", "bye", "--if-version", &version]).await, "");
    assert_eq!(synod.run(&["value", "delete", "motd", "--if-version", &version]).await.code, 4);
    let deleted = synod.json(&["value", "delete", "motd"]).await;
    assert_eq!((&deleted["removed"], &deleted["previous"]["value"]), (&json!(true), &json!("bye")));
    assert_eq!(synod.json(&["value", "delete", "motd"]).await["removed"], false);
    assert_eq!(synod.run(&["value", "update", "motd", "1"]).await.code, 3);
}

async fn maps(synod: &Synod) {
    assert_eq!(synod.ok(&["map", "put", "users", "alice", "1", "--ttl", "1h"]).await, "");
    assert_eq!(synod.ok(&["map", "get", "users", "alice"]).await, "1\n");
    let missing = synod.run(&["map", "get", "users", "bob"]).await;
    assert_eq!((missing.code, missing.out.as_str()), (3, ""));
    assert!(missing.err.contains("\"bob\""), "{missing:?}");
    let written = synod.json(&["map", "put", "users", "alice", "2"]).await;
    assert_eq!(written["previous"]["value"], "1");
    let version = written["version"].to_string();
    assert_eq!(synod.ok(&["map", "put", "users", "alice", "3", "--if-version", &version]).await, "");
    let stale = synod.run(&["map", "put", "users", "alice", "4", "--if-version", &version]).await;
    assert_eq!(stale.code, 4);
    assert!(stale.err.contains("hint: "), "{stale:?}");
    assert_eq!(synod.run(&["map", "insert", "users", "alice", "5"]).await.code, 4);
    assert_eq!(synod.run(&["map", "update", "users", "bob", "5"]).await.code, 3);
    // Enough keys for both partitions.
    for key in ["bob", "carol", "dave", "erin"] {
        assert_eq!(synod.ok(&["map", "insert", "users", key, "two words"]).await, "");
    }
    assert_eq!(synod.ok(&["map", "len", "users"]).await, "5\n");
    let list = synod.ok(&["map", "list", "users"]).await;
    let keys: Vec<_> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(keys, ["KEY", "alice", "bob", "carol", "dave", "erin"]);
    let two = synod.json(&["map", "list", "users", "--prefix", "a", "--limit", "2"]).await;
    assert_eq!((two.as_array().unwrap().len(), &two[0]["value"]), (1, &json!("3")));
    assert_eq!(synod.json(&["map", "list", "users", "--limit", "2"]).await[1]["key"], "bob");
    assert_eq!(synod.json(&["map", "remove", "users", "bob"]).await["removed"], true);
    assert_eq!(synod.json(&["map", "remove", "users", "bob"]).await["removed"], false);
    assert_eq!(synod.json(&["map", "clear", "users"]).await, json!({ "removed": 4 }));
    assert_eq!(synod.json(&["map", "list", "users"]).await, json!([]));
}

async fn sets(synod: &Synod) {
    assert_eq!(synod.ok(&["set", "add", "tags", "blue"]).await, "");
    assert_eq!(synod.json(&["set", "add", "tags", "blue"]).await, json!({ "added": false }));
    assert_eq!(synod.ok(&["set", "contains", "tags", "blue"]).await, "true\n");
    let no = synod.run(&["set", "contains", "tags", "red"]).await;
    assert_eq!((no.code, no.out.as_str(), no.err.as_str()), (4, "false\n", ""));
    synod.ok(&["set", "add", "tags", "amber"]).await;
    assert_eq!(synod.json(&["set", "list", "tags"]).await, json!(["amber", "blue"]));
    assert_eq!(synod.ok(&["set", "len", "tags"]).await, "2\n");
    assert_eq!(synod.json(&["set", "remove", "tags", "blue"]).await, json!({ "removed": true }));
    assert_eq!(synod.json(&["set", "clear", "tags"]).await, json!({ "removed": 1 }));
}

/// Bytes come back as they went in, however they are shown.
async fn bytes(synod: &Synod) {
    let put = ["map", "put", "files", "it", "-"];
    assert_eq!(synod.run_with_input(&put, b"\xff\x00\n").await.code, 0);
    assert_eq!(synod.ok(&["map", "get", "files", "it", "--base64"]).await, "/wAK\n");
    assert_eq!(synod.json(&["map", "get", "files", "it"]).await["value_base64"], "/wAK");
    let list = synod.ok(&["map", "list", "files"]).await;
    assert!(list.contains(r#"b"\xff\x00\n""#), "{list}");
    let raw = synod.command(&["map", "get", "files", "it", "--raw"]).output().await.unwrap();
    assert_eq!(raw.stdout, b"\xff\x00\n");
    synod.ok(&["map", "put", "files", "text", "--base64", "aGVsbG8="]).await;
    assert_eq!(synod.ok(&["map", "get", "files", "text"]).await, "hello\n");
    // Whoever has read enough is no error.
    for key in 0..50 {
        synod.ok(&["map", "put", "files", &format!("key-{key}"), &"x".repeat(4_096)]).await;
    }
    let mut child = synod.command(&["map", "list", "files", "-o", "json"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(141), 0), "{output:?}");
}

async fn applications(synod: &Synod) {
    synod.ok(&["counter", "increment", "hits", "--application", "shop"]).await;
    assert_eq!(synod.ok(&["counter", "get", "hits", "-a", "shop"]).await, "1\n");
    assert_eq!(synod.ok(&["counter", "get", "hits", "--sequential"]).await, "7\n");
    let listed = synod.json(&["primitive", "list", "-a", "shop"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["name"], "hits");
}
