//! Requests at random: few keys, few values, few sessions, so that they meet.

use synod_proto::map::v1::transact_request::Operation as Part;
use synod_proto::map::v1::transact_request::operation::Operation as What;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::scan::Operation as ScanOperation;
use synod_proto::{counter, election, lock, map, set, value};
use synod_testkit::linearizability::models::primitives::Output;
use synod_testkit::linearizability::models::{EntryAnswer, lock as locks, map as maps};
use synod_types::{PrimitiveKind, SessionId};

use crate::machine::{Request, primitive};
use crate::random::Seeded;

/// What requests are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    /// Whether things end by themselves.
    pub(crate) ends: bool,
    /// Whether there are requests that concern all keys.
    pub(crate) joins: bool,
    /// How many keys there are, one or two.
    pub(crate) keys: usize,
}

/// Makes requests for one kind of primitive, and remembers what answers have told, to ask about that.
pub(crate) struct Requests {
    kind: PrimitiveKind,
    mix: Mix,
    /// Versions and fences that were told.
    told: Vec<u64>,
    /// Lock requests are numbered.
    acquisitions: u64,
    values: u64,
}

const KEYS: [&str; 2] = ["a", "b"];
const SESSIONS: [u64; 3] = [901, 902, 903];

impl Requests {
    pub(crate) const fn new(kind: PrimitiveKind, mix: Mix) -> Self {
        Self { kind, mix, told: Vec::new(), acquisitions: 0, values: 0 }
    }

    /// Learns from an answer.
    pub(crate) fn learn(&mut self, output: &Output) {
        let told = match output {
            Output::Value(Ok(EntryAnswer::Written { version, .. }))
            | Output::Map(Ok(maps::Output::One(EntryAnswer::Written { version, .. }))) => *version,
            Output::Lock(Ok(locks::Output::Granted(fence))) => *fence,
            _ => return,
        };
        self.told.push(told);
    }

    pub(crate) fn next(&mut self, random: &mut Seeded) -> Request {
        match self.kind {
            PrimitiveKind::Counter => counter_request(random),
            PrimitiveKind::Value => self.value_request(random),
            PrimitiveKind::Map => self.map_request(random),
            PrimitiveKind::Set => self.set_request(random),
            PrimitiveKind::Lock => self.lock_request(random),
            PrimitiveKind::Election => election_request(random),
        }
    }

    /// A version or fence that was told, the last one often, or 0.
    fn known(&self, random: &mut Seeded) -> u64 {
        match (self.told.last(), random.below(4)) {
            (Some(last), 0 | 1) => *last,
            (Some(_), 2) => random.pick(&self.told),
            _ => 0,
        }
    }

    fn ttl_ms(&self, random: &mut Seeded) -> Option<u64> {
        (self.mix.ends && random.one_in(2)).then(|| 1 + random.below(20))
    }

    fn bytes(&mut self, random: &mut Seeded) -> bytes::Bytes {
        if random.one_in(4) {
            return "same".into();
        }
        self.values += 1;
        self.values.to_string().into()
    }

    fn value_request(&mut self, random: &mut Seeded) -> Request {
        let (value, ttl_ms) = (self.bytes(random), self.ttl_ms(random));
        let (primitive, expected_version) = (None, self.known(random));
        command(
            PrimitiveKind::Value,
            match random.below(8) {
                0 | 1 => Operation::ValueSet(value::v1::SetRequest { primitive, value, ttl_ms }),
                2 => Operation::ValueInsert(value::v1::InsertRequest { primitive, value, ttl_ms }),
                3 | 4 => Operation::ValueUpdate(value::v1::UpdateRequest {
                    primitive,
                    value,
                    ttl_ms,
                    expected_version,
                }),
                5 => Operation::ValueDelete(value::v1::DeleteRequest { primitive, expected_version }),
                _ => return query(PrimitiveKind::Value, QueryOperation::ValueGet(Default::default())),
            },
        )
    }

    fn map_request(&mut self, random: &mut Seeded) -> Request {
        let key = random.pick(&KEYS[..self.mix.keys]).to_owned();
        let joined = self.mix.joins && random.one_in(3);
        let operation = match random.below(if joined { 12 } else { 8 }) {
            0..=5 => match self.part(random, key) {
                What::Put(request) => Operation::MapPut(request),
                What::Insert(request) => Operation::MapInsert(request),
                What::Update(request) => Operation::MapUpdate(request),
                What::Remove(request) => Operation::MapRemove(request),
                What::Check(_) => {
                    Operation::MapRemove(map::v1::RemoveRequest { key: "a".into(), ..Default::default() })
                }
            },
            6 | 7 => {
                let request = map::v1::GetRequest { key, ..Default::default() };
                return query(PrimitiveKind::Map, QueryOperation::MapGet(request));
            }
            8 => Operation::MapClear(Default::default()),
            9 => return query(PrimitiveKind::Map, QueryOperation::MapLen(Default::default())),
            10 => {
                let request = ScanOperation::MapList(Default::default());
                return Request::Scan(primitive(PrimitiveKind::Map), request);
            }
            _ => {
                let keys: Vec<_> =
                    (0..random.below(4)).map(|_| random.pick(&KEYS[..self.mix.keys])).collect();
                let operations = keys
                    .into_iter()
                    .map(|key| Part { operation: Some(self.part(random, key.to_owned())) })
                    .collect();
                Operation::MapTransact(map::v1::TransactRequest { primitive: None, operations })
            }
        };
        command(PrimitiveKind::Map, operation)
    }

    fn part(&mut self, random: &mut Seeded, key: String) -> What {
        let (value, ttl_ms) = (self.bytes(random), self.ttl_ms(random));
        let (primitive, expected_version) = (None, self.known(random));
        match random.below(7) {
            0 | 1 => What::Put(map::v1::PutRequest { primitive, key, value, ttl_ms, expected_version }),
            2 => What::Insert(map::v1::InsertRequest { primitive, key, value, ttl_ms }),
            3 | 4 => What::Update(map::v1::UpdateRequest { primitive, key, value, ttl_ms, expected_version }),
            5 => What::Remove(map::v1::RemoveRequest { primitive, key, expected_version }),
            _ => What::Check(map::v1::CheckRequest { key, expected_version }),
        }
    }

    fn set_request(&mut self, random: &mut Seeded) -> Request {
        let element = random.pick(&KEYS[..self.mix.keys]).to_owned();
        let (primitive_reference, ttl_ms) = (None, self.ttl_ms(random));
        let joined = self.mix.joins && random.one_in(3);
        let operation = match random.below(if joined { 10 } else { 7 }) {
            0..=2 => {
                Operation::SetAdd(set::v1::AddRequest { primitive: primitive_reference, element, ttl_ms })
            }
            3 | 4 => Operation::SetRemove(set::v1::RemoveRequest { primitive: primitive_reference, element }),
            5 | 6 => {
                let request = set::v1::ContainsRequest { primitive: primitive_reference, element };
                return query(PrimitiveKind::Set, QueryOperation::SetContains(request));
            }
            7 => Operation::SetClear(Default::default()),
            8 => return query(PrimitiveKind::Set, QueryOperation::SetLen(Default::default())),
            _ => {
                return Request::Scan(
                    primitive(PrimitiveKind::Set),
                    ScanOperation::SetList(Default::default()),
                );
            }
        };
        command(PrimitiveKind::Set, operation)
    }

    fn lock_request(&mut self, random: &mut Seeded) -> Request {
        let request_id = match self.acquisitions {
            0 => "r1".to_owned(),
            count => format!("r{}", count - random.below(count.min(3))),
        };
        let fence = self.known(random);
        let lease_ms = (self.mix.ends && random.one_in(3)).then_some(100);
        let operation = match random.below(12) {
            0..=4 => Operation::LockAcquire(self.acquire(random, lease_ms)),
            5 => {
                Operation::LockRenew(lock::v1::RenewRequest { primitive: None, request_id, fence, lease_ms })
            }
            6..=8 => Operation::LockRelease(lock::v1::ReleaseRequest { primitive: None, request_id, fence }),
            9 => Operation::LockForceRelease(lock::v1::ForceReleaseRequest { primitive: None, fence }),
            10 if random.one_in(2) => {
                let session = SessionId(random.pick(&SESSIONS));
                return Request::EndSession(primitive(PrimitiveKind::Lock), PrimitiveKind::Lock, session);
            }
            10 => {
                let request = lock::v1::CheckFenceRequest { primitive: None, fence };
                return query(PrimitiveKind::Lock, QueryOperation::LockCheckFence(request));
            }
            _ => return query(PrimitiveKind::Lock, QueryOperation::LockGet(Default::default())),
        };
        Request::Command(SessionId(random.pick(&SESSIONS)), primitive(PrimitiveKind::Lock), operation)
    }

    fn acquire(&mut self, random: &mut Seeded, lease_ms: Option<u64>) -> lock::v1::AcquireRequest {
        // Mostly a new request, sometimes an old one again.
        if self.acquisitions == 0 || !random.one_in(5) {
            self.acquisitions += 1;
        }
        let mode = if random.one_in(3) { lock::v1::Mode::Read } else { lock::v1::Mode::Write };
        let patience = [None, Some(0), if self.mix.ends { Some(30) } else { None }];
        lock::v1::AcquireRequest {
            primitive: None,
            request_id: format!("r{}", self.acquisitions),
            mode: mode.into(),
            max_wait_ms: random.pick(&patience),
            lease_ms,
            reentrant: random.one_in(6),
            metadata: String::new(),
            lock_delay_ms: if self.mix.ends && random.one_in(4) { 10 } else { 0 },
        }
    }
}

fn command(kind: PrimitiveKind, operation: Operation) -> Request {
    Request::Command(SessionId(0), primitive(kind), operation)
}

fn query(kind: PrimitiveKind, operation: QueryOperation) -> Request {
    Request::Query(primitive(kind), operation)
}

fn counter_request(random: &mut Seeded) -> Request {
    let number = i64::try_from(random.below(3)).unwrap();
    let operation = match random.below(8) {
        0 | 1 => Operation::CounterIncrement(counter::v1::IncrementRequest {
            delta: 1 + number,
            ..Default::default()
        }),
        2 => {
            Operation::CounterDecrement(counter::v1::DecrementRequest { delta: number, ..Default::default() })
        }
        3 => Operation::CounterSet(counter::v1::SetRequest { value: number, ..Default::default() }),
        4 => Operation::CounterUpdate(counter::v1::UpdateRequest {
            expected: number,
            value: 1,
            ..Default::default()
        }),
        _ => return query(PrimitiveKind::Counter, QueryOperation::CounterGet(Default::default())),
    };
    command(PrimitiveKind::Counter, operation)
}

fn election_request(random: &mut Seeded) -> Request {
    let (primitive_reference, candidate) = (None, random.pick(&["x", "y", "z"]).to_owned());
    let id = primitive(PrimitiveKind::Election);
    let session = SessionId(random.pick(&SESSIONS));
    /// A request that names a candidate.
    macro_rules! name {
        ($operation:ident, $request:ident) => {
            Operation::$operation(election::v1::$request { primitive: primitive_reference, candidate })
        };
    }
    let operation = match random.below(12) {
        0..=3 => name!(ElectionEnter, EnterRequest),
        4 => name!(ElectionWithdraw, WithdrawRequest),
        5 => name!(ElectionAnoint, AnointRequest),
        6 => name!(ElectionPromote, PromoteRequest),
        7 => name!(ElectionDemote, DemoteRequest),
        8 => name!(ElectionEvict, EvictRequest),
        9 => return Request::EndSession(id, PrimitiveKind::Election, session),
        _ => return Request::Query(id, QueryOperation::ElectionGet(Default::default())),
    };
    Request::Command(session, id, operation)
}
