//! What is the matter with a group and what to do about it, told to people in little room.
//!
//! Invariant: what to do about the first problem is never cut, and no advice is told in part.
//!
//! What must not go here: what the problems are.

/// The longest message, in bytes: no event is taken that is longer than 1024, with what else it says.
pub(crate) const BYTES_MAX: usize = 1_000;

/// How many are named before the rest is counted.
const NAMES_MAX: usize = 3;

/// What is the matter with one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Which partition.
    pub(crate) partition: u32,
    /// What is the matter.
    pub(crate) what: String,
    /// What to do about it, if somebody has to do something.
    pub(crate) next: Option<String>,
}

/// Partitions that need the same to be done.
struct Clause<'a> {
    problems: Vec<&'a Problem>,
    next: Option<&'a str>,
}

/// What is the matter: first the lead, what has to be said before all else, then what is wrong with the partitions. What
/// several of them need is said once, and those for which there is no room are counted.
pub(crate) fn tell(lead: &str, problems: &[Problem]) -> String {
    tell_within(BYTES_MAX, lead, problems)
}

fn tell_within(bytes_max: usize, lead: &str, problems: &[Problem]) -> String {
    let mut told = shortened(lead, bytes_max / 2);
    let mut left = problems.len();
    for clause in clauses(problems) {
        let advice = clause.next.map(|next| format!(": {next}")).unwrap_or_default();
        let mut is_told = false;
        for problem in &clause.problems {
            let separator = if told.is_empty() { "" } else { "; " };
            let item = format!("{separator}partition {}: {}", problem.partition, problem.what);
            let taken = told.len() + advice.len() + more(left - 1).len();
            let room = bytes_max.saturating_sub(taken);
            if left == problems.len() {
                told.push_str(&shortened(&item, room));
            } else if item.len() <= room {
                told.push_str(&item);
            } else {
                break;
            }
            (is_told, left) = (true, left - 1);
        }
        if is_told {
            told.push_str(&advice);
        }
    }
    told + &more(left)
}

fn clauses(problems: &[Problem]) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = Vec::new();
    for problem in problems {
        let next = problem.next.as_deref();
        match clauses.iter_mut().find(|clause| clause.next == next) {
            Some(clause) => clause.problems.push(problem),
            None => clauses.push(Clause { problems: vec![problem], next }),
        }
    }
    clauses
}

/// How many are not told of.
fn more(partitions: usize) -> String {
    match partitions {
        0 => String::new(),
        1 => "; and 1 more partition".to_owned(),
        many => format!("; and {many} more partitions"),
    }
}

/// The names, as they are told: of many, the first.
pub(crate) fn listed(names: &[impl AsRef<str>]) -> String {
    let first: Vec<_> = names.iter().take(NAMES_MAX).map(AsRef::as_ref).collect();
    let more = names.len() - first.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    first.join(", ") + &more
}

/// The text, or as much of its beginning as has room in so many bytes with a sign that something is missing.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> String {
    const CUT: &str = "…";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub(CUT.len()));
    format!("{}{CUT}", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(partition: u32, what: &str, next: &str) -> Problem {
        let next = Some(next.to_owned()).filter(|next| !next.is_empty());
        Problem { partition, what: what.to_owned(), next }
    }

    #[test]
    fn what_to_do_is_said_once_and_never_cut() {
        let full = |partition| problem(partition, "full", "make room");
        let waits = |partition| problem(partition, "waits", "");
        let cases = [
            ("", vec![], 100, ""),
            ("hear", vec![], 100, "hear"),
            ("", vec![full(0)], 100, "partition 0: full: make room"),
            ("hear", vec![full(0)], 100, "hear; partition 0: full: make room"),
            ("hear me out", vec![full(0)], 40, "hear me out; partition 0: …: make room"),
            ("", vec![waits(0), waits(2)], 100, "partition 0: waits; partition 2: waits"),
            ("", vec![full(0), full(1)], 100, "partition 0: full; partition 1: full: make room"),
            (
                "",
                vec![full(0), waits(1), full(2)],
                100,
                "partition 0: full; partition 2: full: make room; partition 1: waits",
            ),
            ("", vec![full(0), full(1), full(2)], 60, "partition 0: full: make room; and 2 more partitions"),
            (
                "",
                vec![waits(0), problem(1, "broken", "call")],
                42,
                "partition 0: waits; and 1 more partition",
            ),
            ("", vec![problem(0, "xxxxxxxxxxxxxxxxxxxx", "make room")], 30, "partition 0: xxx…: make room"),
            ("", vec![problem(0, "ääääääääää", "make room")], 31, "partition 0: ää…: make room"),
        ];
        for (lead, problems, bytes_max, expected) in cases {
            let told = tell_within(bytes_max, lead, &problems);
            assert_eq!(told, expected, "{lead}, {problems:?} in {bytes_max} bytes");
        }
    }

    #[test]
    fn of_any_number_of_problems_the_message_has_room() {
        let next = "bring it back ".repeat(20);
        for (count, what_bytes, lead_bytes) in
            [(1, 2_000, 0), (3, 250, 0), (3, 2_000, 2_000), (64, 40, 300), (64, 900, 0)]
        {
            for next in ["", next.as_str()] {
                let what = "x".repeat(what_bytes);
                let problems: Vec<_> = (0..count).map(|partition| problem(partition, &what, next)).collect();
                let told = tell(&"y".repeat(lead_bytes), &problems);
                assert!(told.len() <= BYTES_MAX, "{count}, {what_bytes}, {lead_bytes}: {}", told.len());
                assert_eq!(told.matches("bring it back ").count(), next.matches("bring it back ").count());
            }
        }
    }

    #[test]
    fn of_many_names_the_first_are_told() {
        for (names, expected) in [
            (&["a"][..], "a"),
            (&["a", "b", "c"], "a, b, c"),
            (&["a", "b", "c", "d"], "a, b, c and 1 more"),
            (&["a", "b", "c", "d", "e", "f", "g"], "a, b, c and 4 more"),
        ] {
            assert_eq!(listed(names), expected);
        }
    }
}
