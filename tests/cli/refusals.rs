//! Bad input: each gets an exit code and a message that says what is wrong, and changes nothing.

use super::synod::Synod;

#[tokio::test]
async fn bad_input_is_refused_by_name_and_changes_nothing() {
    let synod = Synod::start(1, 1).await;
    synod.ok(&["map", "put", "users", "alice", "1"]).await;
    let long_name = "n".repeat(256);
    let long_key = "k".repeat(4_097);
    let refusals: &[(&[&str], i32, &str)] = &[
        // Names, keys and values.
        (&["map", "put", "", "k", "v"], 2, "name \"\" is empty"),
        (&["map", "put", &long_name, "k", "v"], 2, "1 to 255 bytes"),
        (&["map", "put", "a\nb", "k", "v"], 2, "control character"),
        (&["map", "put", "users", "", "v"], 2, "the key is empty"),
        (&["map", "put", "users", &long_key, "v"], 2, "4097"),
        (&["map", "get", "users", &long_key], 2, "4097"),
        (&["set", "add", "tags", ""], 2, "empty"),
        (&["set", "add", "tags", &long_key], 2, "4097"),
        (&["map", "put", "users", "k", "no!", "--base64"], 2, "base64"),
        (&["election", "anoint", "main", ""], 2, "candidate"),
        // Arguments that are of another type.
        (&["counter", "set", "hits", "many"], 2, "many"),
        (&["counter", "set", "hits", "9223372036854775808"], 2, "9223372036854775808"),
        (&["map", "put", "users", "k", "v", "--ttl", "5"], 2, "\"5s\""),
        (&["map", "put", "users", "k", "v", "--if-version", "0"], 2, "number from 1 on"),
        (&["map", "watch", "users", "--from", "17"], 2, "partition:position"),
        (&["map", "get", "users"], 2, "<KEY>"),
        (&["lock", "run", "deploy"], 2, "COMMAND"),
        (&["lock", "run", "deploy", "--no-wait", "--wait", "1s", "--", "true"], 2, "cannot be used with"),
        // Kinds.
        (&["table", "get", "users"], 2, "table"),
        (&["primitive", "get", "table", "users"], 2, "counter, value, map, set, lock, election"),
        (&["counter", "get", "users"], 7, "is the name of a map"),
        (&["lock", "status", "users"], 7, "is the name of a map"),
        (&["lock", "run", "users", "--", "true"], 7, "is the name of a map"),
        // Groups.
        (&["map", "get", "users", "alice", "--group", "other"], 3, "\"other\""),
        (&["map", "get", "users", "alice", "--namespace", "other"], 3, "\"other\""),
        (&["map", "get", "users", "alice", "--group", "Not A Label"], 2, "lower-case"),
        (&["map", "get", "users", "alice", "--controller", "ftp://x"], 2, "http://host:port"),
        (&["map", "get", "users", "alice", "--timeout", "0s"], 2, "request_timeout"),
        (&["group", "get", "other"], 3, "sample"),
        (&["group", "delete", "other"], 3, "sample"),
        (&["group", "create", "/no/such/file"], 2, "/no/such/file"),
        // What does not exist.
        (&["map", "get", "--existing", "nothing", "k"], 3, "does not exist"),
        (&["counter", "increment", "--existing", "nothing"], 3, "does not exist"),
        (&["primitive", "get", "map", "nothing"], 3, "nothing"),
        (&["lock", "release", "deploy", "99"], 4, "99"),
        (&["member", "snapshot", "--partition", "9"], 3, "no partition 9"),
        (&["member", "remove", "--partition", "0", "nobody"], 3, "nobody"),
    ];
    for (arguments, code, named) in refusals {
        let answer = synod.run(arguments).await;
        assert_eq!((answer.code, answer.out.as_str()), (*code, ""), "{arguments:?}: {answer:?}");
        assert!(answer.err.contains(named), "{arguments:?}: {answer:?}");
    }
    let giant = synod.run_with_input(&["map", "put", "users", "k", "-"], &vec![b'x'; 1_048_577]).await;
    assert_eq!(giant.code, 2, "{giant:?}");
    assert!(giant.err.contains("1048577") && giant.err.contains("1048576"), "{giant:?}");
    assert_eq!(synod.json(&["map", "list", "users"]).await.as_array().unwrap().len(), 1);
    assert_eq!(synod.ok(&["set", "len", "tags"]).await, "0\n");
    assert_eq!(synod.ok(&["counter", "get", "hits"]).await, "0\n");
    let primitives = synod.json(&["primitive", "list"]).await;
    assert!(primitives.as_array().unwrap().iter().all(|it| it["name"] != "nothing"), "{primitives}");
}

#[tokio::test]
async fn without_a_controller_it_is_said_where_one_can_come_from() {
    let synod = Synod::start(1, 1).await;
    let elsewhere = "127.0.0.1:1";
    for arguments in [["map", "get", "users", "k"].as_slice(), &["status"], &["counter", "increment", "hits"]]
    {
        let away = ["--controller", elsewhere, "--timeout", "300ms"];
        let answer = synod.run(&[arguments, &away].concat()).await;
        assert_eq!((answer.code, answer.out.as_str()), (5, ""), "{answer:?}");
        assert!(answer.err.contains("hint: ") && answer.err.contains(elsewhere), "{answer:?}");
    }
}
