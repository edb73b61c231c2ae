//! What clients ask: checked, queued, and served when the time has come.

use bytes::Bytes;
use synod_primitives as primitives;
use synod_proto::log::v1::proposal::Body as ProposalBody;
use synod_proto::log::v1::{CloseSession, OpenSession, Proposal};
use synod_proto::session::v1::{self as session, Consistency, Request, Watching, reply, request};
use synod_protocol::Role;
use synod_storage::state::Fault;
use synod_types::{Error, ErrorCode, Index, Position, PrimitiveId, SessionId};

use crate::event::{ClientId, Effect, Tag};
use crate::expiry::Renewal;
use crate::proposals::Waiter;
use crate::reads::{Read, Waiting};
use crate::replica::{Replica, compacted};
use crate::watches::{Filter, Keys};

impl Replica {
    pub(crate) fn request(&mut self, client: ClientId, request: Request) {
        let tag = request.tag;
        let admitted = match request.body {
            Some(request::Body::Propose(propose)) => self.propose_command(client, tag, propose),
            Some(request::Body::Open(open)) => {
                let open = OpenSession { timeout_ms: open.timeout_ms, client: open.client };
                let body = Some(ProposalBody::OpenSession(open));
                self.queue(Proposal { body, ..Proposal::default() }, Waiter::Opener(client, tag))
            }
            Some(request::Body::Close(close)) => {
                let body = Some(ProposalBody::CloseSession(CloseSession { expired: false }));
                let proposal = Proposal { session_id: close.session_id, body, ..Proposal::default() };
                self.queue(proposal, Waiter::Client(client, tag))
            }
            Some(request::Body::KeepAlive(keep_alive)) => {
                let read = Read::KeepAlive(SessionId(keep_alive.session_id));
                self.queue_read(Consistency::Linearizable as i32, 0, Waiting { client, tag, read })
            }
            Some(request::Body::Query(query)) => decode(query.query, "query").and_then(|asked| {
                let waiting = Waiting { client, tag, read: Read::Query(asked) };
                self.queue_read(query.consistency, query.seen_index, waiting)
            }),
            Some(request::Body::Scan(scan)) => decode(scan.scan, "scan").and_then(|asked| {
                let waiting = Waiting { client, tag, read: Read::Scan(asked) };
                self.queue_read(scan.consistency, scan.seen_index, waiting)
            }),
            Some(request::Body::Watch(watch)) => self.queue_watch(client, tag, watch),
            Some(request::Body::CancelWatch(cancel)) => {
                self.watches.remove((client, cancel.watch));
                self.reply(client, tag, reply::Body::Result(Bytes::new()));
                Ok(())
            }
            None => {
                Err(Error::new(ErrorCode::NotSupported, "this version of Synod does not know the request"))
            }
        };
        if let Err(error) = admitted {
            self.reply_error(client, tag, &error);
        }
    }

    fn propose_command(
        &mut self,
        client: ClientId,
        tag: Tag,
        propose: session::Propose,
    ) -> Result<(), Error> {
        let session::Propose { session_id, sequence, acknowledged, command } = propose;
        let limit = self.machine.configuration().limits.request_bytes;
        if command.len() as u64 > limit {
            let message = format!("the request has {} bytes: use at most {limit}", command.len());
            return Err(Error::new(ErrorCode::Invalid, message));
        }
        let body = Some(ProposalBody::Command(command));
        self.queue(Proposal { session_id, sequence, acknowledged, body }, Waiter::Client(client, tag))
    }

    fn queue(&mut self, proposal: Proposal, waiter: Waiter) -> Result<(), Error> {
        if self.protocol.standing().role != Role::Leader {
            return Err(self.not_leader());
        }
        if self.proposals.in_flight() >= self.options.writes_in_flight_max {
            return Err(exhausted("writes", self.options.writes_in_flight_max));
        }
        self.proposals.push(proposal, waiter);
        Ok(())
    }

    fn queue_read(&mut self, consistency: i32, seen_index: u64, waiting: Waiting) -> Result<(), Error> {
        if self.reads.in_flight() >= self.options.reads_in_flight_max {
            return Err(exhausted("reads", self.options.reads_in_flight_max));
        }
        match Consistency::try_from(consistency) {
            Ok(Consistency::Sequential) => self.reads.push_sequential(Index(seen_index), waiting),
            Ok(_) if self.protocol.standing().role != Role::Leader => return Err(self.not_leader()),
            Ok(_) => self.reads.push_linearizable(waiting),
            Err(_) => {
                let message =
                    format!("unknown consistency {consistency}: use linearizable (1) or sequential (2)");
                return Err(Error::new(ErrorCode::Invalid, message));
            }
        }
        Ok(())
    }

    fn queue_watch(&mut self, client: ClientId, tag: Tag, watch: session::Watch) -> Result<(), Error> {
        if self.watches.contains((client, tag)) {
            return Err(Error::new(ErrorCode::Invalid, format!("tag {tag} is that of another watch")));
        }
        if self.watches.len() >= self.options.watches_max {
            return Err(exhausted("watches", self.options.watches_max));
        }
        let keys = match watch.filter {
            None => Keys::All,
            Some(session::watch::Filter::Key(key)) => Keys::Exactly(key),
            Some(session::watch::Filter::Prefix(prefix)) => Keys::Prefix(prefix),
        };
        let filter = Filter { primitive: PrimitiveId(watch.primitive), keys };
        let read = Read::Watch(filter, Position(watch.after_position));
        self.queue_read(Consistency::Sequential as i32, watch.seen_index, Waiting { client, tag, read })
    }

    pub(crate) fn serve_reads(&mut self) -> Result<(), Fault> {
        let applied = self.machine.applied();
        let mut ready = self.reads.take_confirmed(applied.log_index);
        ready.extend(self.reads.take_sequential(applied.index));
        for waiting in ready {
            self.serve(waiting)?;
        }
        Ok(())
    }

    fn serve(&mut self, Waiting { client, tag, read }: Waiting) -> Result<(), Fault> {
        let environment = self.machine.query_environment();
        match read {
            Read::Query(query) => match primitives::query(self.machine.store(), environment, &query)? {
                Ok(result) => self.reply(client, tag, reply::Body::Result(result)),
                Err(error) => self.reply_error(client, tag, &error),
            },
            Read::Scan(scan) => {
                let snapshot: Box<dyn synod_storage::state::StateSnapshot> = self.machine.store().snapshot();
                match primitives::scan(snapshot, environment, &scan)? {
                    Ok(chunks) => {
                        let index = self.machine.applied().index;
                        self.effects.push(Effect::Scan { client, tag, index, chunks });
                    }
                    Err(error) => self.reply_error(client, tag, &error),
                }
            }
            Read::KeepAlive(session) => self.keep_alive(client, tag, session),
            Read::Watch(filter, position) => self.begin_watch(client, tag, filter, position),
        }
        Ok(())
    }

    fn keep_alive(&mut self, client: ClientId, tag: Tag, session: SessionId) {
        let now = self.clock.now();
        let renewal = self.leading.as_mut().map(|leading| leading.expiry.renew(session, now));
        let error = match renewal {
            Some(Renewal::Renewed) => return self.reply(client, tag, reply::Body::Result(Bytes::new())),
            Some(Renewal::Gone) => Error::new(ErrorCode::SessionNotFound, "the session is closed or expired"),
            // The next leader may never hear of it.
            Some(Renewal::Closing) => Error::new(
                ErrorCode::Unavailable,
                "the session is about to expire: open another one, or ask again",
            ),
            None => self.not_leader(),
        };
        self.reply_error(client, tag, &error);
    }

    fn begin_watch(&mut self, client: ClientId, tag: Tag, filter: Filter, after: Position) {
        let history = self.machine.history();
        let position = if after == Position(0) { history.last() } else { after };
        if !history.reaches_back_to(position) {
            return self.reply_error(client, tag, &compacted());
        }
        self.reply(client, tag, reply::Body::Watching(Watching { position: position.get() }));
        self.watches.add((client, tag), filter, position);
    }
}

fn decode<M: prost::Message + Default>(bytes: Bytes, what: &str) -> Result<M, Error> {
    M::decode(bytes).map_err(|_| Error::new(ErrorCode::Invalid, format!("the {what} cannot be decoded")))
}

fn exhausted(what: &str, limit: usize) -> Error {
    Error::new(ErrorCode::ResourceExhausted, format!("{limit} {what} are under way: try again later"))
}
