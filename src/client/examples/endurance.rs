//! Writes all the time, for as many seconds as it is told, then checks that everything that was acknowledged is there, once:
//! try what becomes of it while nodes are killed, rolled or scaled.
//!
//! ```text
//! cargo run --package synod-client --example endurance -- 30
//! ```
//!
//! It ends with one line of JSON: how many writes were acknowledged and how many failed, how many of the acknowledged were
//! lost or counted twice, and for how long no write of a writer was acknowledged at most.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use synod_client::{Client, Group};

/// How many write at once.
const WRITERS: u64 = 8;

/// How long each rests after a write: what is to be seen is how a group gets through, not how much it can take.
const REST: Duration = Duration::from_millis(10);

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// What one writer saw.
#[derive(Default)]
struct Seen {
    /// The numbers that were acknowledged.
    acknowledged: Vec<u64>,
    failed: u64,
    longest_pause: Duration,
}

#[tokio::main]
async fn main() -> Result {
    let seconds = std::env::args().nth(1).ok_or("say for how many seconds")?.parse()?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let client = Client::builder().application("load").build().await?;
    let group = client.default_group().await?;
    let run: u64 = u64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis())?;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(group.clone(), format!("{run}-{writer}"), end)))
        .collect();
    let (mut acknowledged, mut failed, mut longest_pause) = (0, 0, Duration::ZERO);
    let (mut lost, mut doubled) = (0, 0);
    for (writer, task) in (0_u64..).zip(writers) {
        let seen = task.await??;
        failed += seen.failed;
        longest_pause = longest_pause.max(seen.longest_pause);
        let count = u64::try_from(seen.acknowledged.len())?;
        acknowledged += 2 * count;
        let name = format!("{run}-{writer}");
        let entries: Vec<_> = group.map(name.as_str()).entries().try_collect().await?;
        let mut there: Vec<_> = entries.into_iter().map(|entry| entry.key).collect();
        there.sort_unstable();
        let has = |number: &&u64| there.binary_search(&key(**number)).is_ok();
        lost += count - u64::try_from(seen.acknowledged.iter().filter(has).count())?;
        let counted = u64::try_from(group.counter(count_of(&name)).get().await?)?;
        lost += count.saturating_sub(counted);
        // One that failed may have counted or not.
        doubled += counted.saturating_sub(count + seen.failed);
    }
    client.close().await;
    println!(
        "{{\"acknowledged\": {acknowledged}, \"failed\": {failed}, \"lost\": {lost}, \"doubled\": {doubled}, \
         \"longest_pause_ms\": {}}}",
        longest_pause.as_millis()
    );
    Ok(())
}

/// The counter of a writer: a name is that of one primitive.
fn count_of(name: &str) -> String {
    format!("{name}-count")
}

fn key(number: u64) -> String {
    format!("{number:08}")
}

/// Puts numbers into a map of its own, which is spread over all partitions, and counts each, until the time is over.
async fn write(group: Group, name: String, end: Instant) -> Result<Seen> {
    let (map, counter) = (group.map(name.as_str()), group.counter(count_of(&name)));
    let mut seen = Seen::default();
    let mut last = None;
    for number in 0.. {
        if Instant::now() >= end {
            break;
        }
        let done = async {
            map.put(key(number), "there").await?;
            counter.increment(1).await
        };
        match done.await {
            Ok(_) => {
                seen.acknowledged.push(number);
                let now = Instant::now();
                let pause = last.map_or(Duration::ZERO, |last| now.duration_since(last));
                seen.longest_pause = seen.longest_pause.max(pause);
                last = Some(now);
            }
            Err(error) => {
                eprintln!("{error}");
                seen.failed += 1;
            }
        }
        tokio::time::sleep(REST).await;
    }
    Ok(seen)
}
