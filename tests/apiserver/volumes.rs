//! Volumes grow with the spec: those that are there, and those of replicas that come later.

use serde_json::{Value, json};

use crate::site::Site;

const CLASS: &str = r#"{
    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "nobody", "allowVolumeExpansion": true,
    "metadata": {"name": "growing", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
}"#;

/// What each claim asks for, in their order.
fn asked(site: &Site) -> Vec<Value> {
    let claims = site.plane.find("persistentvolumeclaims").unwrap();
    let claims = claims["items"].as_array().unwrap();
    claims.iter().map(|claim| claim["spec"]["resources"]["requests"]["storage"].clone()).collect()
}

/// These claims get volumes.
fn bind(site: &Site, ordinals: std::ops::Range<u32>) {
    for ordinal in ordinals {
        let claim = format!("data-sample-p0-{ordinal}");
        let bound = ["--subresource=status", "--type=merge", r#"--patch={"status": {"phase": "Bound"}}"#];
        site.plane.kubectl(&[&["patch", "pvc", &claim], &bound[..]].concat());
    }
}

/// Whether the operator may write all that it has to.
fn is_unhindered(site: &Site) -> bool {
    let group = site.plane.find("partitiongroup/sample").unwrap();
    let conditions = group["status"]["conditions"].as_array().unwrap();
    conditions.iter().any(|it| it["type"] == "Degraded" && it["status"] == "False")
}

#[test]
fn a_replica_that_comes_after_the_volumes_have_grown_gets_one_of_the_new_size() {
    let site = Site::start();
    site.plane.apply(CLASS);
    site.declare_group();
    site.eventually("the group is ready", || site.group_has(3));
    assert_eq!(asked(&site), ["10Gi"; 3]);
    bind(&site, 0..3);
    site.change_group(json!({"spec": {"storage": {"size": "20Gi"}}}));
    site.eventually("the volumes grow", || asked(&site) == ["20Gi"; 3]);

    site.change_group(json!({"spec": {"replicas": 5}}));
    site.eventually("the group is ready with more members", || site.group_has(5));
    // A set makes claims as it was told first, and what has no volume cannot grow.
    assert_eq!(asked(&site), ["20Gi", "20Gi", "20Gi", "10Gi", "10Gi"]);
    site.nothing_is_written();
    assert!(is_unhindered(&site), "{:?}", site.plane.find("partitiongroup/sample"));
    bind(&site, 3..5);
    site.eventually("the new volumes grow, too", || asked(&site) == ["20Gi"; 5]);
    site.eventually("nothing is the matter", || is_unhindered(&site) && site.group_has(5));
    site.nothing_is_written();
}
