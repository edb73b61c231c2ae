//! What about a group is worth telling the person at the terminal, once each.

use std::collections::BTreeSet;
use std::time::Duration;

use synod_operator::membership::{Action, Observation, Step};
use synod_proto::controller::v1::Group;
use tokio::time::Instant;

use super::console;

/// For how long a group may not be ready before that is news: elections take less.
const UNREADY_PATIENCE: Duration = Duration::from_secs(2);

/// What was told of a group.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Whether it was ready at least once.
    was_ready: bool,
    unready_since: Option<Instant>,
    /// It was told that it is not ready.
    unready_told: bool,
    /// What was told that somebody must do.
    stuck: BTreeSet<String>,
    /// The nodes whose members are being replaced.
    replaced: BTreeSet<String>,
}

impl News {
    /// How the group is now.
    pub(super) fn group(&mut self, label: &str, group: &Group) {
        if group.ready {
            if std::mem::take(&mut self.unready_told) {
                let again = if self.was_ready { " again" } else { "" };
                console::say(format_args!("group {label} is ready{again}"));
            }
            for node in std::mem::take(&mut self.replaced) {
                console::say(format_args!("{node} of {label} has caught up as a new member"));
            }
            (self.was_ready, self.unready_since) = (true, None);
            return;
        }
        let since = *self.unready_since.get_or_insert_with(Instant::now);
        if !self.unready_told && since.elapsed() > UNREADY_PATIENCE {
            let verb = if self.was_ready { "is not ready" } else { "is not ready yet" };
            console::warn(format_args!("group {label} {verb}: {}", group.message));
            self.unready_told = true;
        }
    }

    /// What is to be done next about each partition.
    pub(super) fn steps<'a>(
        &mut self,
        label: &str,
        steps: impl Iterator<Item = (&'a Observation, &'a Step)>,
    ) {
        let mut stuck = BTreeSet::new();
        for (id, (observation, step)) in steps.enumerate() {
            match step {
                Step::Stuck { problem, next } => {
                    stuck.insert(format!("partition {id} of {label}: {problem}; {next}"));
                }
                Step::Act { action: Action::Remove { member, .. }, .. } => {
                    let members = observation.leader().map(|(_, leader)| &leader.members);
                    let gone = members.and_then(|members| members.iter().find(|known| known.id == *member));
                    let desired =
                        gone.and_then(|gone| observation.node(&gone.node)).filter(|node| node.desired);
                    self.replaced.extend(desired.map(|node| node.name.clone()));
                }
                _ => {}
            }
        }
        for text in stuck.difference(&self.stuck) {
            console::warn(text);
        }
        self.stuck = stuck;
    }
}
