//! Says what is waited for when it takes long, on standard error.

use std::io::Write as _;
use std::pin::pin;
use std::time::Duration;

/// How long nothing is said. The pauses after it double.
const SILENCE: Duration = Duration::from_secs(2);

/// Runs the future. If it takes long, says what is waited for, now and then.
pub(crate) async fn telling<T>(what: impl AsyncFn() -> String, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut pause = SILENCE;
    loop {
        tokio::select! {
            biased;
            done = &mut future => return done,
            () = tokio::time::sleep(pause) => {}
        }
        // While it is found out what is waited for, the wait may end.
        tokio::select! {
            biased;
            done = &mut future => return done,
            what = what() => say(&what),
        }
        pause *= 2;
    }
}

/// Tells the person at the terminal what goes on.
pub(crate) fn say(text: &str) {
    // Where nobody listens there is nobody to tell that either.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_told_ever_less_often() {
        let told = Cell::new(0);
        let telling = telling(
            async || {
                told.set(told.get() + 1);
                "waiting for the test".to_owned()
            },
            tokio::time::sleep(Duration::from_secs(15)),
        );
        telling.await;
        assert_eq!(told.get(), 3, "after 2, 6 and 14 seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_quick_is_not_told() {
        let never = async || -> String { unreachable!("it was quick") };
        assert_eq!(telling(never, async { 7 }).await, 7);
        telling(never, tokio::time::sleep(Duration::from_secs(1))).await;
    }
}
