//! Certificates: who is let in with which, and what happens when they are renewed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use synod_proto::peer::v1::peer_client::PeerClient;
use synod_proto::peer::v1::{Frame, Message, SnapshotChunk};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::*;
use crate::dialer::{Dialer, reason};
use crate::host::group_hash;
use crate::tls::{Caller, Tls};

/// Who signs certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
    /// What its certificates are for.
    pub(super) address: IpAddr,
}

/// What a certificate says.
pub(super) struct Leaf {
    uris: Vec<&'static str>,
    days: i64,
}

impl Default for Leaf {
    fn default() -> Self {
        Self { uris: vec!["synod://default/sample"], days: 1 }
    }
}

/// A certificate and its key.
#[derive(Clone)]
pub(super) struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    /// Writes the files of a node, the certificate last.
    pub(super) fn write(&self, dir: &Path, ca: &str) {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("ca.crt"), ca).unwrap();
        fs::write(dir.join("tls.key"), &self.key).unwrap();
        fs::write(dir.join("tls.crt"), &self.certificate).unwrap();
    }
}

impl Authority {
    fn new(address: IpAddr) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem, address }
    }

    pub(super) fn issue(&self, leaf: &Leaf) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![self.address.to_string()]).unwrap();
        let uris = leaf.uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        params.not_before = OffsetDateTime::now_utc() - time::Duration::days(3);
        params.not_after = OffsetDateTime::now_utc() + time::Duration::days(leaf.days);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    fn config(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.pem))
    }

    /// Connects as a client does, which trusts this authority alone.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<Channel, tonic::transport::Error> {
        secured(address, self.config()).await
    }
}

async fn secured(address: SocketAddr, config: ClientTlsConfig) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("https://{address}"))?.tls_config(config)?.connect().await
}

async fn secured_group() -> Cluster {
    Cluster::with(3, Some(Authority::new(address_of_its_own()))).await.begun(1).await
}

/// Whether somebody may open a stream for messages.
async fn is_let_in(channel: Result<Channel, tonic::transport::Error>) -> bool {
    let Ok(channel) = channel else { return false };
    let frames = futures::stream::iter([Frame::default()]);
    match PeerClient::new(channel).stream(frames).await {
        Ok(response) => matches!(response.into_inner().message().await, Ok(None)),
        Err(_) => false,
    }
}

async fn refused(cluster: &Cluster, number: usize, port: &str) -> u64 {
    let page = http::get(&cluster.nodes[&number], "/metrics").await.body;
    let name = format!("synod_node_connections_refused_total{{port=\"{port}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_group_replicates_and_serves_over_tls() {
    let mut cluster = secured_group().await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    let mut client = cluster.counter(follower).await;
    assert_eq!(increment(&mut client, "hits").await.unwrap(), 1, "a follower passes it on");
    cluster.stop(leader).await;
    cluster.leader().await;
    assert_eq!(increment(&mut client, "hits").await.unwrap(), 2);
    cluster.start(leader).await;
    cluster.leader().await;
    cluster.assert_whole().await;
    assert_eq!(
        (refused(&cluster, follower, "nodes").await, refused(&cluster, follower, "clients").await),
        (0, 0)
    );
}

#[tokio::test]
async fn nobody_but_members_of_the_partition_is_let_in_at_the_port_for_nodes() {
    let cluster = secured_group().await;
    let authority = cluster.authority.as_ref().unwrap();
    let node = &cluster.nodes[&0];
    let with = async |pair: Pair| {
        let identity = Identity::from_pem(pair.certificate, pair.key);
        is_let_in(secured(node.peer_address(), authority.config().identity(identity)).await).await
    };
    assert!(with(authority.issue(&Leaf::default())).await);
    let member = Leaf { uris: vec!["https://shop.example", "synod://default/sample/0"], ..Leaf::default() };
    assert!(with(authority.issue(&member)).await);
    let before = refused(&cluster, 0, "nodes").await;

    for uri in ["synod://default/other/0", "synod://other/sample/0", "https://default/sample/0"] {
        assert!(!with(authority.issue(&Leaf { uris: vec![uri], ..Leaf::default() })).await, "{uri}");
    }
    assert!(!with(authority.issue(&Leaf { days: -1, ..Leaf::default() })).await, "expired");
    assert!(!with(Authority::new(authority.address).issue(&Leaf::default())).await, "of another authority");
    assert!(!is_let_in(authority.connect(node.peer_address()).await).await, "without a certificate");
    let plain = Endpoint::from_shared(format!("http://{}", node.peer_address())).unwrap().connect().await;
    assert!(!is_let_in(plain).await, "in plain text");
    assert_eq!(refused(&cluster, 0, "nodes").await, before + 7);
}

#[tokio::test]
async fn clients_need_no_certificate_and_speak_no_plain_text() {
    let cluster = secured_group().await;
    let address = cluster.nodes[&0].client_address();
    let plain = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await;
    let status = match plain {
        Ok(channel) => AdminClient::new(channel).status(StatusRequest {}).await.map(drop).map_err(drop),
        Err(_) => Err(()),
    };
    assert_eq!(status, Err(()));
    assert_eq!(refused(&cluster, 0, "clients").await, 1);
    assert!(Authority::new(address.ip()).connect(address).await.is_err(), "clients know whom they trust");
    assert!(!cluster.replicas(0).await.is_empty());
}

#[tokio::test]
async fn a_node_speaks_to_no_other_than_members_of_its_partition() {
    let cluster = secured_group().await;
    let authority = cluster.authority.as_ref().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = cluster.nodes[&0].client_address().to_string();
    let dial = async |uri| {
        authority.issue(&Leaf { uris: vec![uri], ..Leaf::default() }).write(dir.path(), &authority.pem);
        let tls = Tls::open(dir.path()).unwrap();
        Dialer::new(Some(Arc::new(tls))).connect(&address).await.map(drop).map_err(|error| reason(&error))
    };
    assert_eq!(dial("synod://default/sample/0").await, Ok(()));
    let problem = dial("synod://default/other/0").await.unwrap_err();
    assert!(
        problem.contains("is for synod://default/sample, and this node is synod://default/other/0"),
        "{problem}"
    );
}

#[tokio::test]
async fn members_of_one_partition_speak_for_no_other() {
    let cluster = Cluster::with(3, Some(Authority::new(address_of_its_own()))).await.begun(2).await;
    let authority = cluster.authority.as_ref().unwrap();
    let replicas = cluster.replicas(0).await;
    let leaf = Leaf { uris: vec!["synod://default/sample/0"], ..Leaf::default() };
    let pair = authority.issue(&leaf);
    let identity = Identity::from_pem(pair.certificate, pair.key);
    let channel = secured(cluster.nodes[&0].peer_address(), authority.config().identity(identity)).await;
    let mut client = PeerClient::new(channel.unwrap());
    let mut offer = async |partition: u32| {
        let to = replicas.iter().find(|replica| replica.partition == partition).unwrap().member_id;
        let message = Message { group: group_hash(GROUP), partition, to, ..Message::default() };
        let chunk = SnapshotChunk { message: Some(message), ..SnapshotChunk::default() };
        code(&client.install_snapshot(futures::stream::iter([chunk])).await.unwrap_err())
    };
    assert_eq!(offer(1).await, ErrorCode::Forbidden);
    assert_ne!(offer(0).await, ErrorCode::Forbidden);
    assert!(!Caller::Nobody.may_speak_for(GROUP, 0));
}

#[tokio::test]
async fn those_who_say_nothing_keep_nobody_waiting() {
    let cluster = secured_group().await;
    let address = cluster.nodes[&0].client_address();
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let authority = cluster.authority.as_ref().unwrap();
    let begin = Instant::now();
    authority.connect(address).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(3), "it did not wait for {} others", silent.len());
}

/// Renews all certificates, by an authority that takes over from another one while both are believed.
#[tokio::test]
async fn certificates_are_renewed_while_connections_go_on() {
    let mut cluster = secured_group().await;
    let leader = cluster.leader().await;
    let mut client = cluster.counter(leader).await;
    increment(&mut client, "hits").await.unwrap();
    let next = Authority::new(cluster.address);
    let both = format!("{}{}", cluster.authority.as_ref().unwrap().pem, next.pem);
    let addresses: Vec<_> = cluster.nodes.values().map(Node::client_address).collect();
    let lost = |page: String| -> u64 {
        page.lines()
            .find_map(|line| line.strip_prefix("synod_node_peer_links_lost_total "))
            .unwrap()
            .parse()
            .unwrap()
    };
    let page = async |number: usize| http::get(&cluster.nodes[&number], "/metrics").await.body;
    let before = lost(page(leader).await);
    let dirs: Vec<_> = (0..3).map(|number| cluster.tls_dir(number).unwrap()).collect();
    // First everybody believes both, then the certificates change.
    for dir in &dirs {
        fs::write(dir.join("ca.crt"), &both).unwrap();
    }
    for dir in &dirs {
        next.issue(&Leaf::default()).write(dir, &both);
    }
    let begin = Instant::now();
    let mut count = 1;
    for address in addresses {
        while next.connect(address).await.is_err() {
            count += 1;
            assert_eq!(increment(&mut client, "hits").await.unwrap(), count);
            assert!(begin.elapsed() < PATIENCE, "{address} shows no new certificate");
        }
    }
    assert_eq!(lost(page(leader).await), before, "no connection between nodes was lost");
    cluster.authority = Some(next);
    cluster.assert_whole().await;
}

#[tokio::test]
async fn files_of_no_use_are_named_and_the_old_ones_stay() {
    let cluster = secured_group().await;
    let authority = cluster.authority.as_ref().unwrap();
    let dir = cluster.tls_dir(0).unwrap();
    let good = authority.issue(&Leaf::default());
    let tls = Arc::new(Tls::open(&dir).unwrap());
    let used = tls.current();
    let other = authority.issue(&Leaf::default());
    let nameless = authority.issue(&Leaf { uris: Vec::new(), ..Leaf::default() });
    for (pair, ca, named) in [
        (Pair { key: other.key, ..good.clone() }, authority.pem.as_str(), "tls.crt"),
        (Pair { key: String::new(), ..good.clone() }, authority.pem.as_str(), "tls.key"),
        (Pair { certificate: "rubbish".into(), ..good.clone() }, authority.pem.as_str(), "tls.crt"),
        (good.clone(), "", "ca.crt"),
        (nameless, authority.pem.as_str(), "synod://<namespace>/<group>/<partition>"),
    ] {
        pair.write(&dir, ca);
        let error = tls.renew().unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        assert!(Arc::ptr_eq(&tls.current(), &used));
        assert_eq!(Tls::open(&dir).unwrap_err().to_string(), error, "a node does not start with them");
    }
    fs::remove_file(dir.join("tls.key")).unwrap();
    assert!(tls.renew().unwrap_err().to_string().contains("tls.key"));
    good.write(&dir, &authority.pem);
    assert!(tls.renew().unwrap() && !Arc::ptr_eq(&tls.current(), &used));
    assert!(!tls.renew().unwrap(), "that is no news");
}
