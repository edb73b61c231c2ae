//! What one command costs, by the kind of primitive, when the state is not small.

use std::hint::black_box;

use bytes::Bytes;
use criterion::Criterion;
use synod_primitives::{Environment, Placement, apply};
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::{Command, Create};
use synod_proto::{counter, election, lock, map, set, value};
use synod_storage::state::{MemoryStore, StateStore as _};
use synod_types::{
    Index, Limits, LogTime, PartitionId, Position, PrimitiveId, PrimitiveKind, SessionId, SlotTable,
};

/// How many keys the map and the set have.
const KEYS: u64 = 100_000;

/// A state, and the commands applied to it so far.
struct Machine {
    store: MemoryStore,
    limits: Limits,
    placement: Placement,
    index: Index,
    changes: Vec<synod_primitives::Change>,
}

impl Machine {
    fn new() -> Self {
        let slots = SlotTable::new(1).unwrap();
        let placement = Placement { partition: PartitionId(0), slots };
        let (store, limits) = (MemoryStore::default(), Limits::default());
        Self { store, limits, placement, index: Index(0), changes: Vec::new() }
    }

    fn apply(&mut self, primitive: PrimitiveId, operation: Operation) -> Bytes {
        self.index = self.index.next();
        let environment = Environment {
            limits: &self.limits,
            placement: &self.placement,
            index: self.index,
            position: Position(self.index.get()),
            now: LogTime(1_000_000),
            leader_since: LogTime(0),
            session: SessionId(1),
        };
        let command = Command { primitive: primitive.get(), operation: Some(operation) };
        let answer = apply(&mut self.store, environment, command, &mut self.changes).unwrap();
        self.changes.clear();
        self.store.commit().unwrap();
        answer.unwrap()
    }

    fn create(&mut self, kind: PrimitiveKind) -> PrimitiveId {
        let name = kind.as_str();
        let primitive = PrimitiveId::of("default", kind, name);
        let create = Create { application: "default".into(), kind: kind.number(), name: name.into() };
        self.apply(primitive, Operation::Create(create));
        primitive
    }
}

fn key(number: u64) -> String {
    format!("{:064}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS)
}

fn put(number: u64, bytes: &Bytes) -> Operation {
    Operation::MapPut(map::v1::PutRequest { key: key(number), value: bytes.clone(), ..Default::default() })
}

pub(crate) fn benchmarks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    let bytes = Bytes::from(vec![7; 256]);
    let mut machine = Machine::new();
    let kinds = [PrimitiveKind::Counter, PrimitiveKind::Value, PrimitiveKind::Map, PrimitiveKind::Set];
    let [counter, value, map, set] = kinds.map(|kind| machine.create(kind));
    let [lock, election] = [PrimitiveKind::Lock, PrimitiveKind::Election].map(|kind| machine.create(kind));
    for number in 0..KEYS {
        machine.apply(map, put(number, &bytes));
        let element = key(number);
        machine.apply(set, Operation::SetAdd(set::v1::AddRequest { element, ..Default::default() }));
    }
    let mut number = 0;
    let mut bench = |name: &str, commands: &dyn Fn(u64) -> Vec<(PrimitiveId, Operation)>| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                number += 1;
                for (primitive, operation) in commands(number) {
                    black_box(machine.apply(primitive, operation));
                }
            });
        });
    };
    bench("counter increment", &|_| {
        let request = counter::v1::IncrementRequest { delta: 1, ..Default::default() };
        vec![(counter, Operation::CounterIncrement(request))]
    });
    bench("value set", &|_| {
        let request = value::v1::SetRequest { value: bytes.clone(), ..Default::default() };
        vec![(value, Operation::ValueSet(request))]
    });
    bench("map put", &|number| vec![(map, put(number, &bytes))]);
    bench("set remove and add", &|number| {
        let element = key(number);
        let remove = set::v1::RemoveRequest { element: element.clone(), ..Default::default() };
        let add = set::v1::AddRequest { element, ..Default::default() };
        vec![(set, Operation::SetRemove(remove)), (set, Operation::SetAdd(add))]
    });
    bench("lock acquire and release", &|number| {
        let request_id = number.to_string();
        let mode = lock::v1::Mode::Write.into();
        let acquire = lock::v1::AcquireRequest { request_id: request_id.clone(), mode, ..Default::default() };
        let release = lock::v1::ReleaseRequest { request_id, ..Default::default() };
        vec![(lock, Operation::LockAcquire(acquire)), (lock, Operation::LockRelease(release))]
    });
    bench("election enter and withdraw", &|number| {
        let candidate = number.to_string();
        let enter = election::v1::EnterRequest { candidate: candidate.clone(), ..Default::default() };
        let withdraw = election::v1::WithdrawRequest { candidate, ..Default::default() };
        vec![(election, Operation::ElectionEnter(enter)), (election, Operation::ElectionWithdraw(withdraw))]
    });
    group.finish();
}
