//! The conditions of a status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The answer to one question.
pub(super) struct Said {
    question: &'static str,
    is_so: bool,
    reason: &'static str,
    message: String,
}

impl Said {
    pub(super) fn new(
        question: &'static str,
        is_so: bool,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { question, is_so, reason, message: message.into() }
    }
}

/// The conditions that say this. The time of one changes when its answer does, and only then.
pub(super) fn merge(
    before: &[Condition],
    said: Vec<Said>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    // Whole seconds, as the API server keeps them.
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let condition = |Said { question, is_so, reason, message }| {
        let status = if is_so { "True" } else { "False" };
        let last = before.iter().find(|last| last.type_ == question && last.status == status);
        Condition {
            type_: question.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: last.map_or_else(|| now.clone(), |last| last.last_transition_time.clone()),
        }
    };
    said.into_iter().map(condition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_condition_is_that_of_its_last_change() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = merge(&[], vec![Said::new("Ready", false, "NoLeader", "wait")], Some(1), at(10));
        assert_eq!((first[0].status.as_str(), first[0].last_transition_time.0), ("False", at(10)));
        let other = vec![Said::new("Ready", false, "NoQuorum", "wait longer")];
        let second = merge(&first, other, Some(2), at(20));
        assert_eq!(second[0].last_transition_time.0, at(10), "another reason is no other answer");
        assert_eq!((second[0].reason.as_str(), second[0].observed_generation), ("NoQuorum", Some(2)));
        let third = merge(&second, vec![Said::new("Ready", true, "AsDeclared", "")], Some(2), at(30));
        assert_eq!((third[0].status.as_str(), third[0].last_transition_time.0), ("True", at(30)));
    }
}
