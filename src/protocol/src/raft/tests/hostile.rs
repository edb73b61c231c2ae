//! Messages that no correct member sends, and those of strangers.

use raft::eraftpb::MessageType;

use super::*;

/// One of a kind of numbers: no clock, no seed but the one that is given.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.0 >> 16
    }

    fn one_of(&mut self, numbers: &[u64]) -> u64 {
        let chosen = usize::try_from(self.next()).unwrap() % numbers.len();
        numbers[chosen]
    }

    /// A number around those that matter, or at the ends.
    fn near(&mut self, middle: u64) -> u64 {
        let near = [middle.saturating_sub(1), middle, middle.saturating_add(1)];
        let ends = [0, 1, u64::MAX - 1, u64::MAX, 1 << 32, self.next()];
        if self.next().is_multiple_of(3) { self.one_of(&ends) } else { self.one_of(&near) }
    }

    fn members(&mut self) -> Vec<MemberId> {
        (0..self.next() % 4).map(|_| id(self.one_of(&[0, 1, 2, 3, 4]))).collect()
    }

    fn snapshot(&mut self, last: u64, term: u64) -> Option<SnapshotMetadata> {
        if !self.next().is_multiple_of(4) {
            return None;
        }
        let membership = Membership {
            voters: self.members(),
            learners: self.members(),
            voters_outgoing: self.members(),
            learners_next: self.members(),
            auto_leave: self.next().is_multiple_of(2),
        };
        Some(SnapshotMetadata { index: LogIndex(self.near(last)), term: Term(self.near(term)), membership })
    }

    fn entries(&mut self, index: u64, term: u64) -> Vec<Entry> {
        let in_order = self.next().is_multiple_of(2);
        let mut entries = Vec::new();
        for offset in 1..=self.next() % 4 {
            let kind = if self.next().is_multiple_of(8) { EntryKind::Membership } else { EntryKind::Normal };
            let (index, term) = if in_order {
                (index.wrapping_add(offset), term)
            } else {
                (self.near(index), self.near(term))
            };
            let data = Bytes::from_static(b"\xffforged");
            entries.push(Entry { term: Term(term), index: LogIndex(index), kind, data });
        }
        entries
    }

    /// A message to a member that stands like this.
    fn message(&mut self, from: &[u64], to: MemberId, last: u64, term: u64) -> AnyMessage {
        let (kind, index) = ((self.next() % 31) as u32, self.near(last));
        let message_term = self.near(term);
        let entries =
            if self.next().is_multiple_of(2) { self.entries(index, message_term) } else { Vec::new() };
        AnyMessage::Raft(Message {
            kind,
            from: id(self.one_of(from)),
            to,
            term: Term(message_term),
            log_term: Term(self.near(term)),
            index: LogIndex(index),
            entries,
            commit: LogIndex(self.near(last)),
            commit_term: Term(self.near(term)),
            snapshot: self.snapshot(last, term),
            request_snapshot: LogIndex(if self.next().is_multiple_of(9) { self.near(last) } else { 0 }),
            reject: self.next().is_multiple_of(2),
            reject_hint: LogIndex(self.near(last)),
            context: Bytes::copy_from_slice(&self.0.to_be_bytes()[..(self.0 % 9) as usize]),
            priority: self.next() as i64,
        })
    }
}

/// Does what a member says, on a disk that is fast. False when it must stop, or would need a state to go on.
fn obey(raft: &mut Raft, now: Monotonic) -> bool {
    for _ in 0..100 {
        let output = raft.output(now);
        if output.is_empty() {
            return true;
        }
        if output.restored.is_some() {
            return false;
        }
        if let Some(persist) = output.persist {
            raft.persisted(now, persist.token);
        }
        for entry in output.committed {
            if entry.kind == EntryKind::Membership && raft.apply_membership(&entry).is_err() {
                return false;
            }
            raft.applied(entry.index);
        }
        for (to, _) in output.send_snapshot {
            raft.snapshot_sent(to, false);
        }
    }
    panic!("it never comes to an end");
}

/// A member of three with some log, as a follower, a candidate or a leader.
fn member(role: Role, now: Monotonic) -> Raft {
    let entry =
        |index| Entry { term: Term(2), index: LogIndex(index), kind: EntryKind::Normal, data: Bytes::new() };
    let hard_state = HardState { term: Term(2), vote: None, commit: LogIndex(4) };
    let start = Start { hard_state, snapshot: genesis(&[1, 2, 3]), entries: (2..8).map(entry).collect() };
    let mut raft = Raft::new(now, id(1), Options::default(), start).unwrap();
    if role == Role::Follower {
        return raft;
    }
    raft.node.campaign().unwrap();
    let grants = [MessageType::MsgRequestPreVoteResponse, MessageType::MsgRequestVoteResponse];
    let needed = if role == Role::Leader { 2 } else { 1 };
    for kind in grants.into_iter().take(needed) {
        let grant =
            Message { kind: kind as u32, from: id(2), to: id(1), term: Term(3), ..Message::default() };
        raft.step(now, AnyMessage::Raft(grant)).unwrap();
        assert!(obey(&mut raft, now));
    }
    assert_eq!(raft.standing().role, role);
    raft
}

#[test]
fn no_message_makes_a_member_panic() {
    let mut numbers = Numbers(1);
    for role in [Role::Follower, Role::Candidate, Role::Leader] {
        let mut now = Monotonic::default() + ms(1_000);
        let mut raft = member(role, now);
        for _ in 0..60_000 {
            now = now + Duration::from_micros(numbers.next() % 20_000);
            let status = raft.status();
            let commit = status.commit;
            let (last, term) = (status.last_index.get(), status.standing.term.get());
            let message = numbers.message(&[0, 1, 2, 3, 9, u64::MAX], id(1), last, term);
            let AnyMessage::Raft(sent) = message.clone();
            let stepped = raft.step(now, message);
            if let Err(Refused::Broken(why)) = &stepped {
                assert_eq!(sent.kind, MessageType::MsgHeartbeat as u32, "{why}: {sent:?}");
                assert!([id(2), id(3)].contains(&sent.from), "a stranger stops nobody: {sent:?}");
            }
            raft.tick(now);
            let goes_on = stepped.is_ok() && obey(&mut raft, now);
            assert!(raft.status().commit >= commit);
            if !goes_on || raft.standing().role != role || numbers.next().is_multiple_of(64) {
                raft = member(role, now);
            }
        }
    }
}

#[test]
fn a_stranger_finds_no_ear_while_there_is_a_leader() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(200));
    let before = group.get(leader).raft.standing();
    let mut numbers = Numbers(2);
    for round in 0..300 {
        for member in 1..=3 {
            let now = group.now;
            let status = group.get(member).raft.status();
            let (last, term) = (status.last_index.get(), status.standing.term.get());
            for _ in 0..50 {
                let message = numbers.message(&[4, 9, u64::MAX], id(member), last, term);
                let stepped = group.get(member).raft.step(now, message.clone());
                assert!(!matches!(stepped, Err(Refused::Broken(_))), "{message:?}");
            }
            group.settle(id(member));
        }
        if round == 150 {
            group.propose(leader, "a").unwrap();
        }
        group.run(ms(1));
    }
    assert!((1..=3).all(|member| group.has(member, "a")));
    assert!((1..=3).all(|member| group.members[&id(member)].applied.len() == 1));
    assert_eq!(group.get(leader).raft.standing(), before);
}

/// A member that was away while others joined and left follows a leader of whom it has never heard.
#[test]
fn a_leader_may_be_unknown_to_a_member_that_lags_behind() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(100));
    let away = leader % 3 + 1;
    group.isolate(away);
    group.start(id(4), Start::default());
    group.cuts.insert((id(4), id(away)));
    group.cuts.insert((id(away), id(4)));
    group.change(leader, &Change::AddLearner { member: id(4), about: Bytes::from_static(b"four") });
    group.run_until("a learner", |group| group.members[&id(4)].membership.learners.contains(&id(4)));
    group.run(ms(100));
    group.change(leader, &Change::Promote(id(4)));
    group.run_until("a voter", |group| group.members[&id(4)].membership.voters.contains(&id(4)));
    group.run(ms(100));
    group.get(leader).raft.transfer(id(4)).unwrap();
    group.settle(id(leader));
    group.run_until("it leads", |group| group.leader() == Some(4));
    assert!(!group.get(away).membership.all().contains(&id(4)));

    group.cuts.clear();
    group.run_until("it knows the leader", |group| {
        group.members[&id(away)].raft.standing().leader == Some(id(4))
    });
    group.run_until("it knows the members", |group| {
        group.members[&id(away)].membership.all().contains(&id(4))
    });
}

#[test]
fn only_a_member_proves_that_entries_are_lost() {
    let now = Monotonic::default() + ms(1_000);
    let beyond = |from: u64, term: u64| {
        AnyMessage::Raft(Message {
            kind: MessageType::MsgHeartbeat as u32,
            from: id(from),
            to: id(1),
            term: Term(term),
            commit: LogIndex(99),
            ..Message::default()
        })
    };
    let mut follower = member(Role::Follower, now);
    assert!(matches!(follower.step(now, beyond(9, 2)), Err(Refused::Invalid(_))));
    assert!(matches!(follower.step(now, beyond(2, 2)), Err(Refused::Broken(_))));
    // It leads in term 3 itself: there is no other leader of that term to count on anything.
    let mut leader = member(Role::Leader, now);
    assert!(matches!(leader.step(now, beyond(2, 3)), Err(Refused::Invalid(_))));
    // The same where another one leads.
    let mut follower = member(Role::Follower, now);
    let heartbeat = Message {
        kind: MessageType::MsgHeartbeat as u32,
        from: id(3),
        to: id(1),
        term: Term(2),
        ..Message::default()
    };
    follower.step(now, AnyMessage::Raft(heartbeat)).unwrap();
    assert!(matches!(follower.step(now, beyond(2, 2)), Err(Refused::Invalid(_))));
    assert!(matches!(follower.step(now, beyond(3, 2)), Err(Refused::Broken(_))));
}

#[test]
fn a_leader_believes_no_answer_to_what_it_never_sent() {
    let now = Monotonic::default() + ms(1_000);
    let answer = Message {
        kind: MessageType::MsgAppendResponse as u32,
        from: id(2),
        to: id(1),
        term: Term(3),
        ..Message::default()
    };
    let last = member(Role::Leader, now).status().last_index;
    let impossible = [
        Message { index: last.next(), ..answer.clone() },
        Message { index: LogIndex(u64::MAX), ..answer.clone() },
        Message { index: LogIndex(u64::MAX), reject: true, ..answer.clone() },
        Message { index: last, reject: true, reject_hint: LogIndex(u64::MAX), ..answer.clone() },
        Message { from: id(9), index: last, ..answer.clone() },
    ];
    for message in impossible {
        let mut leader = member(Role::Leader, now);
        let stepped = leader.step(now, AnyMessage::Raft(message.clone()));
        assert!(matches!(stepped, Err(Refused::Invalid(_))), "{message:?}");
    }
    let mut leader = member(Role::Leader, now);
    assert_eq!(leader.step(now, AnyMessage::Raft(Message { index: last, ..answer })), Ok(()));
    assert!(obey(&mut leader, now));
    assert_eq!(leader.status().commit, last);
}
