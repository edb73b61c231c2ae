//! What every node serves beside Synod's own: health and reflection.

use futures::StreamExt as _;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServiceResponse};
use tonic_reflection::pb::v1alpha;

use super::*;

async fn health(client: &mut HealthClient<Channel>, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.into() };
    client.check(request).await.unwrap().into_inner().status()
}

#[tokio::test]
async fn health_says_whether_every_replica_has_a_leader() {
    let mut cluster = Cluster::new(3).await;
    let mut client = HealthClient::new(cluster.channel(0).await);
    let mut seen = client
        .watch(HealthCheckRequest { service: "synod.counter.v1.Counter".into() })
        .await
        .unwrap()
        .into_inner();
    // A machine that is busy may cost a group its leader for a moment, so a status may come between.
    let mut becomes = async |wanted, why| {
        let seen = async { while seen.next().await.unwrap().unwrap().status() != wanted {} };
        tokio::time::timeout(PATIENCE, seen).await.expect(why);
    };
    becomes(ServingStatus::Serving, "nothing is hosted, and nothing is wrong").await;
    cluster.prepare(0, 0).await;
    becomes(ServingStatus::NotServing, "it waits to be bootstrapped").await;
    cluster.bootstrap(0, 1).await;
    becomes(ServingStatus::Serving, "it leads, or knows who does").await;
    for service in ["", "synod.session.v1.Session", "synod.map.v1.Map", "synod.election.v1.Election"] {
        assert_eq!(health(&mut client, service).await, ServingStatus::Serving, "{service}");
    }
    for number in [1, 2] {
        drop(cluster.nodes.remove(&number));
    }
    becomes(ServingStatus::NotServing, "no majority, no leader").await;
}

#[tokio::test]
async fn a_node_that_goes_down_says_so_first() {
    let mut cluster = Cluster::of_partitions(1, 1).await;
    let mut client = HealthClient::new(cluster.channel(0).await);
    let request = HealthCheckRequest { service: String::new() };
    let mut seen = client.watch(request).await.unwrap().into_inner();
    assert_eq!(seen.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let node = cluster.nodes.remove(&0).unwrap();
    let stopping = tokio::spawn(node.stop());
    assert_eq!(seen.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop((seen, client));
    stopping.await.unwrap();
}

#[tokio::test]
async fn reflection_describes_every_service() {
    let cluster = Cluster::new(1).await;
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = ServerReflectionClient::new(cluster.channel(0).await);
    let mut answers =
        client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = services.service.into_iter().map(|ServiceResponse { name }| name).collect();
    let kinds = ["counter.v1.Counter", "value.v1.Value", "map.v1.Map", "set.v1.Set", "lock.v1.Lock"];
    let others = ["election.v1.Election", "session.v1.Session", "admin.v1.Admin"];
    for name in kinds.into_iter().chain(others) {
        assert!(names.contains(&format!("synod.{name}")), "{name} in {names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()));

    let symbol = "synod.map.v1.Map".to_owned();
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            symbol,
        )),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(cluster.channel(0).await);
    let mut answers =
        client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    assert!(
        matches!(answer, v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_)),
        "{answer:?}"
    );
}
