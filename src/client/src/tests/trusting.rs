//! Whom a client believes to be a replica.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use synod_node::{Config, Node};
use synod_types::{ErrorCode, PartitionId, SlotTable, slot_count};
use tempfile::TempDir;

use crate::admin::{Admin, Birth, Member, ReplicaName};
use crate::resolver::{FixedResolver, PartitionTopology, Topology};
use crate::{Client, ClientBuilder, Trust};

const GROUP: &str = "default/sample";

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes the files of a node that is reached at 127.0.0.1.
fn certify(dir: &Path, authority: &CertifiedIssuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::URI(format!("synod://{GROUP}/0").try_into().unwrap()));
    let certificate = params.signed_by(&key, authority).unwrap();
    std::fs::write(dir.join("ca.crt"), authority.pem()).unwrap();
    std::fs::write(dir.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(dir.join("tls.key"), key.serialize_pem()).unwrap();
}

/// A node that speaks nothing but TLS, with a group of one partition.
struct Secured {
    node: Node,
    trust: Trust,
    _dir: TempDir,
}

impl Secured {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = authority();
        certify(dir.path(), &authority);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config {
            client_listen: any,
            peer_listen: any,
            metrics_listen: None,
            tls_dir: Some(dir.path().to_owned()),
            wal_segment_bytes: 4 << 20,
            ..Config::new("node-0", dir.path().join("data"))
        };
        let node = Node::start(config).await.unwrap();
        let secured = Self { node, trust: Trust::authorities(authority.pem()).unwrap(), _dir: dir };
        secured.bootstrap().await;
        secured
    }

    fn address(&self) -> String {
        self.node.client_address().to_string()
    }

    async fn bootstrap(&self) {
        let admin = Admin::trusting(&self.trust, &self.address()).unwrap();
        let prepared = admin.prepare(ReplicaName { group: GROUP, partition: PartitionId(0) }).await.unwrap();
        let member = Member {
            id: prepared.member.get(),
            node: "node-0".to_owned(),
            peer_address: self.node.peer_address().to_string(),
            client_address: self.address(),
            role: 0,
        };
        let slots = slot_count(1).unwrap();
        let (group, members) = (GROUP.to_owned(), vec![member]);
        let birth = Birth { group, partition: 0, members, partitions: 1, slots, limits: None, born_ms: 1 };
        admin.bootstrap(birth).await.unwrap();
    }

    /// A client that is told by its resolver whom to trust.
    fn builder(&self, trust: Trust) -> ClientBuilder {
        let partition = PartitionTopology { endpoints: vec![self.address()], ..PartitionTopology::default() };
        let topology = Topology {
            namespace: "default".into(),
            name: "sample".into(),
            slots: SlotTable::new(1).unwrap(),
            partitions: vec![partition],
            trust,
        };
        Client::builder().resolver(FixedResolver::of(topology)).group("sample")
    }
}

async fn increment(builder: ClientBuilder) -> crate::Result<i64> {
    let client = builder.request_timeout(Duration::from_secs(4)).build().await?;
    client.default_group().await?.counter("hits").increment(1).await
}

#[tokio::test]
async fn a_client_trusts_whom_the_resolver_names_or_the_program() {
    let secured = Secured::start().await;
    assert_eq!(increment(secured.builder(secured.trust.clone())).await, Ok(1));
    let pem = secured.trust.ca_pem().unwrap();
    let told = secured.builder(Trust::plain_text()).ca(pem);
    assert_eq!(increment(told).await, Ok(2), "what the program says comes first");
}

#[tokio::test]
async fn a_replica_that_cannot_show_a_certificate_to_be_trusted_is_told_nothing() {
    let secured = Secured::start().await;
    let other = Trust::authorities(authority().pem()).unwrap();
    let error = increment(secured.builder(other)).await.unwrap_err();
    assert!(matches!(error.code(), ErrorCode::Timeout | ErrorCode::Unavailable), "{error}");
    assert!(error.to_string().contains("certificate"), "it says why: {error}");
    let pem = authority().pem();
    assert!(
        increment(secured.builder(secured.trust.clone()).ca(pem)).await.is_err(),
        "the program trusts others"
    );
    assert!(increment(secured.builder(Trust::plain_text())).await.is_err(), "it speaks no plain text");
    assert_eq!(increment(secured.builder(secured.trust.clone())).await, Ok(1), "none of them counted");
}

#[test]
fn what_holds_no_certificate_is_no_trust() {
    for rubbish in ["rubbish", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "\n"] {
        assert_eq!(Trust::authorities(rubbish).unwrap_err().code(), ErrorCode::Invalid, "{rubbish}");
    }
    assert_eq!(Trust::said(""), Ok(Trust::plain_text()));
}
