//! What the objects of a group look like.

use serde_json::{Value, json};
use synod_api::manifest::{self, Object};

use super::*;

fn spec(text: &str) -> PartitionGroupSpec {
    let text = format!(
        "apiVersion: synod.dev/v1alpha1\nkind: PartitionGroup\nmetadata: {{name: sample}}\nspec: {text}\n"
    );
    let manifest = manifest::read("test", text.as_bytes()).unwrap().pop().unwrap();
    let Object::PartitionGroup(group) = manifest.object else { panic!("not a group") };
    group.spec
}

fn built(text: &str) -> Objects {
    let scope = Scope { namespace: "shop".into(), name: "sample".into(), uid: "1234".into() };
    let partitions = [
        PartitionSize { id: PartitionId(0), pods: 3, claimed: None },
        PartitionSize { id: PartitionId(1), pods: 5, claimed: Some("7Gi".into()) },
    ];
    build(&scope, &spec(text), "operator/image:1", &partitions)
}

fn json_of<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).unwrap()
}

fn environment(set: &Value) -> BTreeMap<String, String> {
    let variables = set["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    variables.iter().map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
}

#[test]
fn each_partition_has_its_objects_and_the_group_its_own() {
    let Objects { account, services, budgets, policies, sets } = built("{partitions: 2}");
    let names = |objects: Vec<Value>| -> Vec<String> {
        objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(vec![json_of(&account)]), ["sample"]);
    assert_eq!(
        names(services.iter().map(json_of).collect()),
        ["sample", "sample-p0", "sample-p0-peers", "sample-p1", "sample-p1-peers"]
    );
    assert_eq!(names(budgets.iter().map(json_of).collect()), ["sample-p0", "sample-p1"]);
    assert_eq!(names(policies.iter().map(json_of).collect()), ["sample-p0", "sample-p1"]);
    assert_eq!(names(sets.iter().map(json_of).collect()), ["sample-p0", "sample-p1"]);
}

#[test]
fn pods_keep_the_strictest_rules() {
    let set = json_of(&built("{partitions: 2}").sets[0]);
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true));
    assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
    assert_eq!(pod["automountServiceAccountToken"], json!(false));
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], json!(false));
    assert_eq!(container["readOnlyRootFilesystem"], json!(true));
    assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
}

#[test]
fn no_two_replicas_of_a_partition_share_a_machine_unless_the_user_says_so() {
    let spread = |text: &str| {
        let set = json_of(&built(text).sets[1]);
        set["spec"]["template"]["spec"]["topologySpreadConstraints"].as_array().unwrap().clone()
    };
    let usual = spread("{partitions: 2}");
    let rule = |position: usize| {
        (usual[position]["topologyKey"].as_str(), usual[position]["whenUnsatisfiable"].as_str())
    };
    assert_eq!(rule(0), (Some("kubernetes.io/hostname"), Some("DoNotSchedule")));
    assert_eq!(rule(1), (Some("topology.kubernetes.io/zone"), Some("ScheduleAnyway")));
    assert_eq!(
        usual[0]["labelSelector"]["matchLabels"]["synod.dev/partition"],
        json!("1"),
        "each partition alone"
    );
    let own = spread(
        "{partitions: 2, pod: {topologySpreadConstraints: [{maxSkew: 2, topologyKey: rack, whenUnsatisfiable: \
         ScheduleAnyway}]}}",
    );
    assert_eq!((own.len(), &own[0]["topologyKey"]), (1, &json!("rack")));
}

#[test]
fn only_replicas_of_a_partition_reach_its_peer_port() {
    let objects = built("{partitions: 2}");
    let policy = json_of(&objects.policies[1]);
    let selector = json!({"matchLabels": {"synod.dev/group": "sample", "synod.dev/partition": "1"}});
    let tcp = |name: &str| json!({"port": name, "protocol": "TCP"});
    let expected = json!({
        "podSelector": selector,
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"podSelector": selector}], "ports": [tcp("peer")]},
            {"ports": [tcp("client"), tcp("metrics")]},
        ],
    });
    assert_eq!(policy["spec"], expected);
    let set = json_of(&objects.sets[1]);
    let ports = set["spec"]["template"]["spec"]["containers"][0]["ports"].as_array().unwrap();
    let mut open: Vec<_> = ports.iter().filter_map(|port| port["name"].as_str()).collect();
    open.sort_unstable();
    assert_eq!(open, ["client", "metrics", "peer"], "no port is forgotten");
}

#[test]
fn sets_start_pods_together_and_replace_none() {
    let objects = built("{partitions: 2, storage: {size: 10Gi, whenDeleted: Delete}}");
    let sets: Vec<_> = objects.sets.iter().map(json_of).collect();
    assert_eq!(sets[0]["spec"]["podManagementPolicy"], json!("Parallel"));
    assert_eq!(sets[0]["spec"]["updateStrategy"], json!({"type": "OnDelete"}));
    assert_eq!(sets[0]["spec"]["serviceName"], json!("sample-p0-peers"));
    assert_eq!(sets[0]["spec"]["replicas"], json!(3));
    assert_eq!(
        sets[0]["spec"]["persistentVolumeClaimRetentionPolicy"],
        json!({"whenDeleted": "Delete", "whenScaled": "Retain"})
    );
    let size = |set: &Value| {
        set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"].clone()
    };
    assert_eq!(size(&sets[0]), json!("10Gi"));
    assert_eq!(size(&sets[1]), json!("7Gi"), "a set that is there keeps what it was made with");
}

#[test]
fn replicas_find_each_other_before_they_are_ready() {
    let services = built("{partitions: 2}").services;
    let headless = json_of(&services[2]);
    assert_eq!(headless["spec"]["clusterIP"], json!("None"));
    assert_eq!(headless["spec"]["publishNotReadyAddresses"], json!(true));
    let selector = json!({"synod.dev/group": "sample", "synod.dev/partition": "0"});
    assert_eq!(headless["spec"]["selector"], selector);
    assert_eq!(json_of(&services[1])["spec"]["publishNotReadyAddresses"], Value::Null);
}

#[test]
fn the_data_of_a_group_is_found_by_no_other_of_its_name() {
    let set = json_of(&built("{partitions: 2}").sets[1]);
    let environment = environment(&set);
    assert_eq!(environment["SYNOD_DATA_DIR"], "/var/lib/synod/1234");
    assert_eq!(environment["SYNOD_NODE_NAME"], "shop/$(SYNOD_POD)");
    assert_eq!(environment["SYNOD_PEER_ADDRESS"], "$(SYNOD_POD).sample-p1-peers.shop.svc:5680");
}

#[test]
fn what_a_user_says_about_pods_is_added_and_takes_nothing_away() {
    let objects = built(
        "{partitions: 2, protocol: {type: Raft, raft: {heartbeatMs: 50, electionTimeoutMs: 700}}, pod: {image: mine:2, \
         labels: {team: shop}, env: [{name: TZ, value: UTC}], nodeSelector: {disk: fast}, serviceAccountName: other}}",
    );
    assert!(objects.account.is_none(), "the pods have another account");
    let set = json_of(&objects.sets[0]);
    let template = &set["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["team"], json!("shop"));
    assert_eq!(template["metadata"]["labels"]["synod.dev/group"], json!("sample"));
    assert_eq!(template["spec"]["containers"][0]["image"], json!("mine:2"));
    assert_eq!(template["spec"]["nodeSelector"], json!({"disk": "fast"}));
    assert_eq!(template["spec"]["serviceAccountName"], json!("other"));
    let environment = environment(&set);
    assert_eq!((environment["TZ"].as_str(), environment["SYNOD_HEARTBEAT_MS"].as_str()), ("UTC", "50"));
    let plain = json_of(&built("{partitions: 2}").sets[0]);
    assert_eq!(plain["spec"]["template"]["spec"]["containers"][0]["image"], json!("operator/image:1"));
}

#[test]
fn pods_have_the_certificate_of_their_partition_and_no_key_of_an_authority() {
    let set = json_of(&built("{partitions: 2}").sets[1]);
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"], json!([{"name": "tls", "secret": {"secretName": "sample-p1-tls"}}]));
    let mount = json!({"name": "tls", "mountPath": "/etc/synod/tls", "readOnly": true});
    assert_eq!(pod["containers"][0]["volumeMounts"][1], mount);
    assert_eq!(environment(&set)["SYNOD_TLS_DIR"], "/etc/synod/tls");

    let given = "{partitions: 2, security: {tls: {type: Secret, secretName: mine}}}";
    let set = json_of(&built(given).sets[0]);
    let volumes = &set["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[0]["secret"]["secretName"], json!("sample-p0-tls"), "what is fit of it is copied");

    let plain = json_of(&built("{partitions: 2, security: {tls: {type: PlainText}}}").sets[0]);
    let pod = &plain["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"], Value::Null);
    assert_eq!(pod["containers"][0]["volumeMounts"].as_array().unwrap().len(), 1);
    assert!(!environment(&plain).contains_key("SYNOD_TLS_DIR"));
}
