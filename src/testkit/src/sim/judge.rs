//! The end of a run: with the faults gone, the partition must work again and all replicas agree, and everything that
//! clients have seen must make sense together.

use std::time::Duration;

use synod_protocol::Role;

use super::history::Seen;
use super::invariants::{Check, Violation};
use super::oracles;
use super::workload::primitives;
use super::world::{World, clock_bound};
use crate::linearizability::models::primitives::{Input, PrimitivesModel};
use crate::linearizability::models::{election, lock};
use crate::linearizability::{Budget, Operation, Verdict, check};
use crate::oracle::{session, watch};
use synod_types::PrimitiveKind;

/// Within this much time after the last fault everything is well again.
const RECOVERY: Duration = Duration::from_secs(90);

/// How often it is looked whether all is well.
const LOOK: Duration = Duration::from_millis(250);

/// What one partition of a history may cost to judge.
const BUDGET: Budget = Budget { steps: 200_000, configurations: 60_000, duration: None };

impl World {
    /// Lets the partition recover.
    pub(super) fn recover(&mut self) -> Check {
        self.calm_down();
        self.trace.line(self.now, "world", format_args!("everything is calm from now on"));
        let deadline = self.now + RECOVERY;
        while let Some(problem) = self.problem() {
            if self.now >= deadline {
                let what = format!("{RECOVERY:?} after the last fault {problem}");
                return Err(Violation::new("liveness", what));
            }
            self.run_until(self.now + LOOK)?;
        }
        Ok(())
    }

    /// Why not all is well yet.
    fn problem(&self) -> Option<String> {
        let Some(leader) = self.leader() else { return Some("nobody leads".to_owned()) };
        let membership = self.referee.membership();
        if !membership.voters_outgoing.is_empty() || membership.voters.len() != self.plan.replicas {
            return Some(format!("the membership is {membership:?}"));
        }
        let last = self.referee.ledger.last();
        for node in &self.operator.desired {
            let Some(process) = self.nodes[*node].working() else {
                return Some(format!("node-{node} does not work"));
            };
            let (role, applied) =
                (process.replica.standing().role, process.replica.machine().applied().log_index);
            if !membership.voters.contains(&process.member) || !matches!(role, Role::Leader | Role::Follower)
            {
                return Some(format!("node-{node} is {role:?} and no voter"));
            }
            if applied != last {
                return Some(format!("node-{node} has applied {applied} of {last}; node-{leader} leads"));
            }
        }
        if let Some(client) = self.clients.iter().position(|client| !client.is_done()) {
            return Some(format!("client-{client} waits for an answer"));
        }
        let has_read = self.clients.iter().all(|client| client.workload.has_audited());
        (!has_read).then(|| "not everything was read back".to_owned())
    }

    /// Judges what clients have seen.
    ///
    /// Returns how many partitions of the history could not be decided within the budget.
    pub(super) fn judge(&mut self) -> Result<usize, Violation> {
        self.close_books();
        self.judge_sessions()?;
        self.judge_watches()?;
        oracles::check(&self.recorder, clock_bound(&self.plan))?;
        self.judge_histories()
    }

    fn judge_sessions(&self) -> Check {
        match session::violations(&self.recorder.answered).first() {
            None => Ok(()),
            Some(violation) => Err(Violation::new("session guarantees", violation.to_string())),
        }
    }

    fn judge_watches(&self) -> Check {
        let Some(changes) = self.referee.ledger.changes() else { return Ok(()) };
        let changes = changes.iter().map(|(position, change)| watch::Change::<Seen> {
            position: position.get(),
            index: change.index.get(),
            primitive: change.primitive.get(),
            key: change.key.clone(),
            event: change.event.clone(),
        });
        let log: Vec<_> = changes.collect();
        for watcher in &self.recorder.watchers {
            if let Some(violation) = watch::violations(&log, watcher).first() {
                let what = format!("{violation}; the watcher: {watcher:?}");
                return Err(Violation::new("watches", what));
            }
        }
        Ok(())
    }

    fn judge_histories(&mut self) -> Result<usize, Violation> {
        self.record_ends();
        let mut operations = std::mem::take(&mut self.recorder.operations);
        operations.sort_by_key(|operation| operation.invoked_at);
        let model = PrimitivesModel::new(clock_bound(&self.plan));
        let report = check(&model, &operations, BUDGET)
            .map_err(|malformed| Violation::new("recording", malformed.to_string()))?;
        self.trace.line(self.now, "judge", format_args!("{report}"));
        match report.verdict() {
            Verdict::Linearizable => Ok(0),
            Verdict::Unknown(unknown) => Ok(unknown.len()),
            Verdict::NotLinearizable(_) => Err(Violation::new("linearizability", report.to_string())),
        }
    }

    /// The ends of sessions concern every lock and election.
    fn record_ends(&mut self) {
        for life in &self.recorder.sessions {
            let session = life.session.get();
            for (kind, id, _) in primitives() {
                let input = match kind {
                    PrimitiveKind::Lock => {
                        Input::Lock(lock::Input { lock: id, action: lock::Action::EndSession(session) })
                    }
                    PrimitiveKind::Election => {
                        let action = election::Action::EndSession(session);
                        Input::Election(election::Input { election: id, action })
                    }
                    _ => continue,
                };
                self.recorder.operations.push(Operation::open(session, input, life.expires_at));
            }
        }
    }
}
