//! `synod election`.

use std::time::Duration;

use serde::Serialize;
use synod_client::{Candidacy, Election, ElectionTerm, ErrorCode, Fence, Group};

use super::held::{Ended, Held, Program, Signals};
use super::watching::{self, Reported, Since};
use crate::exit::{Exit, Failure};
use crate::output::{Printing, Row, quoted};
use crate::progress;
use crate::target::{Access, Target, whoami};

/// Elections: a leader among candidates, who follow each other in the order in which they entered.
#[derive(clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    printing: Printing,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Enter a candidate, and run a command while it leads: synod election run main -- ./serve
    ///
    /// The command finds the term of the leadership, which grows with every leader, in SYNOD_FENCE and the name of the
    /// election in SYNOD_ELECTION. If the leadership is lost, the command gets SIGTERM, is killed after a grace, and the
    /// exit code is 8. Signals are passed on to it. The exit code is that of the command.
    Run {
        /// The name of the election.
        name: String,
        /// The candidate, which nobody else may have entered: process and host, if nothing is said.
        #[arg(long, value_name = "NAME")]
        candidate: Option<String>,
        #[command(flatten)]
        program: Program,
    },
    /// Print who leads and who waits.
    Get {
        /// The name of the election.
        name: String,
    },
    /// Print the leader alone; exit code 3 if nobody leads.
    Leader {
        /// The name of the election.
        name: String,
    },
    /// Make a waiting candidate the leader; the old leader waits next.
    Anoint {
        #[command(flatten)]
        who: Who,
    },
    /// Move a candidate one place up.
    Promote {
        #[command(flatten)]
        who: Who,
    },
    /// Move a candidate one place down.
    Demote {
        #[command(flatten)]
        who: Who,
    },
    /// Take a candidate out, whoever entered it.
    Evict {
        #[command(flatten)]
        who: Who,
    },
    /// Print the state after every change, until Ctrl-C.
    Watch {
        /// The name of the election.
        name: String,
        #[command(flatten)]
        from: Since,
    },
}

/// A candidate of an election.
#[derive(clap::Args)]
#[group(skip)]
struct Who {
    /// The name of the election.
    name: String,
    /// The candidate.
    candidate: String,
}

impl Verb {
    const fn name(&self) -> &String {
        match self {
            Self::Run { name, .. } | Self::Get { name } | Self::Leader { name } => name,
            Self::Watch { name, .. } => name,
            Self::Anoint { who } | Self::Promote { who } | Self::Demote { who } | Self::Evict { who } => {
                &who.name
            }
        }
    }

    fn session_timeout(&self) -> Option<Duration> {
        match self {
            Self::Run { program, .. } => Some(program.session_timeout),
            _ => None,
        }
    }
}

/// The state of an election, for output.
#[derive(Serialize)]
struct Term {
    term: u64,
    leader: Option<String>,
    queue: Vec<String>,
}

/// A candidate, for output.
#[derive(Serialize)]
struct Candidate {
    place: String,
    candidate: String,
    term: String,
}

impl Row for Candidate {
    const HEAD: &'static [&'static str] = &["PLACE", "TERM", "CANDIDATE"];

    fn cells(&self) -> Vec<String> {
        vec![self.place.clone(), self.term.clone(), quoted(&self.candidate)]
    }
}

impl Term {
    fn rows(&self) -> Vec<Candidate> {
        let leader = self.leader.iter().map(|candidate| Candidate {
            place: "leads".to_owned(),
            candidate: candidate.clone(),
            term: self.term.to_string(),
        });
        let queue = self.queue.iter().zip(1..).map(|(candidate, place)| Candidate {
            place: format!("waits {place}"),
            candidate: candidate.clone(),
            term: "-".to_owned(),
        });
        leader.chain(queue).collect()
    }
}

impl From<ElectionTerm> for Term {
    fn from(ElectionTerm { id, leader, queue }: ElectionTerm) -> Self {
        Self { term: id.get(), leader, queue }
    }
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let Self { target, access, printing, verb } = self;
        let session_timeout = verb.session_timeout();
        let run = async |group: Group| {
            let election = access.election(&group, verb.name().clone());
            run(election, verb, printing).await
        };
        target.using(&access.owner, session_timeout, run).await
    }
}

async fn run(election: Election, verb: Verb, printing: Printing) -> Result<Exit, Failure> {
    let mut printer = printing.printer();
    let term = match verb {
        Verb::Run { candidate, program, .. } => {
            return run_leading(&election, candidate.unwrap_or_else(whoami), program).await;
        }
        Verb::Watch { from, .. } => {
            watching::changes(from.apply(election.events()), printing, report).await?;
            return Ok(Exit::SUCCESS);
        }
        Verb::Leader { name } => {
            let term = Term::from(election.get().await?);
            let Some(leader) = term.leader.clone() else {
                return Err(Failure::not_found(format!("nobody leads the election {name:?}")));
            };
            printer.answer(&term, &quoted(&leader))?;
            return Ok(Exit::SUCCESS);
        }
        Verb::Get { .. } => election.get().await?,
        Verb::Anoint { who } => election.anoint(who.candidate).await?,
        Verb::Promote { who } => election.promote(who.candidate).await?,
        Verb::Demote { who } => election.demote(who.candidate).await?,
        Verb::Evict { who } => election.evict(who.candidate).await?,
    };
    let term = Term::from(term);
    printer.table(&term, &term.rows())?;
    Ok(Exit::SUCCESS)
}

async fn run_leading(election: &Election, candidate: String, program: Program) -> Result<Exit, Failure> {
    let mut signals = Signals::new()?;
    let candidacy = election.enter(candidate).await?;
    let waiting = async || {
        let term = candidacy.term();
        let leader = term.leader.as_deref().map_or_else(|| "nobody".to_owned(), quoted);
        format!("waiting to lead the election {:?}: {leader} leads", election.name())
    };
    let led = tokio::select! {
        biased;
        exit = signals.end() => Err(exit),
        fence = progress::telling(waiting, candidacy.wait_until_leader()) => Ok(fence),
    };
    let ended = match led {
        Ok(Ok(fence)) => {
            let lost = not_leading(&candidacy, fence, election.name());
            let held = Held { fence, variable: "SYNOD_ELECTION", name: election.name(), is_guarded: true };
            program.run(held, &mut signals, lost).await
        }
        Ok(Err(error)) if error.code() == ErrorCode::NotHeld => {
            Err(Failure::new(Exit::CONDITION, error.message()))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(interrupted) => Ok(Ended::Itself(interrupted)),
    };
    if let Err(error) = candidacy.withdraw().await {
        progress::say(&format!("the candidate is withdrawn later: {error}"));
    }
    match ended? {
        Ended::Lost(_) => Ok(Exit::LOST),
        Ended::Itself(exit) => Ok(exit),
    }
}

/// Resolves when the candidate does not lead any more under this fence.
async fn not_leading(candidacy: &Candidacy, fence: Fence, election: &str) -> String {
    let mut terms = candidacy.term_changes();
    while candidacy.leads() == Some(fence) {
        tokio::select! {
            loss = candidacy.lost() => {
                return format!("the leadership of {election:?} is lost ({loss:?})");
            }
            // The sender lives as long as the candidacy.
            _ = terms.changed() => {}
        }
    }
    format!("the leadership of {election:?} is lost to another candidate")
}

fn report(term: ElectionTerm) -> Reported<Term> {
    let record = Term::from(term);
    let leader = record.leader.as_deref().map_or_else(|| "-".to_owned(), quoted);
    let mut text = format!("term {} leader {leader}", record.term);
    for waiting in &record.queue {
        text.push_str(&format!(" {}", quoted(waiting)));
    }
    Reported { text, record }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_a_line_and_rows() {
        let term =
            ElectionTerm { id: Fence(3), leader: Some("a".into()), queue: vec!["b".into(), "c d".into()] };
        assert_eq!(report(term.clone()).text, "term 3 leader a b \"c d\"");
        assert_eq!(report(ElectionTerm::default()).text, "term 0 leader -");
        let rows: Vec<_> = Term::from(term).rows().iter().map(Row::cells).collect();
        assert_eq!(rows, [["leads", "3", "a"], ["waits 1", "-", "b"], ["waits 2", "-", "\"c d\""]]);
    }
}
