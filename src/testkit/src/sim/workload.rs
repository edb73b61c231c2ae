//! What clients ask for: all kinds of primitives, mixed; few keys, so that they meet.

use std::collections::BTreeSet;

use bytes::Bytes;
use synod_proto::map::v1::transact_request::Operation as Part;
use synod_proto::map::v1::transact_request::operation::Operation as What;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::scan::Operation as ScanOperation;
use synod_proto::primitive::v1::{Command, Create, Query, Scan};
use synod_proto::{counter, election, lock, map, set, value};
use synod_types::{PrimitiveId, PrimitiveKind, SessionId};

use super::dice::Dice;
use crate::linearizability::models::primitives::Output;
use crate::linearizability::models::{EntryAnswer, lock as locks, map as maps};
use crate::oracle::watch::{Filter, Keys};

const APPLICATION: &str = "simulated";

const KEYS: [&str; 3] = ["a", "ab", "b"];

/// How many primitives of each kind there are.
const EACH: u64 = 2;

/// Of each kind this one is plain.
const PLAIN: u64 = 1;

/// Whether only a part of all requests is made of a primitive, so that more can be said of what it answers: a counter
/// that is only added to and subtracted from, a lock that nobody takes away and no holder shares with itself.
pub(super) fn is_plain(id: PrimitiveId) -> bool {
    PrimitiveKind::ALL.into_iter().any(|kind| primitive(kind, PLAIN).0 == id)
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// That a primitive exists.
    Create(Command),
    /// A write.
    Command(Command),
    /// A linearizable read.
    Query(Query),
    /// A read that sees what the client has seen.
    Sequential(Query),
    /// A linearizable listing.
    Scan(Scan),
}

impl Ask {
    pub(super) const fn is_write(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Command(_))
    }

    pub(super) const fn is_sequential(&self) -> bool {
        matches!(self, Self::Sequential(_))
    }
}

/// Thinks of requests for one client, and remembers what answers have told, to ask about that.
#[derive(Debug)]
pub(super) struct Workload {
    client: usize,
    created: BTreeSet<u64>,
    /// Versions and fences that were told.
    told: Vec<u64>,
    /// Lock requests are numbered.
    acquisitions: u64,
    values: u64,
    /// What is still to be read when the faults are over.
    audit: Vec<Query>,
    is_auditing: bool,
}

fn primitive(kind: PrimitiveKind, number: u64) -> (PrimitiveId, String) {
    let name = format!("{}-{number}", kind.as_str());
    (PrimitiveId::of(APPLICATION, kind, &name), name)
}

/// Every primitive that there is.
pub(super) fn primitives() -> Vec<(PrimitiveKind, PrimitiveId, String)> {
    let numbered = |kind| {
        (0..EACH).map(move |number| {
            let (id, name) = primitive(kind, number);
            (kind, id, name)
        })
    };
    PrimitiveKind::ALL.into_iter().flat_map(numbered).collect()
}

impl Workload {
    pub(super) const fn new(client: usize) -> Self {
        Self {
            client,
            created: BTreeSet::new(),
            told: Vec::new(),
            acquisitions: 0,
            values: 0,
            audit: Vec::new(),
            is_auditing: false,
        }
    }

    /// Notes that a primitive was created; tells whether all are there.
    pub(super) fn created(&mut self, command: &Command) -> bool {
        self.created.insert(command.primitive);
        self.created.len() >= primitives().len()
    }

    /// Learns from an answer.
    pub(super) fn learn(&mut self, output: &Output) {
        let told = match output {
            Output::Value(Ok(EntryAnswer::Written { version, .. }))
            | Output::Map(Ok(maps::Output::One(EntryAnswer::Written { version, .. }))) => *version,
            Output::Lock(Ok(locks::Output::Granted(fence))) => *fence,
            _ => return,
        };
        self.told.push(told);
    }

    /// The next request. When the faults are over, the first client reads everything back, and nobody writes.
    pub(super) fn next(
        &mut self,
        dice: &mut Dice,
        session: SessionId,
        is_furnished: bool,
        is_calm: bool,
    ) -> Option<Ask> {
        if !is_furnished {
            return self.create(dice);
        }
        if is_calm {
            return self.audit();
        }
        let kind = dice.pick(&PrimitiveKind::ALL)?;
        let number = dice.below(EACH);
        let ((id, _), is_plain) = (primitive(kind, number), number == PLAIN);
        let ask = match kind {
            PrimitiveKind::Counter => counter_request(dice, is_plain),
            PrimitiveKind::Value => self.value_request(dice),
            PrimitiveKind::Map => self.map_request(dice),
            PrimitiveKind::Set => set_request(dice),
            PrimitiveKind::Lock => self.lock_request(dice, session, is_plain),
            PrimitiveKind::Election => election_request(dice),
        };
        Some(ask.of(id, dice))
    }

    /// Creating is idempotent: what may be under way is asked for once more.
    fn create(&self, dice: &mut Dice) -> Option<Ask> {
        let missing = primitives().into_iter().filter(|(_, id, _)| !self.created.contains(&id.get()));
        let (kind, id, name) = dice.pick(&missing.collect::<Vec<_>>())?;
        let create = Create { application: APPLICATION.to_owned(), kind: kind.number(), name };
        Some(Ask::Create(Command { primitive: id.get(), operation: Some(Operation::Create(create)) }))
    }

    /// Reads of everything: the last one settles what is left open by all that was never answered.
    fn audit(&mut self) -> Option<Ask> {
        if self.client != 0 {
            return None;
        }
        if !self.is_auditing {
            self.is_auditing = true;
            self.audit = primitives().into_iter().flat_map(|(kind, id, _)| reads_of_all(kind, id)).collect();
        }
        self.audit.pop().map(Ask::Query)
    }

    /// Whether everything was asked for that is to be read when the faults are over.
    pub(super) fn has_audited(&self) -> bool {
        self.client != 0 || (self.is_auditing && self.audit.is_empty())
    }

    /// What a client watches.
    pub(super) fn filter(&self, dice: &mut Dice) -> Filter {
        let all = primitives();
        let place = dice.below(all.len() as u64) as usize;
        let primitive = all.get(place).map_or(0, |(_, id, _)| id.get());
        let key = Bytes::from_static(dice.pick(&KEYS).unwrap_or("a").as_bytes());
        let keys = match dice.below(4) {
            0 => Keys::Exactly(key),
            1 => Keys::Prefix(key),
            _ => Keys::All,
        };
        Filter { primitive, keys }
    }

    /// A version or fence that was told, the last one often, or 0.
    fn known(&self, dice: &mut Dice) -> u64 {
        match (self.told.last(), dice.below(4)) {
            (Some(last), 0 | 1) => *last,
            (Some(_), 2) => dice.pick(&self.told).unwrap_or(0),
            _ => 0,
        }
    }

    /// A value that nobody else writes, or one that everybody does.
    fn bytes(&mut self, dice: &mut Dice) -> Bytes {
        if dice.one_in(4) {
            return "same".into();
        }
        self.values += 1;
        let padding = "x".repeat(dice.below(80) as usize);
        format!("{}/{}{padding}", self.client, self.values).into()
    }

    fn value_request(&mut self, dice: &mut Dice) -> Draft {
        let (value, ttl_ms) = (self.bytes(dice), ttl_ms(dice));
        let (primitive, expected_version) = (None, self.known(dice));
        Draft::Command(match dice.below(8) {
            0 | 1 => Operation::ValueSet(value::v1::SetRequest { primitive, value, ttl_ms }),
            2 => Operation::ValueInsert(value::v1::InsertRequest { primitive, value, ttl_ms }),
            3 | 4 => Operation::ValueUpdate(value::v1::UpdateRequest {
                primitive,
                value,
                ttl_ms,
                expected_version,
            }),
            5 => Operation::ValueDelete(value::v1::DeleteRequest { primitive, expected_version }),
            _ => return Draft::Query(QueryOperation::ValueGet(Default::default())),
        })
    }

    fn map_request(&mut self, dice: &mut Dice) -> Draft {
        let name = key(dice);
        Draft::Command(match dice.below(20) {
            0..=10 => match self.part(dice, name) {
                What::Put(request) => Operation::MapPut(request),
                What::Insert(request) => Operation::MapInsert(request),
                What::Update(request) => Operation::MapUpdate(request),
                What::Remove(request) => Operation::MapRemove(request),
                What::Check(check) => {
                    Operation::MapRemove(map::v1::RemoveRequest { key: check.key, ..Default::default() })
                }
            },
            11..=16 => {
                let request = map::v1::GetRequest { key: name, ..Default::default() };
                return Draft::Query(QueryOperation::MapGet(request));
            }
            17 => Operation::MapClear(Default::default()),
            18 => return Draft::Scan(ScanOperation::MapList(Default::default())),
            _ => {
                let parts = (0..dice.between(1, 3)).map(|_| key(dice)).collect::<Vec<_>>();
                let operations =
                    parts.into_iter().map(|key| Part { operation: Some(self.part(dice, key)) }).collect();
                Operation::MapTransact(map::v1::TransactRequest { primitive: None, operations })
            }
        })
    }

    fn part(&mut self, dice: &mut Dice, key: String) -> What {
        let (value, ttl_ms) = (self.bytes(dice), ttl_ms(dice));
        let (primitive, expected_version) = (None, self.known(dice));
        match dice.below(7) {
            0 | 1 => What::Put(map::v1::PutRequest { primitive, key, value, ttl_ms, expected_version }),
            2 => What::Insert(map::v1::InsertRequest { primitive, key, value, ttl_ms }),
            3 | 4 => What::Update(map::v1::UpdateRequest { primitive, key, value, ttl_ms, expected_version }),
            5 => What::Remove(map::v1::RemoveRequest { primitive, key, expected_version }),
            _ => What::Check(map::v1::CheckRequest { key, expected_version }),
        }
    }

    fn lock_request(&mut self, dice: &mut Dice, session: SessionId, is_plain: bool) -> Draft {
        // One client's requests are told apart from another's, also over its sessions.
        let named = |number: u64| format!("{session}/{number}");
        let request_id = named(self.acquisitions.saturating_sub(dice.below(3)));
        let fence = self.known(dice);
        let lease_ms = dice.one_in(3).then(|| dice.between(100, 3_000));
        Draft::Command(match dice.below(12) {
            0..=4 => {
                if !dice.one_in(5) {
                    self.acquisitions += 1;
                }
                let mode = if dice.one_in(3) { lock::v1::Mode::Read } else { lock::v1::Mode::Write };
                Operation::LockAcquire(lock::v1::AcquireRequest {
                    primitive: None,
                    request_id: named(self.acquisitions),
                    mode: mode.into(),
                    max_wait_ms: dice.pick(&[None, Some(0), Some(500)]).flatten(),
                    lease_ms,
                    reentrant: !is_plain && dice.one_in(6),
                    metadata: String::new(),
                    lock_delay_ms: if dice.one_in(6) { 200 } else { 0 },
                })
            }
            5 => {
                Operation::LockRenew(lock::v1::RenewRequest { primitive: None, request_id, fence, lease_ms })
            }
            6..=8 => Operation::LockRelease(lock::v1::ReleaseRequest { primitive: None, request_id, fence }),
            9 if !is_plain => {
                Operation::LockForceRelease(lock::v1::ForceReleaseRequest { primitive: None, fence })
            }
            9 | 10 => {
                let request = lock::v1::CheckFenceRequest { primitive: None, fence };
                return Draft::Query(QueryOperation::LockCheckFence(request));
            }
            _ => return Draft::Query(QueryOperation::LockGet(Default::default())),
        })
    }
}

/// A request that does not say yet which primitive it is for.
enum Draft {
    Command(Operation),
    Query(QueryOperation),
    Scan(ScanOperation),
}

impl Draft {
    fn of(self, primitive: PrimitiveId, dice: &mut Dice) -> Ask {
        let primitive = primitive.get();
        match self {
            Self::Command(operation) => Ask::Command(Command { primitive, operation: Some(operation) }),
            Self::Query(operation) => {
                let query = Query { primitive, operation: Some(operation) };
                if dice.one_in(4) { Ask::Sequential(query) } else { Ask::Query(query) }
            }
            Self::Scan(operation) => Ask::Scan(Scan { primitive, operation: Some(operation) }),
        }
    }
}

fn key(dice: &mut Dice) -> String {
    dice.pick(&KEYS).unwrap_or("a").to_owned()
}

fn ttl_ms(dice: &mut Dice) -> Option<u64> {
    dice.one_in(3).then(|| dice.between(50, 4_000))
}

fn set_request(dice: &mut Dice) -> Draft {
    let (element, ttl_ms) = (key(dice), ttl_ms(dice));
    let primitive = None;
    Draft::Command(match dice.below(18) {
        0..=5 => Operation::SetAdd(set::v1::AddRequest { primitive, element, ttl_ms }),
        6..=9 => Operation::SetRemove(set::v1::RemoveRequest { primitive, element }),
        10..=14 => {
            let request = set::v1::ContainsRequest { primitive, element };
            return Draft::Query(QueryOperation::SetContains(request));
        }
        15 => Operation::SetClear(Default::default()),
        16 => return Draft::Query(QueryOperation::SetLen(Default::default())),
        _ => return Draft::Scan(ScanOperation::SetList(Default::default())),
    })
}

fn counter_request(dice: &mut Dice, is_plain: bool) -> Draft {
    let number = dice.below(3) as i64;
    Draft::Command(match dice.below(8) {
        0 | 1 => Operation::CounterIncrement(counter::v1::IncrementRequest {
            delta: 1 + number,
            ..Default::default()
        }),
        2 => {
            Operation::CounterDecrement(counter::v1::DecrementRequest { delta: number, ..Default::default() })
        }
        3 if !is_plain => {
            Operation::CounterSet(counter::v1::SetRequest { value: number, ..Default::default() })
        }
        4 if !is_plain => Operation::CounterUpdate(counter::v1::UpdateRequest {
            expected: number,
            value: 1,
            ..Default::default()
        }),
        _ => return Draft::Query(QueryOperation::CounterGet(Default::default())),
    })
}

fn election_request(dice: &mut Dice) -> Draft {
    let (primitive, candidate) = (None, dice.pick(&["x", "y", "z"]).unwrap_or("x").to_owned());
    /// A request that names a candidate.
    macro_rules! name {
        ($operation:ident, $request:ident) => {
            Operation::$operation(election::v1::$request { primitive, candidate })
        };
    }
    Draft::Command(match dice.below(12) {
        0..=3 => name!(ElectionEnter, EnterRequest),
        4 => name!(ElectionWithdraw, WithdrawRequest),
        5 => name!(ElectionAnoint, AnointRequest),
        6 => name!(ElectionPromote, PromoteRequest),
        7 => name!(ElectionDemote, DemoteRequest),
        8 => name!(ElectionEvict, EvictRequest),
        _ => return Draft::Query(QueryOperation::ElectionGet(Default::default())),
    })
}

/// A read that shows little, of a primitive that is there.
pub(super) fn small_read() -> Query {
    let (id, _) = primitive(PrimitiveKind::Counter, 0);
    Query { primitive: id.get(), operation: Some(QueryOperation::CounterGet(Default::default())) }
}

/// Reads that together show all of a primitive.
fn reads_of_all(kind: PrimitiveKind, id: PrimitiveId) -> Vec<Query> {
    let query = |operation| Query { primitive: id.get(), operation: Some(operation) };
    let of_keys = |read: &dyn Fn(String) -> QueryOperation| {
        KEYS.iter().map(|key| query(read((*key).to_owned()))).collect::<Vec<_>>()
    };
    match kind {
        PrimitiveKind::Counter => vec![query(QueryOperation::CounterGet(Default::default()))],
        PrimitiveKind::Value => vec![query(QueryOperation::ValueGet(Default::default()))],
        PrimitiveKind::Lock => vec![query(QueryOperation::LockGet(Default::default()))],
        PrimitiveKind::Election => vec![query(QueryOperation::ElectionGet(Default::default()))],
        PrimitiveKind::Map => {
            of_keys(&|key| QueryOperation::MapGet(map::v1::GetRequest { key, ..Default::default() }))
        }
        PrimitiveKind::Set => of_keys(&|element| {
            QueryOperation::SetContains(set::v1::ContainsRequest { element, ..Default::default() })
        }),
    }
}
