//! A timer that is set often and rings seldom.

use std::pin::Pin;
use std::time::Duration;

use synod_types::Monotonic;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;

/// Rings when nothing is known to be due: late enough to cost nothing.
const IDLE: Duration = Duration::from_secs(3_600);

/// A timer. Setting it to a later time costs nothing: it rings too early then, and is set again.
#[derive(Debug)]
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Monotonic,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        let sleep = Box::pin(sleep_until(Instant::now() + IDLE));
        Self { sleep, at: clock::now() + IDLE }
    }

    /// Rings at this time at the latest, or before.
    pub(crate) fn set(&mut self, at: Option<Monotonic>) {
        let now = clock::now();
        let at = at.unwrap_or(now + IDLE);
        if at < self.at || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(Instant::now() + at.since(now));
            self.at = at;
        }
    }

    /// Resolves when it rings.
    pub(crate) async fn rings(&mut self) {
        self.sleep.as_mut().await;
    }
}
