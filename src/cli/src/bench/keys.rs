//! Which keys are used, and what is written under them.

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _};
use rand_distr::{Distribution as _, Zipf};
use serde::Serialize;

/// How much of random bytes there is, of which every value is a part.
const POOL_BYTES: usize = 1 << 20;

/// The exponent that benchmarks of stores have agreed on.
const ZIPF_EXPONENT: f64 = 0.99;

/// How often keys are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
pub(super) enum Distribution {
    /// All as often.
    Uniform,
    /// Few of them much.
    Zipf,
}

/// Chooses keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    count: u64,
    bytes: usize,
    zipf: Option<Zipf<f64>>,
}

impl Keys {
    pub(super) fn new(count: u64, bytes: usize, distribution: Distribution) -> anyhow::Result<Self> {
        let zipf = match distribution {
            Distribution::Uniform => None,
            Distribution::Zipf => Some(Zipf::new(count as f64, ZIPF_EXPONENT)?),
        };
        Ok(Self { count, bytes, zipf })
    }

    /// The key of a number.
    pub(super) fn key(&self, number: u64) -> String {
        format!("{number:0>width$}", width = self.bytes)
    }

    /// The key to use next.
    pub(super) fn choose(&self, random: &mut SmallRng) -> String {
        let number = match &self.zipf {
            None => random.random_range(0..self.count),
            Some(zipf) => (zipf.sample(random) as u64).clamp(1, self.count) - 1,
        };
        self.key(number)
    }
}

/// Values that cannot be compressed. Cloning is cheap.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pool: Bytes,
    bytes: usize,
}

impl Values {
    pub(super) fn new(bytes: usize, random: &mut SmallRng) -> Self {
        let mut pool = vec![0; POOL_BYTES + bytes];
        random.fill_bytes(&mut pool);
        Self { pool: pool.into(), bytes }
    }

    /// The value to write next.
    pub(super) fn choose(&self, random: &mut SmallRng) -> Bytes {
        let start = random.random_range(0..POOL_BYTES);
        self.pool.slice(start..start + self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::SeedableRng as _;

    use super::*;

    fn used(distribution: Distribution) -> HashMap<String, u32> {
        let keys = Keys::new(100, 8, distribution).unwrap();
        let mut random = SmallRng::seed_from_u64(7);
        let mut used = HashMap::new();
        for _ in 0..100_000 {
            *used.entry(keys.choose(&mut random)).or_default() += 1;
        }
        used
    }

    #[test]
    fn uniform_keys_are_all_used_alike_and_zipf_ones_are_not() {
        let uniform = used(Distribution::Uniform);
        assert_eq!(uniform.len(), 100);
        assert!(uniform.values().all(|times| (800..1_200).contains(times)), "{uniform:?}");
        let zipf = used(Distribution::Zipf);
        assert_eq!(zipf.len(), 100);
        let (first, last) = (zipf["00000000"], zipf["00000099"]);
        assert!(first > 60 * last, "{first} and {last}");
    }

    #[test]
    fn values_have_their_size_and_differ() {
        let mut random = SmallRng::seed_from_u64(7);
        let values = Values::new(256, &mut random);
        let (one, other) = (values.choose(&mut random), values.choose(&mut random));
        assert_eq!((one.len(), other.len()), (256, 256));
        assert_ne!(one, other);
        assert_eq!(Values::new(0, &mut random).choose(&mut random), "");
    }
}
