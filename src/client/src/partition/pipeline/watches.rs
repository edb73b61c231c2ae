//! The watches of a pipeline. One ends with its stream, or when its watcher is too slow to take what comes: the watcher
//! then watches again from where it is, so nothing is kept here that could be kept there.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use synod_proto::session::v1 as wire;
use synod_proto::session::v1::request::Body;
use synod_types::Position;
use tokio::sync::mpsc;

use super::{RequestId, Tag};
use crate::error::{Error, Result};

/// Something to be watched.
#[derive(Debug)]
pub(crate) struct WatchRequest {
    pub(crate) id: RequestId,
    /// What; `seen_index` is filled in when it is sent.
    pub(crate) watch: wire::Watch,
    /// Where what comes is put. Its end means: watch again.
    pub(crate) items: mpsc::Sender<Result<WatchItem>>,
}

/// What comes of a watch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WatchItem {
    /// Everything after this position comes.
    Started(Position),
    /// Encoded events, in order, perhaps none. Everything up to the position has come.
    Events(Vec<Bytes>, Position),
}

#[derive(Debug)]
struct Watch {
    watch: wire::Watch,
    items: mpsc::Sender<Result<WatchItem>>,
    tag: Option<Tag>,
}

/// The watches of one stream.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watches: HashMap<RequestId, Watch>,
    unsent: VecDeque<RequestId>,
    by_tag: HashMap<Tag, RequestId>,
    to_cancel: VecDeque<Tag>,
}

impl Watches {
    pub(super) fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    pub(super) fn add(&mut self, request: WatchRequest) {
        let WatchRequest { id, watch, items } = request;
        self.unsent.push_back(id);
        self.watches.insert(id, Watch { watch, items, tag: None });
    }

    /// Nobody watches any more.
    pub(super) fn cancel(&mut self, id: RequestId) {
        if let Some(Watch { tag: Some(tag), .. }) = self.watches.remove(&id) {
            self.by_tag.remove(&tag);
            self.to_cancel.push_back(tag);
        }
    }

    /// The stream is gone, and with it every watch that was sent on it.
    pub(super) fn disconnected(&mut self) {
        self.watches.retain(|_, watch| watch.tag.is_none());
        self.by_tag.clear();
        self.to_cancel.clear();
    }

    pub(super) fn has_request(&self) -> bool {
        !self.unsent.is_empty() || !self.to_cancel.is_empty()
    }

    /// The next request: to cancel a watch, or to begin the one that is named.
    pub(super) fn next_request(&mut self, seen_index: u64) -> Option<(Body, Option<RequestId>)> {
        if let Some(watch) = self.to_cancel.pop_front() {
            return Some((Body::CancelWatch(wire::CancelWatch { watch }), None));
        }
        loop {
            let id = self.unsent.pop_front()?;
            if let Some(watch) = self.watches.get(&id) {
                return Some((Body::Watch(wire::Watch { seen_index, ..watch.watch.clone() }), Some(id)));
            }
        }
    }

    pub(super) fn sent(&mut self, id: RequestId, tag: Tag) {
        if let Some(watch) = self.watches.get_mut(&id) {
            watch.tag = Some(tag);
            self.by_tag.insert(tag, id);
        }
    }

    pub(super) fn started(&mut self, tag: Tag, position: Position) {
        self.hand_over(tag, WatchItem::Started(position));
    }

    pub(super) fn delivered(&mut self, delivery: wire::Delivery) {
        let wire::Delivery { tag, events, position } = delivery;
        self.hand_over(tag, WatchItem::Events(events, Position(position)));
    }

    /// The server has ended a watch.
    pub(super) fn failed(&mut self, tag: Tag, error: Error) {
        if let Some(id) = self.by_tag.remove(&tag)
            && let Some(watch) = self.watches.remove(&id)
        {
            // A watcher that has no room watches again when it has, and is told again.
            let _ = watch.items.try_send(Err(error));
        }
    }

    fn hand_over(&mut self, tag: Tag, item: WatchItem) {
        let Some(id) = self.by_tag.get(&tag).copied() else { return };
        let Some(watch) = self.watches.get(&id) else { return };
        if watch.items.try_send(Ok(item)).is_err() {
            self.cancel(id);
        }
    }
}

impl super::Pipeline {
    /// Takes a watch.
    pub(crate) fn watch(&mut self, request: WatchRequest) {
        if !self.is_closing {
            self.watches.add(request);
        }
    }

    /// Ends a watch.
    pub(crate) fn cancel_watch(&mut self, id: RequestId) {
        self.watches.cancel(id);
    }
}
