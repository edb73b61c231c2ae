//! A tour of the primitives, against a controller that runs: `synod dev`, then
//!
//! ```text
//! cargo run --example tour
//! ```
//!
//! The controller is `http://127.0.0.1:5679`, or the first argument, or what `SYNOD_CONTROLLER` says.

use std::error::Error;
use std::io::{self, Write as _};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use synod_client::{Client, HoldState, MapChange};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut builder = Client::builder().application("tour").client_name("tour");
    if let Some(controller) = std::env::args().nth(1) {
        builder = builder.controller(controller);
    }
    let client = builder.build().await?;
    let group = client.default_group().await?;
    let mut out = io::stdout();
    writeln!(out, "group {}: {} partitions", group.name(), group.topology().partitions.len())?;

    // A map: byte strings under keys, spread over the partitions, each with a version.
    let users = group.map("users");
    let mut changes = users.events().await?;
    let written = users.put("alice", "admin").await?;
    users.put("bob", "guest").ttl(Duration::from_secs(60)).await?;
    writeln!(out, "map: alice is stored under version {}", written.version)?;
    if let Err(error) = users.update("alice", "guest").if_version(synod_client::Version(1)).await {
        writeln!(out, "map: an update of another version is refused: {error}")?;
    }
    let entries: Vec<_> = users.entries().try_collect().await?;
    writeln!(out, "map: {} entries, in the order of their keys", entries.len())?;
    users.clear().await?;

    // What has changed since, as a stream that survives leader changes.
    let mut removed = 0;
    while removed < entries.len() {
        let Some(event) = changes.next().await.transpose()? else { break };
        writeln!(out, "event at {}/{}: {}", event.partition, event.position, event.change.key())?;
        removed += usize::from(matches!(event.change, MapChange::Removed { .. }));
    }

    // A counter: every increment that returns counts exactly once.
    let hits = group.counter("hits");
    let begun = hits.get().await?;
    let increments = (0..100).map(|_| hits.increment(1));
    futures::future::try_join_all(increments).await?;
    writeln!(out, "counter: {} after 100 increments at once, {begun} before", hits.get().await?)?;

    // A lock: the fence tells whatever it protects who came last.
    let guard = group.lock("deploy").acquire().wait(Duration::from_secs(10)).metadata("the tour").await?;
    writeln!(out, "lock: held under fence {}, {:?}", guard.fence(), guard.state())?;
    if guard.state() == HoldState::Held {
        writeln!(out, "lock: whoever comes now waits, or is refused: {}", refused(&group).await)?;
    }
    guard.release().await?;

    client.close().await;
    Ok(())
}

async fn refused(group: &synod_client::Group) -> String {
    match group.lock("deploy").acquire().no_wait().await {
        Ok(_) => "it was granted twice".to_owned(),
        Err(error) => error.to_string(),
    }
}
