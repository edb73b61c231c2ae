//! How a group stands: status, groups, primitives, members.

use serde_json::json;

use super::synod::Synod;

#[tokio::test]
async fn a_group_can_be_looked_at_from_all_sides() {
    let synod = Synod::start(2, 3).await;
    synod.ok(&["map", "put", "users", "alice", "1"]).await;

    let status = synod.ok(&["status", "--wait", "60s"]).await;
    let rows: Vec<Vec<_>> = status.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["GROUP", "PARTITION", "LEADER", "TERM", "READY", "LAG", "MESSAGE"]);
    assert_eq!(rows.len(), 3);
    for (partition, row) in rows[1..].iter().enumerate() {
        assert_eq!((row[0], row[1]), ("default/sample", partition.to_string().as_str()));
        assert!(row[2].starts_with("node-") && row[3] != "0" && row[4] == "3/3", "{row:?}");
    }

    let groups = synod.json(&["group", "list", "--all-namespaces"]).await;
    assert_eq!((&groups[0]["name"], &groups[0]["replicas"]), (&json!("sample"), &json!(3)));
    assert_eq!(synod.json(&["group", "list", "-n", "other"]).await, json!([]));
    assert_eq!(synod.json(&["group", "get"]).await["slots"], 32_768);
    assert_eq!(synod.run(&["status", "-n", "other"]).await.code, 3);
    assert_eq!(synod.ok(&["group", "status", "sample"]).await.lines().count(), 1 + 2 * 3);

    let listed = synod.json(&["primitive", "list", "--kind", "map"]).await;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &json!("users")));
    assert_eq!(synod.json(&["primitive", "list", "--kind", "lock"]).await, json!([]));
    assert_eq!(synod.json(&["primitive", "get", "map", "users"]).await["application"], "default");
    assert_eq!(synod.json(&["primitive", "delete", "map", "users"]).await, json!({ "deleted": true }));
    assert_eq!(synod.json(&["primitive", "delete", "map", "users"]).await, json!({ "deleted": false }));
    assert_eq!(synod.run(&["primitive", "get", "map", "users"]).await.code, 3);

    members(&synod).await;
}

async fn members(synod: &Synod) {
    let replicas = synod.json(&["member", "status"]).await;
    let replicas = replicas.as_array().unwrap();
    assert_eq!(replicas.len(), 2 * 3);
    assert!(replicas.iter().all(|replica| replica["phase"] == "running"), "{replicas:?}");

    let log_index: u64 = synod.ok(&["member", "snapshot", "-p", "1"]).await.trim().parse().unwrap();
    let on = synod.ok(&["member", "snapshot", "-p", "1", "--on", "node-2"]).await;
    assert!(log_index > 0 && on.trim().parse::<u64>().unwrap() > 0);

    for node in ["node-0", "node-1", "node-2"] {
        let leads = synod.ok(&["member", "transfer-leadership", "-p", "0", "--to", node]).await;
        let replicas = synod.json(&["member", "status"]).await;
        let leader = replicas.as_array().unwrap().iter().find(|replica| {
            replica["partition"] == 0 && replica["role"] == "leader" && replica["node"] == node
        });
        let leader = leader.unwrap_or_else(|| panic!("{node} does not lead: {replicas}"));
        assert_eq!(leader["member"].to_string(), leads.trim());
    }
}

#[tokio::test]
async fn completion_knows_the_verbs() {
    let synod = Synod::start(1, 1).await;
    for shell in ["bash", "zsh", "fish"] {
        let script = synod.ok(&["completion", shell]).await;
        assert!(script.contains("transfer-leadership") && script.contains("increment"), "{shell}");
    }
    assert_eq!(synod.run(&["completion", "abacus"]).await.code, 2);
}
