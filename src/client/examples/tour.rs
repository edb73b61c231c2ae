//! A tour of the six primitives, against a group that runs: `synod dev`, then in another terminal
//!
//! ```text
//! cargo run --package synod-client --example tour
//! ```
//!
//! The controller is the one at `SYNOD_CONTROLLER`, or at `http://127.0.0.1:5679`. The group is the one that
//! `SYNOD_GROUP` names, or the only one of the namespace. The tour leaves nothing behind but a count of its visitors.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use synod_client::{Client, Error, Group, MapChange};

/// What a step of the tour ends with: what went wrong with the group, or with the terminal.
type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> ExitCode {
    let toured = async {
        let client = Client::builder().application("tour").client_name("tour").build().await?;
        tour(&client.default_group().await?, &mut io::stdout()).await?;
        client.close().await;
        Ok(())
    };
    let Err(error) = toured.await else { return ExitCode::SUCCESS };
    let error: Box<dyn std::error::Error + Send + Sync> = error;
    eprintln!("error: {error}");
    if let Some(hint) = error.downcast_ref::<Error>().and_then(Error::hint) {
        eprintln!("{hint}");
    }
    ExitCode::FAILURE
}

/// Visits one kind of primitive after the other.
pub(crate) async fn tour(group: &Group, out: &mut impl Write) -> Result {
    writeln!(out, "group {}, {} partitions", group.name(), group.topology().partitions.len())?;
    counter(group, out).await?;
    value(group, out).await?;
    map(group, out).await?;
    set(group, out).await?;
    lock(group, out).await?;
    election(group, out).await
}

/// Every increment that returns has counted exactly once, whatever failed on the way.
async fn counter(group: &Group, out: &mut impl Write) -> Result {
    let visitors = group.counter("visitors");
    writeln!(out, "counter   you are visitor {}", visitors.increment(1).await?)?;
    let steps = group.counter("steps");
    steps.set(0).await?;
    try_join_all((0..100).map(|_| steps.increment(1))).await?;
    writeln!(out, "counter   100 increments at once make {}", steps.get().await?)?;
    Ok(())
}

/// Whoever has read an old version cannot overwrite a newer one.
async fn value(group: &Group, out: &mut impl Write) -> Result {
    let motto = group.value("motto");
    let first = motto.set("slow").await?;
    let second = motto.update("and steady").if_version(first.version).await?;
    writeln!(out, "value     version {} became version {}", first.version, second.version)?;
    if let Err(error) = motto.update("too late").if_version(first.version).await {
        writeln!(out, "value     a late update is refused: {error}")?;
    }
    motto.delete().await?;
    Ok(())
}

/// Entries are spread over the partitions of the group; what changes comes as a stream.
async fn map(group: &Group, out: &mut impl Write) -> Result {
    let users = group.map("users");
    users.clear().await?;
    let mut changes = users.events().await?;
    users.put("alice", "admin").await?;
    users.put("bob", "guest").ttl(Duration::from_secs(60)).await?;
    let entries: Vec<_> = users.entries().try_collect().await?;
    for entry in &entries {
        writeln!(out, "map       {} is {}", entry.key, String::from_utf8_lossy(&entry.value))?;
    }
    users.clear().await?;
    let mut removed = 0;
    while removed < entries.len() {
        let Some(event) = changes.next().await.transpose()? else { break };
        let what = match event.change {
            MapChange::Inserted { .. } => "came",
            MapChange::Updated { .. } => "changed",
            MapChange::Removed { .. } => "went",
        };
        writeln!(out, "map       {} {what}, at position {}", event.change.key(), event.position)?;
        removed += usize::from(what == "went");
    }
    Ok(())
}

/// Distinct strings, spread as the entries of a map are.
async fn set(group: &Group, out: &mut impl Write) -> Result {
    let tags = group.set("tags");
    for tag in ["blue", "green", "blue"] {
        let how = if tags.add(tag).await? { "is new" } else { "was there" };
        writeln!(out, "set       {tag} {how}")?;
    }
    let tags_now: Vec<_> = tags.elements().try_collect().await?;
    writeln!(out, "set       in order: {}", tags_now.join(", "))?;
    tags.clear().await?;
    Ok(())
}

/// One holds, and has a fence that is greater than all before it: hand it to whatever the lock protects.
async fn lock(group: &Group, out: &mut impl Write) -> Result {
    let deploy = group.lock("deploy");
    let guard = deploy.acquire().wait(Duration::from_secs(30)).metadata("the tour").await?;
    writeln!(out, "lock      {:?} under fence {}", guard.state(), guard.fence())?;
    if let Err(error) = deploy.acquire().no_wait().await {
        writeln!(out, "lock      nobody else gets it: {error}")?;
    }
    guard.release().await?;
    Ok(())
}

/// One leads, and the others wait in line.
async fn election(group: &Group, out: &mut impl Write) -> Result {
    let captain = group.election("captain");
    let first = captain.enter("anna").await?;
    let second = captain.enter("ben").await?;
    writeln!(out, "election  anna leads in term {}", first.wait_until_leader().await?)?;
    first.withdraw().await?;
    writeln!(out, "election  ben takes over in term {}", second.wait_until_leader().await?)?;
    second.withdraw().await?;
    Ok(())
}
