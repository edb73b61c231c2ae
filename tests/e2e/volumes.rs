//! Volumes that have an end, one on each machine: what is said when one is full, and that it helps to ask for more.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::SMALL;
use crate::kubectl::{Namespace, condition, leader};
use crate::shortage::{Passing, storage_class};
use crate::workload::under_load;

const CLASS: &str = "e2e-limited";
const SIZE: &str = "1Gi";
const MORE: &str = "2Gi";
const MACHINES: [&str; 3] = ["node-1", "node-2", "node-3"];

fn mount(options: &str, at: &Path) -> bool {
    let options = format!("{options},mode=0777");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
    mounted.is_ok_and(|mounted| mounted.success())
}

/// A size as the kernel writes it.
fn kernel_size(size: &str) -> String {
    size.replace("Gi", "g")
}

/// A volume on each machine of the cluster that `tests/e2e/cluster` brings up, and what a storage driver does elsewhere.
struct Volumes {
    directory: PathBuf,
    _objects: Passing,
}

impl Volumes {
    /// Nothing where the machines of the cluster are not on this one.
    fn make(namespace: &Namespace) -> Option<Self> {
        let directory = PathBuf::from(std::env::var_os("CLUSTER")?).join(CLASS);
        let mut class = storage_class(CLASS, "kubernetes.io/no-provisioner");
        class["allowVolumeExpansion"] = json!(true);
        let mut objects = vec![class];
        for machine in MACHINES {
            let path = directory.join(machine);
            fs::create_dir_all(&path).ok()?;
            if !mount(&format!("size={}", kernel_size(SIZE)), &path) {
                return None;
            }
            let here = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [machine]});
            objects.push(json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": Self::on(machine)},
                "spec": {
                    "capacity": {"storage": SIZE}, "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS,
                    "persistentVolumeReclaimPolicy": "Retain", "local": {"path": path},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                },
            }));
        }
        Some(Self { directory, _objects: Passing::apply(namespace, &objects) })
    }

    fn on(machine: &str) -> String {
        format!("{CLASS}-{machine}")
    }

    /// Leaves no room on the volume of a machine.
    fn fill(&self, machine: &str) {
        let mut ballast = File::create(self.directory.join(machine).join("ballast")).unwrap();
        while ballast.write_all(&[1; 4_096]).is_ok() {}
    }

    /// Gives a claim what it asks for.
    fn grow(&self, namespace: &Namespace, claim: &str, machine: &str, size: &str) {
        let options = format!("remount,size={}", kernel_size(size));
        assert!(mount(&options, &self.directory.join(machine)));
        let capacity = json!({"capacity": {"storage": size}});
        let volume = format!("persistentvolume/{}", Self::on(machine));
        namespace.patch(&volume, &json!({ "spec": capacity }));
        let status = json!({ "status": capacity }).to_string();
        namespace.kubectl(&["patch", claim, "--subresource=status", "--type=merge", "--patch", &status]);
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        for machine in MACHINES {
            // Pods may still be there. What they have open goes with them.
            let at = self.directory.join(machine);
            let _ = Command::new("umount").arg("--lazy").arg(at).status();
        }
    }
}

#[test]
fn a_full_volume_is_named_and_the_member_goes_on_when_it_has_grown() {
    let namespace = Namespace::new("full");
    let Some(volumes) = Volumes::make(&namespace) else {
        println!("left out: the machines of this cluster are not on this one");
        return;
    };
    let storage = format!("{{storageClassName: {CLASS}, size: {SIZE}}}");
    namespace.apply(&SMALL.replace("{whenDeleted: Retain}", &storage));
    namespace.wait_ready("small", 60);
    let group = namespace.get("partitiongroup/small");
    let pod = ["small-p0-0", "small-p0-1"].into_iter().find(|pod| leader(&group, 0).as_deref() != Some(*pod));
    let pod = namespace.get(&format!("pod/{}", pod.unwrap()));
    let machine = pod["spec"]["nodeName"].as_str().unwrap();
    under_load(&namespace, "filling a volume", 90, || {
        volumes.fill(machine);
        // Its log has room that was set aside before: great values use it up.
        let image = pod["spec"]["containers"][0]["image"].as_str().unwrap();
        let load = ["bench", "--clients=2", "--value-bytes=65536", "--keys=50", "--duration-s=60"];
        namespace.start_pod("load", image, &load);
        namespace.wait_said("small", "Degraded", "True", "raise spec.storage.size", 40);
        let group = namespace.get("partitiongroup/small");
        assert_eq!(condition(&group, "QuorumLost").0, "False", "the others go on");
        namespace.patch("partitiongroup/small", &json!({"spec": {"storage": {"size": MORE}}}));
        for claim in namespace.names("persistentvolumeclaims") {
            let claim = format!("persistentvolumeclaim/{claim}");
            let asks =
                |claim: &Value| claim["spec"]["resources"]["requests"]["storage"].as_str() == Some(MORE);
            let took = namespace.wait(&claim, 20, asks);
            let volume = namespace.get(&claim)["spec"]["volumeName"].as_str().unwrap().to_owned();
            println!("{claim} asks for more after {:.1} s", took.as_secs_f64());
            let machine = MACHINES.into_iter().find(|machine| Volumes::on(machine) == volume).unwrap();
            volumes.grow(&namespace, &claim, machine, MORE);
        }
        let mended = namespace.wait_ready("small", 40);
        println!("mended after {:.1} s", mended.as_secs_f64());
        namespace.wait("partitiongroup/small", 20, |group| condition(group, "Degraded").0 == "False");
    });
}
