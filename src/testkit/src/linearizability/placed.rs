//! Which operations are placed: a set of bits that is cheap to change, to hash and to store.
//!
//! Operations are numbered by the order of their invocations and placed roughly in that order, so the set is a long run
//! of ones, a short mixture, and a long run of zeros. Only the mixture is stored. What was never answered may stay out
//! for ever and would end the run of ones: it is kept apart.

/// Bits, of which the full words in front and the empty ones behind are known.
#[derive(Debug)]
struct Bits {
    words: Vec<u64>,
    /// All words before this one are full.
    full: usize,
    /// All words from this one on are empty.
    used: usize,
}

impl Bits {
    fn new(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)], full: 0, used: 0 }
    }

    fn word(&self, place: usize) -> u64 {
        self.words.get(place).copied().unwrap_or(0)
    }

    fn contains(&self, number: usize) -> bool {
        self.word(number / 64) & (1 << (number % 64)) != 0
    }

    fn insert(&mut self, number: usize) {
        let place = number / 64;
        if let Some(word) = self.words.get_mut(place) {
            *word |= 1 << (number % 64);
        }
        self.used = self.used.max(place + 1);
        while self.word(self.full) == u64::MAX {
            self.full += 1;
        }
    }

    fn remove(&mut self, number: usize) {
        let place = number / 64;
        if let Some(word) = self.words.get_mut(place) {
            *word &= !(1 << (number % 64));
        }
        self.full = self.full.min(place);
        while self.used > 0 && self.word(self.used - 1) == 0 {
            self.used -= 1;
        }
    }

    /// The words that are neither known to be full nor empty.
    fn mixture(&self) -> &[u64] {
        self.words.get(self.full..self.used).unwrap_or_default()
    }
}

/// The operations that are placed.
#[derive(Debug)]
pub(super) struct Placed {
    answered: Bits,
    unanswered: Bits,
    hash: u64,
}

impl Placed {
    pub(super) fn new(answered: usize, unanswered: usize) -> Self {
        Self { answered: Bits::new(answered), unanswered: Bits::new(unanswered), hash: 0 }
    }

    /// Whether an operation without an answer is placed.
    pub(super) fn contains_unanswered(&self, number: usize) -> bool {
        self.unanswered.contains(number)
    }

    pub(super) fn insert_answered(&mut self, number: usize) {
        self.answered.insert(number);
        self.hash ^= mix(number as u64 * 2);
    }

    pub(super) fn remove_answered(&mut self, number: usize) {
        self.answered.remove(number);
        self.hash ^= mix(number as u64 * 2);
    }

    pub(super) fn insert_unanswered(&mut self, number: usize) {
        self.unanswered.insert(number);
        self.hash ^= mix(number as u64 * 2 + 1);
    }

    pub(super) fn remove_unanswered(&mut self, number: usize) {
        self.unanswered.remove(number);
        self.hash ^= mix(number as u64 * 2 + 1);
    }

    /// A hash of the set, kept up to date.
    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Writes the set in its short form: equal for equal sets of the same operations, and for no others.
    pub(super) fn write_to(&self, form: &mut Vec<u64>) {
        form.clear();
        let answered = self.answered.mixture();
        form.push(self.answered.full as u64);
        form.push(answered.len() as u64);
        form.extend_from_slice(answered);
        form.push(self.unanswered.full as u64);
        form.extend_from_slice(self.unanswered.mixture());
    }
}

/// Spreads a number over 64 bits (the finish of SplitMix64).
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Walks through sets at random; the form and the hash of a set never depend on the way to it, and no two sets
    /// have the same form.
    #[test]
    fn a_form_is_of_one_set() {
        let mut placed = Placed::new(200, 70);
        let mut set = BTreeSet::new();
        let mut forms = BTreeMap::new();
        let mut form = Vec::new();
        for step in 0..4_000 {
            // At first only few numbers, so that sets come back; then from the front on.
            let range = if step < 2_000 { 6 } else { 200 };
            let number = usize::try_from(mix(step) % range).unwrap();
            let unanswered = mix(step) & (1 << 40) != 0 && number < 70;
            let new = set.insert((unanswered, number));
            if !new {
                set.remove(&(unanswered, number));
            }
            match (unanswered, new) {
                (false, true) => placed.insert_answered(number),
                (false, false) => placed.remove_answered(number),
                (true, true) => placed.insert_unanswered(number),
                (true, false) => placed.remove_unanswered(number),
            }
            assert_eq!(placed.contains_unanswered(number), set.contains(&(true, number)));
            placed.write_to(&mut form);
            let known = forms.entry(form.clone()).or_insert_with(|| (set.clone(), placed.hash()));
            assert_eq!(*known, (set.clone(), placed.hash()));
        }
        let sets: BTreeSet<_> = forms.values().map(|(set, _)| set.clone()).collect();
        assert_eq!(sets.len(), forms.len());
    }

    #[test]
    fn what_is_placed_in_order_is_short() {
        let mut placed = Placed::new(10_000, 3);
        for number in 0..9_990 {
            placed.insert_answered(number);
        }
        placed.insert_unanswered(2);
        let mut form = Vec::new();
        placed.write_to(&mut form);
        assert!(form.len() <= 6, "{form:?}");
    }
}
