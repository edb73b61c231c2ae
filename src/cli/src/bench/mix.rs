//! Which operations are done, and how often each.

use std::fmt;
use std::str::FromStr;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde::{Serialize, Serializer};

/// An operation that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Writes a value under a key of a map.
    Put,
    /// Reads it, linearizable.
    Get,
    /// Reads it, sequential.
    GetSequential,
    /// Increments a counter.
    Increment,
    /// Acquires a lock and releases it.
    Lock,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Put, Self::Get, Self::GetSequential, Self::Increment, Self::Lock];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::GetSequential => "get-sequential",
            Self::Increment => "increment",
            Self::Lock => "lock",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = Self::ALL.map(Self::as_str);
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        known.ok_or_else(|| format!("\"{name}\" is no operation: use {}", all.join(", ")))
    }
}

/// Operations with their weights. One at least has a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mix {
    weights: Vec<(Kind, u32)>,
    total: u32,
}

impl Mix {
    /// The operations that happen.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.weights.iter().map(|(kind, _)| *kind)
    }

    /// The next operation.
    pub(super) fn choose(&self, random: &mut SmallRng) -> Kind {
        let [(only, _)] = self.weights[..] else {
            let mut left = random.random_range(0..self.total);
            let chosen = self.weights.iter().find(|(_, weight)| {
                let is_chosen = left < *weight;
                left = left.saturating_sub(*weight);
                is_chosen
            });
            return chosen.map_or(Kind::Put, |(kind, _)| *kind);
        };
        only
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights: Vec<(Kind, u32)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let kind: Kind = name.trim().parse()?;
            let wrong = |_| format!("\"{weight}\" is no weight of {name}: use 0 to 1000000");
            let weight: u32 = weight.trim().parse().map_err(wrong)?;
            if weight > 1_000_000 {
                return Err(format!("the weight of {name} is {weight}: use 0 to 1000000"));
            }
            if weights.iter().any(|(known, _)| *known == kind) {
                return Err(format!("{name} is there twice"));
            }
            weights.push((kind, weight));
        }
        weights.retain(|(_, weight)| *weight > 0);
        let total = weights.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return Err("nothing has a weight: use put=1, for example".to_owned());
        }
        Ok(Self { weights, total })
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> =
            self.weights.iter().map(|(kind, weight)| format!("{}={weight}", kind.as_str())).collect();
        f.write_str(&parts.join(","))
    }
}

impl Serialize for Mix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn operations_come_as_often_as_their_weights_say() {
        let mix: Mix = "put=1,get=3,lock=0".parse().unwrap();
        assert_eq!(mix.to_string(), "put=1,get=3");
        let mut random = SmallRng::seed_from_u64(1);
        let puts = (0..40_000).filter(|_| mix.choose(&mut random) == Kind::Put).count();
        assert!((9_500..10_500).contains(&puts), "{puts}");
        let only: Mix = "increment".parse().unwrap();
        assert_eq!(only.choose(&mut random), Kind::Increment);
    }

    #[test]
    fn what_is_no_mix_is_refused_by_name() {
        let refused = [
            ("", "\"\" is no operation"),
            ("put=1,delete=1", "\"delete\" is no operation: use put, get,"),
            ("put=x", "\"x\" is no weight of put"),
            ("put=2000000", "use 0 to 1000000"),
            ("put=1,put=2", "put is there twice"),
            ("get=0", "nothing has a weight"),
        ];
        for (text, named) in refused {
            let error = text.parse::<Mix>().unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
