//! Manifests as users write them, right and wrong.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::{DeletionPolicy, Durability, PrimitiveKind, ProtocolType, StorageSpec, UpdateType};

fn problems(text: &str) -> Vec<String> {
    match read("f.yaml", text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// A group whose spec holds these lines beside `partitions`.
fn group(spec: &str) -> String {
    let mut text =
        "apiVersion: synod.dev/v1alpha1\nkind: PartitionGroup\nmetadata: {name: sample}\n".to_owned();
    text.push_str("spec:\n  partitions: 3\n");
    for line in spec.lines() {
        writeln!(text, "  {line}").unwrap();
    }
    text
}

fn sample(file: &str) -> Vec<Manifest> {
    let path = format!("{}/../../config/samples/{file}", env!("CARGO_MANIFEST_DIR"));
    read_files([path]).unwrap()
}

#[test]
fn the_sample_group_is_as_its_comments_say() {
    let manifests = sample("partitiongroup.yaml");
    let [Manifest { object: Object::PartitionGroup(group), location }] = manifests.as_slice() else {
        panic!("one group: {manifests:?}");
    };
    assert_eq!((location.document, location.line), (Some(1), Some(1)));
    assert_eq!((group.spec.partitions, group.spec.replicas), (3, 3));
    assert_eq!(group.spec.protocol.protocol, ProtocolType::Raft);
    assert_eq!(group.spec.durability, Durability::Quorum);
    assert_eq!(group.validate(), []);
}

#[test]
fn the_sample_primitives_are_as_their_comments_say() {
    let manifests = sample("primitive.yaml");
    let primitives: Vec<_> = manifests
        .iter()
        .map(|manifest| match &manifest.object {
            Object::Primitive(primitive) => {
                assert_eq!(primitive.validate(), []);
                let spec = &primitive.spec;
                (spec.application.as_str(), spec.kind, primitive.primitive_name(), spec.deletion_policy)
            }
            other => panic!("a primitive: {other}"),
        })
        .collect();
    assert_eq!(
        primitives,
        [
            ("default", PrimitiveKind::Map, "users", DeletionPolicy::Retain),
            ("default", PrimitiveKind::Counter, "hits", DeletionPolicy::Retain),
            ("shop", PrimitiveKind::Lock, "deploy", DeletionPolicy::Delete),
        ]
    );
}

#[test]
fn what_is_left_out_or_null_has_the_default() {
    for text in [
        group(""),
        group("replicas: null\nstorage:\nprotocol: ~\npod: null\nlimits: {sessions: null}"),
        group("storage: {}\nprotocol: {}\nupdatePolicy: {}"),
    ] {
        let manifests = read("f.yaml", text.as_bytes()).unwrap();
        let [Manifest { object: Object::PartitionGroup(group), .. }] = manifests.as_slice() else {
            panic!("one group: {manifests:?}");
        };
        let spec = &group.spec;
        assert_eq!(spec.replicas, 3);
        assert_eq!(spec.storage, StorageSpec::default());
        assert_eq!(spec.protocol.raft(), crate::RaftSpec::default());
        assert_eq!(spec.limits(), synod_types::Limits::default());
        assert_eq!(spec.update_policy.update_type, UpdateType::Rolling);
        assert!(!spec.paused);
    }
}

#[test]
fn json_and_yaml_mean_the_same() {
    let yaml = group("storage: {size: 20Gi}");
    let json = "{\n\t\"apiVersion\": \"synod.dev\\/v1alpha1\", \"kind\": \"PartitionGroup\",\n\t\"metadata\": {\"name\": \"sample\"},\n\t\"spec\": {\"partitions\": 3, \"storage\": {\"size\": \"\\u00320Gi\"}}\n}";
    let of = |text: &str| read("f", text.as_bytes()).unwrap().remove(0).object;
    assert_eq!(of(&yaml), of(json));
    let wrong = json.replace("\"partitions\": 3", "\"partitions\": \"3\"");
    assert_eq!(
        problems(&wrong),
        [r#"f.yaml, document 1, line 4: spec.partitions: invalid type: string "3", expected an integer"#]
    );
}

#[test]
fn anchors_are_followed() {
    let text = group("storage:\n  whenDeleted: &keep Retain\n  whenScaled: *keep");
    assert_eq!(problems(&text), [""; 0]);
}

#[test]
fn rejects_what_is_not_in_the_schema() {
    for (spec, expected) in [
        ("partitons: 3", "line 6: spec.partitons: unknown field, did you mean `partitions`?"),
        ("Replicas: 3", "line 6: spec.Replicas: unknown field, did you mean `replicas`?"),
        (
            "storage: {class: fast}",
            "line 6: spec.storage.class: unknown field: use size, storageClassName, whenDeleted or whenScaled",
        ),
        ("replicas: three", r#"line 6: spec.replicas: invalid type: string "three", expected an integer"#),
        ("replicas: 3.5", "line 6: spec.replicas: invalid type: number 3.5, expected an integer"),
        ("replicas: 99999999999999999999999", "line 6: number 99999999999999999999999 has too many digits"),
        ("replicas: .nan", "line 6: NaN is not a number"),
        ("replicas: [3]", "line 6: spec.replicas: invalid type: a list, expected an integer"),
        ("paused: yes", r#"line 6: spec.paused: invalid type: string "yes", expected true or false"#),
        (
            "durability: quorum",
            r#"line 6: spec.durability: "quorum" is not allowed: use Quorum or UnsafeMemory"#,
        ),
        ("storage: 10Gi", r#"line 6: spec.storage: invalid type: string "10Gi", expected a mapping"#),
        (
            "storage:\n  storageClassName: ''",
            "line 7: spec.storage.storageClassName: it has 0 characters: use 1 to 253",
        ),
        (
            "pod:\n  env:\n  - name: A\n  - name: B\n    valu: x",
            "line 10: spec.pod.env[1].valu: unknown field, did you mean `value`?",
        ),
        (
            "pod:\n  env:\n  - {name: A}\n  - {name: A}",
            "line 9: spec.pod.env[1]: the same as item 0: remove one of them",
        ),
        ("pod:\n  env:\n  - value: x", "line 8: spec.pod.env[0].name: required, but missing"),
        ("pod:\n  labels: {a: 1}", "line 7: spec.pod.labels.a: invalid type: number 1, expected a string"),
        (
            "pod:\n  labels: {a.b/c: {}}",
            r#"line 7: spec.pod.labels["a.b/c"]: invalid type: a mapping, expected a string"#,
        ),
        (
            "pod:\n  resources:\n    limits: {cpu: true}",
            "line 8: spec.pod.resources.limits.cpu: invalid type: boolean true, expected an integer or a string",
        ),
        (
            "pod:\n  affinity:\n    nodeAffinty: {}",
            "line 8: spec.pod.affinity.nodeAffinty: unknown field, did you mean `nodeAffinity`?",
        ),
        ("<<: {replicas: 3}", "line 6: spec.<<"),
        ("replicas: 3\nreplicas: 5", r#"line 7: key "replicas" is written twice: remove one of them"#),
        ("replicas: !three 3", "line 6: YAML tags such as `!name` mean nothing here: remove the tag"),
        ("? [a]\n: b", "line 6"),
    ] {
        let found = problems(&group(spec));
        let expected = format!("f.yaml, document 1, {expected}");
        assert!(
            found.len() == 1
                && found[0].starts_with(&expected.replace("spec.<<", "spec[\"<<\"]: unknown field")),
            "{spec}:\n{found:#?}\nexpected {expected}"
        );
    }
}

#[test]
fn rejects_what_is_no_object_of_ours() {
    let head = "apiVersion: synod.dev/v1alpha1\nkind: PartitionGroup\n";
    for (text, expected) in [
        ("3", "line 1: number 3 is no object: write apiVersion, kind, metadata and spec"),
        ("- a", "line 1: a list is no object: write apiVersion, kind, metadata and spec"),
        ("kind: PartitionGroup", "line 1: apiVersion: required, but missing: use synod.dev/v1alpha1"),
        (
            "apiVersion: synod.dev/v2\nkind: Primitive",
            r#"line 1: apiVersion: unknown apiVersion "synod.dev/v2": use synod.dev/v1alpha1"#,
        ),
        (
            "apiVersion: 1\nkind: Primitive",
            "line 1: apiVersion: invalid type: number 1, expected a string: use synod.dev/v1alpha1",
        ),
        (
            "apiVersion: synod.dev/v1alpha1",
            "line 1: kind: required, but missing: use PartitionGroup or Primitive",
        ),
        (
            "apiVersion: synod.dev/v1alpha1\nkind: PartitonGroup",
            r#"line 2: kind: unknown kind "PartitonGroup": did you mean PartitionGroup? The kinds are PartitionGroup and Primitive"#,
        ),
        (
            "apiVersion: synod.dev/v1alpha1\nkind: Pod",
            r#"line 2: kind: unknown kind "Pod": use PartitionGroup or Primitive"#,
        ),
        (&format!("{head}spec: {{partitions: 1}}"), "line 1: metadata: required, but missing"),
        (
            &format!("{head}metadata: {{}}\nspec: {{partitions: 1}}"),
            "line 3: metadata.name: required, but missing",
        ),
        (&format!("{head}metadata: {{name: a}}"), "line 1: spec: required, but missing"),
        (
            &format!("{head}metadata: {{name: a, lables: {{}}}}\nspec: {{partitions: 1}}"),
            "line 3: metadata.lables: unknown field, did you mean `labels`?",
        ),
        (
            &format!("{head}metadata: {{name: a, namespace: My_Space}}\nspec: {{partitions: 1}}"),
            r#"line 3: metadata.namespace: namespace "My_Space" is not a valid name"#,
        ),
    ] {
        let found = problems(text);
        let expected = format!("f.yaml, document 1, {expected}");
        assert!(
            found.len() == 1 && found[0].starts_with(&expected),
            "{text}:\n{found:#?}\nexpected {expected}"
        );
    }
}

#[test]
fn a_primitive_has_the_name_of_an_object() {
    let text = |name: &str| {
        format!(
            "apiVersion: synod.dev/v1alpha1\nkind: Primitive\nmetadata: {{name: {name}}}\nspec: {{group: a, kind: Map}}"
        )
    };
    assert_eq!(problems(&text("users.v1-2")), [""; 0]);
    for name in ["Users", "a_b", "a..b", "-a", &"x".repeat(254)] {
        let found = problems(&text(name));
        assert!(
            found.len() == 1 && found[0].contains("metadata.name: \"") && found[0].contains("use 1 to 253"),
            "{found:?}"
        );
    }
}

#[test]
fn everything_wrong_is_reported_at_once_in_the_order_of_the_text() {
    let text = format!(
        "{}---\nkind: Primitive\n---\n: : :\n---\n{}",
        group("replicas: 4\npod:\n  env: [{name: SYNOD_X}]\nstorage: {size: ten}\ndurability: UnsafeMemory"),
        group("replicas: 9")
    );
    let places: Vec<_> = read("f.yaml", text.as_bytes())
        .unwrap_err()
        .problems()
        .iter()
        .map(|problem| {
            let location = problem.location.clone().unwrap();
            (location.document.unwrap(), location.line.unwrap(), problem.path.clone())
        })
        .collect();
    let place = |document, line, path: &str| (document, line, path.to_owned());
    assert_eq!(
        places,
        [
            place(1, 6, "spec.replicas"),
            place(1, 8, "spec.pod.env"),
            place(1, 9, "spec.storage.size"),
            place(1, 10, "spec.durability"),
            place(2, 12, "apiVersion"),
            place(3, 14, ""),
            place(4, 21, "spec.replicas"),
        ]
    );
}

#[test]
fn a_mistake_of_the_notation_has_the_line_of_the_file() {
    let text = format!("{}---\nb: 1\na: }}\n", group(""));
    let [found] = problems(&text).try_into().unwrap();
    assert!(found.starts_with("f.yaml, document 2, line 8: "), "{found}");
    assert!(found.contains(" line 8 ") && !found.contains(" line 3 "), "{found}");
}

#[test]
fn the_same_object_twice_is_refused_wherever_it_stands() {
    let other = group("").replace("{name: sample}", "{name: sample, namespace: other}");
    assert_eq!(problems(&format!("{}---\n{other}", group(""))), [""; 0]);
    let twice =
        format!("{other}---\n{}", group("replicas: 1")).replace(", namespace: other", ", namespace: default");
    assert_eq!(
        problems(&twice),
        [
            "f.yaml, document 2, line 6: PartitionGroup default/sample is there already, at f.yaml, document 1, line 1: remove one of them"
        ]
    );
}

#[test]
fn the_status_of_a_file_is_dropped() {
    let text = format!("{}status: {{replicas: 3}}\n", group(""));
    let manifests = read("f.yaml", text.as_bytes()).unwrap();
    assert!(matches!(&manifests[0].object, Object::PartitionGroup(group) if group.status.is_none()));
    assert!(problems(&text.replace("replicas: 3}", "x: 3}"))[0].contains("status.x: unknown field"));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = env!("CARGO_MANIFEST_DIR");
    let error = read_files([format!("{directory}/none.yaml"), directory.to_owned()]).unwrap_err();
    let [missing, is_directory] = error.problems() else {
        panic!("both are reported: {error}");
    };
    assert!(missing.to_string().contains("none.yaml: cannot be read: "), "{missing}");
    assert!(is_directory.to_string().starts_with(directory), "{is_directory}");
}

#[test]
fn an_empty_file_holds_nothing() {
    for text in ["", "\n", "---\n", "# only a comment\n", "---\n---\n# a\n", "null\n", "\u{feff}"] {
        assert_eq!(read("f.yaml", text.as_bytes()), Ok(Vec::new()), "{text:?}");
    }
}

#[test]
fn what_is_no_text_or_too_much_is_refused() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(5_000), close.repeat(5_000));
    let laughs: String = (1..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
        let inner = level - 1;
        format!("{text}a{level}: &a{level} [{}]\n", vec![format!("*a{inner}"); 10].join(", "))
    });
    let long_laugh = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(30_000));
    for (bytes, expected) in [
        (b"\x7fELF\x02\x01\xff\xfe".to_vec(), "is not text in UTF-8, from byte 6 on"),
        (vec![0; 100], "control characters are not allowed"),
        (vec![b'x'; FILE_BYTES_MAX + 1], "is larger than 4194304 bytes"),
        (vec![b'x'; DOCUMENT_BYTES_MAX + 1], "the document has 262145 bytes"),
        (deep("[", "]").into_bytes(), "nested too deeply"),
        (format!("a: {}", deep("{a: ", "}")).into_bytes(), "nested too deeply"),
        (deep("{\"a\":", "}").into_bytes(), "nested too deeply"),
        (laughs.into_bytes(), "expands to too much"),
        (long_laugh.into_bytes(), "expands to too much"),
        (b"a: &a [*a]".to_vec(), "nested too deeply"),
        ("- ".repeat(100_000).into_bytes(), "nested too deeply"),
        (
            format!("a: 1\n{}", "%TAG !a! tag:a,2000:\n".repeat(17)).into_bytes(),
            "more than 16 YAML directives",
        ),
        (b"a: *nowhere".to_vec(), "unknown anchor"),
        (b"{\"a\": 1".to_vec(), "EOF"),
        (b"{} {}".to_vec(), "trailing characters"),
    ] {
        let start = Instant::now();
        let error = read("f.yaml", &bytes).unwrap_err().to_string();
        assert!(error.starts_with("f.yaml") && error.contains(expected), "{error}\nexpected {expected}");
        assert!(error.len() < 1_000, "a message repeats no giant input");
        assert!(start.elapsed() < Duration::from_secs(10), "{expected} took {:?}", start.elapsed());
    }
}

#[test]
fn a_flood_of_problems_is_cut_off() {
    let fields: String = (0..10_000).fold(String::new(), |text, number| format!("{text}a{number}: 1\n"));
    let many = group(&fields);
    assert_eq!(problems(&many).len(), PROBLEMS_MAX);
    let documents = "---\nkind: Nothing\n".repeat(10_000);
    assert_eq!(problems(&documents).len(), PROBLEMS_MAX);
}

proptest! {
    /// No bytes make reading panic, and what is refused is refused for a reason.
    #[test]
    fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
        if let Err(error) = read("f", &bytes) {
            prop_assert!(!error.problems().is_empty());
        }
    }

    #[test]
    fn any_text_is_taken_or_refused(text in "[-\\[\\]{}:,&*!|>'\"%@?# \nab0~.]{0,200}") {
        if let Err(error) = read("f", text.as_bytes()) {
            prop_assert!(!error.problems().is_empty());
        }
    }

    /// A manifest with a piece cut out, doubled or replaced is taken or refused with a line that exists.
    #[test]
    fn a_mutilated_sample_is_taken_or_refused(at in 0usize..900, cut in 0usize..40, put in "[-\\[\\]{}:,&*!'\" \na0.]{0,8}") {
        let text = group("replicas: 3\nprotocol: {type: Raft, raft: {heartbeatMs: 100}}\npod:\n  env:\n  - {name: A, value: b}\n  labels:\n    a: b\n");
        let mut chars: Vec<char> = text.chars().collect();
        let at = at % chars.len();
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, put.chars());
        let text: String = chars.into_iter().collect();
        if let Err(error) = read("f", text.as_bytes()) {
            for problem in error.problems() {
                let line = problem.location.as_ref().and_then(|location| location.line).unwrap();
                prop_assert!((1..=text.lines().count() + 1).contains(&line), "{problem}");
            }
        }
    }
}
