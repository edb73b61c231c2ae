//! A linearizable read reflects everything that anybody took for committed before the read reached the replica that
//! answers it: that is at least what was acknowledged to any client before the read was asked for. A sequential one
//! reflects what its client has seen (C5; raft thesis §6.4; F6 in the list of faults: a leader that was deposed and does
//! not know it).

use std::collections::BTreeMap;

use synod_proto::session::v1::{Consistency, Request, reply, request};
use synod_replica::{ClientId, Effect, Tag};
use synod_types::{ErrorCode, Index, MemberId};

use super::{Check, Violation};

/// Reads that are under way, and the least index that each must reflect.
#[derive(Debug, Default)]
pub(in crate::sim) struct FreshReads {
    asked: BTreeMap<MemberId, BTreeMap<(ClientId, Tag), Index>>,
}

impl FreshReads {
    /// A member is asked, at a moment at which everything up to `committed` is committed.
    pub(in crate::sim) fn asked(
        &mut self,
        member: MemberId,
        client: ClientId,
        request: &Request,
        committed: Index,
    ) {
        let least = |consistency: i32, seen_index: u64| {
            let is_sequential = consistency == Consistency::Sequential as i32;
            if is_sequential { Index(seen_index) } else { committed }
        };
        let least = match &request.body {
            Some(request::Body::Query(query)) => least(query.consistency, query.seen_index),
            Some(request::Body::Scan(scan)) => least(scan.consistency, scan.seen_index),
            Some(request::Body::KeepAlive(_)) => committed,
            Some(request::Body::Watch(watch)) => Index(watch.seen_index),
            _ => return,
        };
        self.asked.entry(member).or_default().insert((client, request.tag), least);
    }

    /// What a member answers.
    pub(in crate::sim) fn check(&mut self, member: MemberId, effects: &[Effect]) -> Check {
        let Some(asked) = self.asked.get_mut(&member) else { return Ok(()) };
        for effect in effects {
            let (client, tag, index, is_read) = match effect {
                Effect::Reply { client, tag, index, body } => (*client, *tag, *index, has_read(body)),
                Effect::Scan { client, tag, index, .. } => (*client, *tag, *index, true),
                _ => continue,
            };
            let Some(least) = asked.remove(&(client, tag)) else { continue };
            if is_read && index < least {
                let what = format!(
                    "member {member} answers read {tag} of {client} with the state at command {index}; \
                     it must reflect command {least}"
                );
                return Err(Violation::new("reads are fresh", what));
            }
        }
        Ok(())
    }

    /// A process has ended, and what it was asked with it.
    pub(in crate::sim) fn forget(&mut self, member: MemberId) {
        self.asked.remove(&member);
    }
}

/// Whether this is what was read, and no refusal to read.
fn has_read(body: &reply::Body) -> bool {
    match body {
        reply::Body::Error(error) => ErrorCode::from_number(error.code) == ErrorCode::NotFound,
        _ => true,
    }
}
