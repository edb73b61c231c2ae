//! What is written of a partition in a line, for tables of rules.
//!
//! A scene is a line of nodes: `a=leader:1 b=follower:2 c=waits:9 d-=blank`. A dash after the name says that the node is
//! not desired; the number is the member id. `newborn` is a follower that has seen nothing since its birth, `unaware` one
//! that counts c3, whatever the others know. The members are what every running replica believes: `a1 b2 c3` are voters,
//! `d4?` is a learner, and `~` says that the leader knows it to be far behind.

use synod_types::{Limits, LogIndex, MemberId, Term};

use super::observation::{Member, Node, Observation, Replica, Role, Running};
use super::plan::{Action, Step};
use super::{Founder, Genesis};

/// How far the log of every scene is committed.
const COMMIT: u64 = 20_000;

fn name_and_id(text: &str) -> (String, MemberId) {
    let digits = text.find(|c: char| c.is_ascii_digit()).unwrap();
    (text[..digits].to_owned(), MemberId(text[digits..].parse().unwrap()))
}

fn member(text: &str) -> Member {
    let votes = !text.contains('?');
    let behind = text.contains('~');
    let (node, id) = name_and_id(text.trim_end_matches(['?', '~']));
    let matched = LogIndex(if behind { COMMIT - 5_000 } else { COMMIT });
    Member { id, client_address: format!("{node}:1"), node, votes, matched, active: true }
}

fn replica(text: &str, members: &[Member]) -> Replica {
    let (state, id) = text.split_once(':').unwrap_or((text, "0"));
    let id = MemberId(id.parse().unwrap());
    let leads = |other: &Member| other.id == MemberId(1);
    let leader = members.iter().find(|other| leads(other)).map(|leader| leader.id);
    let lived = Running {
        member: id,
        role: Role::Follower,
        term: Term(2),
        leader,
        applied: LogIndex(COMMIT),
        commit: LogIndex(COMMIT),
        members: members.to_vec(),
        ..Running::default()
    };
    Replica::Running(match state {
        "down" => return Replica::Unreachable,
        "blank" => return Replica::Blank,
        "waits" => return Replica::Waiting { member: id, problem: String::new() },
        "failed" => return Replica::Failed { member: Some(id), problem: "broken".into() },
        "stalled" => return Replica::Stalled { member: Some(id), problem: "full".into() },
        "leader" => Running { role: Role::Leader, ..lived },
        "candidate" => Running { role: Role::Candidate, leader: None, ..lived },
        "learner" => Running { role: Role::Learner, ..lived },
        "follower" => lived,
        "unaware" => Running { members: [members, &[member("c3")]].concat(), ..lived },
        "newborn" => {
            Running { leader: None, term: Term(1), applied: LogIndex(1), commit: LogIndex(1), ..lived }
        }
        other => panic!("{other}"),
    })
}

pub(super) fn observation(nodes: &str, members: &str) -> Observation {
    let members: Vec<_> = members.split_whitespace().map(member).collect();
    let nodes = nodes.split_whitespace().map(|text| {
        let (name, state) = text.split_once('=').unwrap();
        let desired = !name.ends_with('-');
        let name = name.trim_end_matches('-').to_owned();
        let (peer_address, client_address) = (format!("{name}:2"), format!("{name}:1"));
        Node { name, peer_address, client_address, desired, replica: replica(state, &members) }
    });
    Observation { nodes: nodes.collect() }
}

pub(super) fn genesis(founders: &str) -> Option<Genesis> {
    let founder = |text| {
        let (node, id) = name_and_id(text);
        Founder { id, peer_address: format!("{node}:2"), client_address: format!("{node}:1"), node }
    };
    let founders: Vec<_> = founders.split_whitespace().map(founder).collect();
    (!founders.is_empty()).then(|| Genesis::new(founders, 1, &Limits::default(), 7).unwrap())
}

/// A step in short.
pub(super) fn told(step: Step) -> String {
    let founders = |founders: Vec<Founder>| {
        let each = founders.into_iter().map(|founder| format!("{}{}", founder.node, founder.id));
        each.collect::<Vec<_>>().join(" ")
    };
    match step {
        Step::Nothing => "nothing".to_owned(),
        Step::Wait(why) => format!("wait: {why}"),
        Step::Stuck { problem, next } => format!("stuck: {problem}; {next}"),
        Step::Begin { founders: first } => format!("begin {}", founders(first)),
        Step::Act { action, .. } => match action {
            Action::Prepare { nodes } => format!("prepare {}", nodes.join(" ")),
            Action::Bootstrap { nodes, .. } => format!("bootstrap {}", nodes.join(" ")),
            Action::Remove { leader, member } => format!("{leader}: remove {member}"),
            Action::AddLearner { leader, learner } => {
                format!("{leader}: add {}{}", learner.node, learner.id)
            }
            Action::Promote { leader, member } => format!("{leader}: promote {member}"),
            Action::Discard { node, member, .. } => format!("{node}: discard {node}{member}"),
            Action::Recover { node, member } => format!("{node}: go on as {member}"),
            Action::TransferLeadership { leader, to } => format!("{leader}: hand over to {to}"),
        },
    }
}
