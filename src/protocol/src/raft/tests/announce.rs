//! How followers learn what is committed.

use raft::eraftpb::MessageType;

use super::*;

/// How many appends have come to a member.
fn appends(group: &Group, member: u64) -> usize {
    let (to, kind) = (format!(" {} ", id(member)), format!("kind: {},", MessageType::MsgAppend as i32));
    group.trace.iter().filter(|line| line.contains(&to) && line.contains(&kind)).count()
}

#[test]
fn followers_learn_soon_that_something_is_committed_though_nothing_follows() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(500));
    group.propose(leader, "a").unwrap();
    group.run_until("it is committed", |group| group.has(leader, "a"));
    let took = group.run_until("all know", |group| (1..=3).all(|member| group.has(member, "a")));
    assert!(took <= ms(4), "{took:?}");
}

#[test]
fn entries_that_follow_take_the_commit_index_along() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.elect();
    group.run(ms(500));
    let follower = leader % 3 + 1;
    let before = appends(&group, follower);
    for _ in 0..100 {
        group.propose(leader, "a").unwrap();
        group.run(ms(1));
    }
    let sent = appends(&group, follower) - before;
    assert!((95..=105).contains(&sent), "one for each entry, and not another for each commit: {sent}");
}
