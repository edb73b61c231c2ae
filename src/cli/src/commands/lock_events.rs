//! How changes of locks are told.

use serde::Serialize;
use synod_client::{LockChange, LockEvent, Loss};

use super::lock::mode;
use super::watching::Reported;

#[derive(Debug, Default, Serialize)]
pub(super) struct Record {
    event: &'static str,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

pub(super) fn report(change: LockChange) -> Reported<Record> {
    let LockChange { request_id, event } = change;
    let told = match event {
        LockEvent::Queued { ahead } => Record { event: "queued", ahead: Some(ahead), ..Record::default() },
        LockEvent::Granted { fence, mode: held, session, .. } => Record {
            event: "granted",
            fence: Some(fence.get()),
            mode: Some(mode(held)),
            session: Some(session.get()),
            ..Record::default()
        },
        LockEvent::Renewed { fence, .. } => with_fence("renewed", fence.get()),
        LockEvent::Released { fence } => with_fence("released", fence.get()),
        LockEvent::Lost { fence, loss } => {
            Record { reason: Some(reason(loss)), ..with_fence("lost", fence.get()) }
        }
        LockEvent::GaveUp { expired } => {
            let reason = if expired { "wait expired" } else { "withdrawn" };
            Record { event: "gave_up", reason: Some(reason), ..Record::default() }
        }
        _ => Record { event: "unknown", ..Record::default() },
    };
    let record = Record { request_id, ..told };
    Reported { text: line(&record), record }
}

fn with_fence(event: &'static str, fence: u64) -> Record {
    Record { event, fence: Some(fence), ..Record::default() }
}

const fn reason(loss: Loss) -> &'static str {
    match loss {
        Loss::LeaseExpired => "lease expired",
        Loss::SessionEnded => "session ended",
        Loss::Forced => "forced",
        Loss::Released => "released",
        _ => "unconfirmed",
    }
}

fn line(record: &Record) -> String {
    let Record { event, request_id, fence, mode, session, ahead, reason } = record;
    let mut text = format!("{event} {request_id}");
    let numbers = [("fence", fence), ("session", session), ("ahead", ahead)];
    for (what, number) in numbers.into_iter().filter_map(|(what, number)| Some((what, (*number)?))) {
        text.push_str(&format!(" {what} {number}"));
    }
    for word in [mode, reason].into_iter().flatten() {
        text.push_str(&format!(" ({word})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use synod_client::{Fence, LockMode};

    use super::*;

    #[test]
    fn each_change_is_a_line() {
        let line = |event| report(LockChange { request_id: "r1".into(), event }).text;
        assert_eq!(line(LockEvent::Queued { ahead: 2 }), "queued r1 ahead 2");
        let fence = Fence(7);
        assert_eq!(line(LockEvent::Released { fence }), "released r1 fence 7");
        assert_eq!(line(LockEvent::Lost { fence, loss: Loss::Forced }), "lost r1 fence 7 (forced)");
        assert_eq!(line(LockEvent::GaveUp { expired: true }), "gave_up r1 (wait expired)");
        let granted = LockEvent::Granted {
            fence,
            mode: LockMode::Read,
            session: 9.into(),
            lease: Some(Duration::from_secs(1)),
        };
        assert_eq!(line(granted), "granted r1 fence 7 session 9 (read)");
    }
}
