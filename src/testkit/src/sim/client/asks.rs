//! Requests as they go over the wire, and as the models see them.

use prost::Message as _;
use synod_proto::primitive::v1::Query;
use synod_proto::session::v1 as session;
use synod_proto::session::v1::{Consistency, Request, request};
use synod_replica::Tag;
use synod_types::{Index, SessionId};

use super::PARTITION;
use crate::linearizability::models::primitives::Input;
use crate::linearizability::wire;
use crate::sim::workload::Ask;

impl Ask {
    pub(super) fn request(
        &self,
        tag: Tag,
        ticket: Option<(SessionId, u64)>,
        acknowledged: u64,
        seen: Index,
    ) -> Request {
        let body = match self {
            Self::Create(command) | Self::Command(command) => {
                let (session, sequence) = ticket.unwrap_or_default();
                request::Body::Propose(session::Propose {
                    session_id: session.get(),
                    sequence,
                    acknowledged,
                    command: command.encode_to_vec().into(),
                })
            }
            Self::Query(query) => query_request(query, Consistency::Linearizable, seen),
            Self::Sequential(query) => query_request(query, Consistency::Sequential, seen),
            Self::Scan(scan) => request::Body::Scan(session::Scan {
                consistency: Consistency::Linearizable as i32,
                seen_index: seen.get(),
                scan: scan.encode_to_vec().into(),
            }),
        };
        Request { tag, body: Some(body) }
    }

    /// What is asked, as the models see it.
    pub(super) fn input(&self, session: SessionId) -> Option<Input> {
        match self {
            Self::Create(_) => None,
            Self::Command(command) => wire::command(session, PARTITION, command),
            Self::Query(query) | Self::Sequential(query) => wire::query(PARTITION, query),
            Self::Scan(scan) => wire::scan(PARTITION, scan),
        }
    }
}

fn query_request(query: &Query, consistency: Consistency, seen: Index) -> request::Body {
    request::Body::Query(session::Query {
        consistency: consistency as i32,
        seen_index: seen.get(),
        query: query.encode_to_vec().into(),
    })
}
