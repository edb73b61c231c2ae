//! What the files ask for.

use std::collections::BTreeSet;
use std::path::PathBuf;

use synod_api::manifest::{self, Manifest, Object};
use synod_api::{Location, PartitionGroup, Primitive, Problem, TlsType};
use synod_operator::controller::GroupKey;
use synod_types::DEFAULT_NAMESPACE;

use super::Refusal;
use super::state::key_of;

/// The group that is run without files.
pub(super) const SAMPLE: &str = include_str!("../../../../config/samples/partitiongroup.yaml");

/// What the files ask for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The groups, and where they are written.
    pub(super) groups: Vec<(Location, PartitionGroup)>,
    /// The primitives, and where they are written.
    pub(super) primitives: Vec<(Location, Primitive)>,
}

impl Wanted {
    /// Reads files; without any it is the built-in group.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, Refusal> {
        let read = if files.is_empty() {
            manifest::read("the built-in group", SAMPLE.as_bytes())
        } else {
            manifest::read_files(files)
        };
        let manifests = read.map_err(|error| refusal(error.problems()))?;
        if manifests.is_empty() {
            let names: Vec<_> = files.iter().map(|file| format!("\"{}\"", file.display())).collect();
            let problem =
                format!("there is neither a PartitionGroup nor a Primitive in {}", names.join(", "));
            return Err(Refusal::Files(vec![format!("error: {problem}")]));
        }
        let mut wanted = Self::default();
        for Manifest { location, object } in manifests {
            match object {
                Object::PartitionGroup(group) => {
                    if let Some(problem) = not_here(&group) {
                        return Err(refusal(&[problem.at(location)]));
                    }
                    wanted.groups.push((location, *group));
                }
                Object::Primitive(primitive) => wanted.primitives.push((location, *primitive)),
                other => {
                    let problem = Problem::new("kind", format!("{} is not for this machine", other.kind()));
                    return Err(refusal(&[problem.at(location)]));
                }
            }
        }
        Ok(wanted)
    }

    /// Checks that each primitive has its group, among those of the files and the `others` that run.
    pub(super) fn check_primitives(&self, others: &BTreeSet<GroupKey>) -> Result<(), Refusal> {
        let known: BTreeSet<_> =
            self.groups.iter().map(|(_, group)| key_of(group)).chain(others.iter().cloned()).collect();
        let lost = self.primitives.iter().filter(|(_, primitive)| !known.contains(&group_of(primitive)));
        let problems: Vec<_> = lost
            .map(|(location, primitive)| {
                let (namespace, name) = group_of(primitive);
                let there = known.iter().map(|(namespace, name)| format!("{namespace}/{name}"));
                let there = there.collect::<Vec<_>>().join(", ");
                let message = if there.is_empty() {
                    format!("there is no group {namespace}/{name}: give the file with the PartitionGroup, too")
                } else {
                    format!("there is no group {namespace}/{name}, only {there}: give its file, too, or name another")
                };
                Problem::new("spec.group", message).at(location.clone())
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(refusal(&problems)) }
    }
}

/// What a group asks for that only Kubernetes has.
pub(super) fn not_here(group: &PartitionGroup) -> Option<Problem> {
    let wants_secret = group.spec.security.tls.tls_type == TlsType::Secret;
    wants_secret.then(|| {
        let message = "there are no Secrets on this machine, where nothing is encrypted: use type PlainText, or Operator \
                       for a file that is for Kubernetes, too";
        Problem::new("spec.security.tls.type", message)
    })
}

/// The group that holds a primitive.
pub(super) fn group_of(primitive: &Primitive) -> GroupKey {
    let namespace = primitive.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    (namespace.to_owned(), primitive.spec.group.clone())
}

/// One problem a line.
pub(super) fn refusal(problems: &[Problem]) -> Refusal {
    Refusal::Files(problems.iter().map(|problem| format!("error: {problem}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_files_it_is_the_sample() {
        let wanted = Wanted::read(&[]).unwrap();
        let [(_, group)] = wanted.groups.as_slice() else { panic!("{wanted:?}") };
        assert_eq!(key_of(group), ("default".into(), "sample".into()));
        assert_eq!((group.spec.partitions, group.spec.replicas), (3, 3));
        assert_eq!(group.validate(), []);
    }

    #[test]
    fn a_group_that_wants_a_secret_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("group.yaml");
        let of_type = |tls: &str| {
            let text = format!(
                "apiVersion: synod.dev/v1alpha1\nkind: PartitionGroup\nmetadata: {{name: a}}\nspec: {{partitions: 1, \
                 security: {{tls: {tls}}}}}\n"
            );
            std::fs::write(&path, text).unwrap();
            Wanted::read(std::slice::from_ref(&path))
        };
        let refused = of_type("{type: Secret, secretName: b}").unwrap_err().to_string();
        assert!(
            refused.contains("spec.security.tls.type: there are no Secrets on this machine"),
            "{refused}"
        );
        for good in ["{}", "{type: Operator}", "{type: PlainText}"] {
            assert_eq!(of_type(good).unwrap().groups.len(), 1, "{good}");
        }
    }

    #[test]
    fn a_primitive_needs_its_group() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("primitive.yaml");
        let text = "\
apiVersion: synod.dev/v1alpha1
kind: Primitive
metadata: {name: users, namespace: shop}
spec: {group: sample, kind: Map}
";
        std::fs::write(&path, text).unwrap();
        let wanted = Wanted::read(&[path]).unwrap();
        let none = BTreeSet::new();
        let refused = wanted.check_primitives(&none).unwrap_err().to_string();
        assert!(
            refused.contains("document 1, line 1: spec.group: there is no group shop/sample: give"),
            "{refused}"
        );
        let other = BTreeSet::from([("default".to_owned(), "sample".to_owned())]);
        let refused = wanted.check_primitives(&other).unwrap_err().to_string();
        assert!(refused.contains("only default/sample"), "{refused}");
        let right = BTreeSet::from([("shop".to_owned(), "sample".to_owned())]);
        wanted.check_primitives(&right).unwrap();
    }
}
