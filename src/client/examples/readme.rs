//! The program of the README, which wants a group to talk to: `synod dev`.

#![allow(clippy::print_stdout)]

use std::time::Duration;
use synod_client::Client;

#[tokio::main]
async fn main() -> synod_client::Result<()> {
    let client = Client::builder().controller("http://127.0.0.1:5679").build().await?;
    let group = client.default_group().await?;

    let users = group.map("users");
    let written = users.put("alice", "1").ttl(Duration::from_secs(60)).await?;
    users.put("alice", "2").if_version(written.version).await?;

    let guard = group.lock("deploy").acquire().wait(Duration::from_secs(5)).await?;
    println!("deploying with fence {}", guard.fence());
    guard.release().await?;
    Ok(())
}
