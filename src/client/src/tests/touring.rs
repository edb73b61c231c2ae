//! The example of the crate, against a group in this process.

#[path = "../../examples/tour.rs"]
#[expect(dead_code, reason = "the example has a main function of its own")]
mod example;

use crate::Client;

/// What one tour says.
async fn tour(client: &Client) -> String {
    let group = client.default_group().await.unwrap().with_application("tour").unwrap();
    let mut said = Vec::new();
    example::tour(&group, &mut said).await.unwrap();
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn the_tour_can_be_made_again_and_leaves_only_the_count_of_its_visitors() {
    let client = Client::embedded().partitions(3).await.unwrap();
    let (first, second) = (tour(&client).await, tour(&client).await);
    for said in ["default/embedded, 3 partitions", "100 increments at once make 100", "blue was there"] {
        assert!(first.contains(said), "{first}");
    }
    assert!(first.contains("you are visitor 1") && second.contains("you are visitor 2"), "{second}");
    assert_eq!(first.lines().count(), second.lines().count(), "{first}{second}");
    for step in ["a late update is refused", "alice went, at", "nobody else gets it", "ben takes over"] {
        assert_eq!(second.matches(step).count(), 1, "{step}: {second}");
    }
    let group = client.default_group().await.unwrap().with_application("tour").unwrap();
    assert_eq!(group.map("users").len().await.unwrap() + group.set("tags").len().await.unwrap(), 0);
    assert!(group.value("motto").get().await.unwrap().is_none());
    assert!(group.lock("deploy").status().await.unwrap().holders.is_empty());
    assert_eq!(group.election("captain").get().await.unwrap().leader, None);
}
